"""A changed zone or granularity: two windows never cover the same time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from collector.core.ledger_entries import CalendarChanged, Standing
from collector.ledger import SqlLedger
from collector.model import Granularity, Org, SliceState, Zone
from tests.adapters.ledger.support import (
    ALWAYS,
    SERVICE,
    T0,
    commit,
    day,
    emission,
    registered,
    slice_at,
)
from tests.support.orgs import make_org

ACME = make_org()
NEW_YORK = Zone.parse("America/New_York")


def register(ledger: SqlLedger, org: Org) -> Standing | CalendarChanged:
    return ledger.register([org], wanted_from={org.name: T0}, now=T0)[org.name]


def moved(since: date | None = None, **more: object) -> Org:
    return replace(ACME, zone=NEW_YORK, since=since, **more)  # type: ignore[arg-type]


@pytest.fixture
def covered(ledger: SqlLedger, key: int) -> int:
    """An org whose first three days are covered."""
    ledger.commit([commit(key, n) for n in range(3)], None)
    return key


def test_a_changed_zone_is_reported_with_the_end_of_what_is_covered(ledger: SqlLedger, covered: int) -> None:
    assert covered
    assert register(ledger, moved()) == CalendarChanged(zone="UTC", granularity="day", rules="", covered_until=day(3))


def test_a_changed_granularity_is_reported_too(ledger: SqlLedger, covered: int) -> None:
    assert covered
    hourly = replace(ACME, granularity=Granularity.HOUR)
    assert register(ledger, hourly) == CalendarChanged(zone="UTC", granularity="day", rules="", covered_until=day(3))


def test_nothing_is_written_for_an_org_whose_calendar_changed(ledger: SqlLedger, covered: int) -> None:
    renamed = moved(name="renamed")
    assert isinstance(register(ledger, renamed), CalendarChanged)
    assert [(org.key, org.name, org.zone) for org in ledger.organizations()] == [(covered, "acme", "UTC")]
    assert isinstance(register(ledger, ACME), Standing)


def test_other_orgs_in_the_same_call_are_registered(ledger: SqlLedger, covered: int) -> None:
    other = make_org("other")
    found = ledger.register([moved(), other], wanted_from={"other": T0}, now=T0)
    assert found == {
        "acme": CalendarChanged(zone="UTC", granularity="day", rules="", covered_until=day(3)),
        "other": Standing(key=covered + 1, org_id=None, wanted_from=T0, calendar_since=None),
    }
    changed = found["acme"]
    assert isinstance(changed, CalendarChanged)
    assert changed.standing == Standing(key=covered, org_id=None, wanted_from=T0, calendar_since=None)
    assert [(org.name, org.zone) for org in ledger.organizations()] == [("acme", "UTC"), ("other", "UTC")]


def test_a_refused_org_keeps_its_row_its_name_and_its_second_row(ledger: SqlLedger, covered: int) -> None:
    """It was registered a second time by another name, and is pinned now; another org has its name."""
    ledger.identify(covered, name="acme", org_id="id-a", org_name="Acme")
    ledger.release([covered])
    second = registered(ledger, make_org("second"))[0].key
    pinned = moved(name="second", org_id="id-a")
    found = ledger.register([pinned, make_org("other")], wanted_from={"other": T0}, now=T0, names=["second", "other"])
    assert isinstance(found["second"], CalendarChanged)
    rows = {org.key: (org.name, org.zone) for org in ledger.organizations()}
    assert rows.items() >= {(covered, ("acme", "UTC")), (second, ("second", "UTC"))}
    since = replace(pinned, since=date(2026, 6, 4))
    (fits,) = ledger.register([since], wanted_from={}, now=T0, names=["second", "other"]).values()
    assert isinstance(fits, Standing)
    assert fits.key == covered
    assert second not in {org.key for org in ledger.organizations()}


# Coverage ends with 3 June in UTC, which is 20:00 on 3 June in New York.
@pytest.mark.parametrize(
    ("since", "granularity", "begins"),
    [
        (date(2026, 6, 3), Granularity.DAY, None),
        (date(2026, 6, 4), Granularity.DAY, "2026-06-04T00:00:00-04:00"),
        (date(2026, 6, 9), Granularity.DAY, "2026-06-09T00:00:00-04:00"),
        (date(2026, 6, 4), Granularity.HOUR, "2026-06-04T00:00:00-04:00"),
        (date(2026, 6, 3), Granularity.WEEK, "2026-06-08T00:00:00-04:00"),  # a Wednesday
        (date(2026, 6, 2), Granularity.MONTH, "2026-07-01T00:00:00-04:00"),
    ],
)
def test_a_new_calendar_begins_on_its_own_boundary_where_nothing_is_covered(
    ledger: SqlLedger, covered: int, since: date, granularity: Granularity, begins: str | None
) -> None:
    found = register(ledger, moved(since, granularity=granularity))
    if begins is None:
        assert isinstance(found, CalendarChanged)
    else:
        assert isinstance(found, Standing)
        assert found.key == covered
        assert found.calendar_since is not None
        assert found.calendar_since.astimezone(NEW_YORK.tz).isoformat() == begins


def test_a_calendar_keeps_its_start_when_it_is_registered_again(ledger: SqlLedger, covered: int) -> None:
    assert covered
    first = register(ledger, moved(date(2026, 6, 4)))
    assert isinstance(first, Standing)
    assert first.cut_over is not None  # nothing of the other population is complete
    first = replace(first, cut_over=None)  # that is returned once
    assert register(ledger, moved(date(2026, 6, 4))) == first
    earlier = register(ledger, moved(date(2025, 1, 1)))
    assert isinstance(earlier, Standing)
    assert earlier.wanted_from < first.wanted_from  # but the calendar keeps its start
    assert earlier.cut_over is not None
    assert earlier.cut_over.left_out[0].start == earlier.wanted_from
    assert replace(earlier, wanted_from=first.wanted_from, cut_over=None) == first
    assert register(ledger, moved()) == replace(earlier, cut_over=None)
    (org,) = ledger.organizations()
    assert (org.zone, org.calendar_since) == ("America/New_York", first.calendar_since)


def test_going_back_to_the_old_calendar_is_refused_where_the_new_one_covers(ledger: SqlLedger, covered: int) -> None:
    register(ledger, moved(date(2026, 6, 4)))
    start = slice_at(covered, 0).start.replace(day=4, hour=4)
    ledger.commit([commit(covered, 3, slice=slice_at(covered, 3)._replace(start=start), end=day(4))], None)
    back = register(ledger, ACME)
    assert back == CalendarChanged(
        zone="America/New_York", granularity="day", rules=NEW_YORK.rules, covered_until=day(4)
    )


def test_a_calendar_that_covers_nothing_is_replaced(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0, SliceState.FAILED), commit(key, 1, SliceState.REFUSED)], None)
    assert register(ledger, moved()) == Standing(key=key, org_id=None, wanted_from=T0, calendar_since=None)
    assert ledger.coverage(key, ALWAYS) == {}  # its windows no longer exist
    assert [org.zone for org in ledger.organizations()] == ["America/New_York"]


def test_a_later_calendar_that_covers_nothing_is_replaced_by_the_next(ledger: SqlLedger, covered: int) -> None:
    register(ledger, moved(date(2026, 6, 20)))
    tokyo = replace(ACME, zone=Zone.parse("Asia/Tokyo"), since=date(2026, 6, 10))
    found = register(ledger, tokyo)
    assert isinstance(found, Standing)
    assert found.calendar_since is not None
    assert found.calendar_since.isoformat() == "2026-06-09T15:00:00+00:00"
    assert [(org.key, org.zone) for org in ledger.organizations()] == [(covered, "Asia/Tokyo")]


@pytest.mark.parametrize(
    ("state", "covers"),
    [(SliceState.COMPLETE, True), (SliceState.PARTIAL, True), (SliceState.FAILED, False), (SliceState.REFUSED, False)],
)
def test_only_complete_and_partial_slices_cover(ledger: SqlLedger, key: int, state: SliceState, covers: bool) -> None:
    ledger.commit([commit(key, 4, state, slice=slice_at(key, 4, SERVICE))], None)
    assert isinstance(register(ledger, moved()), CalendarChanged) == covers


def test_a_failed_slice_with_an_emission_covers(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 4, SliceState.FAILED, emission=emission())], None)
    assert register(ledger, moved()) == CalendarChanged(zone="UTC", granularity="day", rules="", covered_until=day(5))


def test_failed_slices_are_deleted_where_a_new_calendar_begins(ledger: SqlLedger, covered: int) -> None:
    ledger.commit([commit(covered, n, SliceState.FAILED) for n in range(3, 8)], None)
    register(ledger, moved(date(2026, 6, 6)))
    assert [start for _, start in ledger.coverage(covered, ALWAYS)] == [day(n) for n in range(5)]


def test_many_calendars_can_change_at_once(ledger: SqlLedger) -> None:
    orgs = [make_org(f"org-{n}") for n in range(2500)]
    standings = registered(ledger, *orgs)
    ledger.commit([commit(standing.key, 0) for standing in standings[::2]], None)
    found = ledger.register([replace(org, zone=NEW_YORK) for org in orgs], wanted_from={}, now=T0)
    changed = {name for name, standing in found.items() if isinstance(standing, CalendarChanged)}
    assert changed == {org.name for org in orgs[::2]}
    zones = {org.name: org.zone for org in ledger.organizations()}
    assert {name for name, zone in zones.items() if zone == "UTC"} == changed
    assert len(zones) == len(orgs)
