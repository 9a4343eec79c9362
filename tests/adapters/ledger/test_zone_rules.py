"""New rules, or another name, of a zone: what counts is whether covered windows are still windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, select

from collector.core.grid import Grids
from collector.core.ledger_entries import CalendarChanged, SliceCommit, SliceKey, Standing
from collector.core.windows import start_of_date
from collector.ledger import SqlLedger, calendars, coverage_fit
from collector.ledger.schema import calendar
from collector.model import Granularity, Org, Population, SliceState, Window, Zone
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ALWAYS, T0, commit, registered
from tests.support.orgs import make_org
from tests.support.zones import NEW_RULES, OLD_RULES

OLD, NEW = make_org(zone=OLD_RULES), make_org(zone=NEW_RULES)
KIEV, KYIV = make_org(zone=Zone.parse("Europe/Kiev")), make_org(zone=Zone.parse("Europe/Kyiv"))


def register(ledger: SqlLedger, org: Org) -> Standing | CalendarChanged:
    return ledger.register([org], wanted_from={org.name: T0}, now=T0)[org.name]


def noted(ledger: SqlLedger) -> list[tuple[str, str | None]]:
    rows = ledger._database.read(lambda tx: tx.execute(select(calendar.c.zone, calendar.c.rules)).all())
    return [(row.zone, row.rules) for row in rows]


def starts(ledger: SqlLedger, key: int) -> list[str]:
    return sorted(start.isoformat() for _, start in ledger.coverage(key, ALWAYS))


def commit_days(
    ledger: SqlLedger, key: int, org: Org, first: date, last: date, state: SliceState = SliceState.COMPLETE
) -> None:
    span = Window(start_of_date(first, org.zone), start_of_date(last + timedelta(days=1), org.zone))
    ledger.commit([a_commit(key, window, state) for window in Grids().of(org).windows(span)], None)


def a_commit(key: int, window: Window, state: SliceState) -> SliceCommit:
    at = SliceKey(key=key, population=Population.ACCOUNT_USER, start=window.start)
    return commit(key, 0, state, slice=at, end=window.end)


@pytest.fixture
def key(ledger: SqlLedger) -> int:
    return registered(ledger, OLD)[0].key


def test_new_rules_that_move_no_covered_boundary_are_only_noted(ledger: SqlLedger, key: int) -> None:
    commit_days(ledger, key, OLD, date(2026, 10, 1), date(2026, 10, 31))
    before = starts(ledger, key)
    assert noted(ledger) == [("America/Vancouver", OLD_RULES.rules)]
    assert register(ledger, NEW) == Standing(key=key, org_id=None, wanted_from=T0, calendar_since=None)
    assert noted(ledger) == [("America/Vancouver", NEW_RULES.rules)]
    assert starts(ledger, key) == before


def test_new_rules_that_move_covered_boundaries_are_refused_with_the_end_of_these(ledger: SqlLedger, key: int) -> None:
    commit_days(ledger, key, OLD, date(2026, 10, 30), date(2026, 11, 3))
    refused = CalendarChanged(
        zone="America/Vancouver",
        granularity="day",
        rules=OLD_RULES.rules,
        covered_until=datetime(2026, 11, 4, 8, tzinfo=UTC),
    )
    assert register(ledger, NEW) == ledger.calendar_changes([NEW], names=["acme"])["acme"] == refused
    assert noted(ledger) == [("America/Vancouver", OLD_RULES.rules)]
    assert isinstance(register(ledger, OLD), Standing)  # a downgrade


def test_the_new_rules_begin_at_a_since_behind_what_is_covered(ledger: SqlLedger, key: int) -> None:
    commit_days(ledger, key, OLD, date(2026, 10, 30), date(2026, 11, 3))
    assert isinstance(register(ledger, replace(NEW, since=date(2026, 11, 4))), CalendarChanged)  # at 07:00 UTC
    standing = register(ledger, replace(NEW, since=date(2026, 11, 5)))
    assert isinstance(standing, Standing)
    assert standing.calendar_since == datetime(2026, 11, 5, 7, tzinfo=UTC)
    again = register(ledger, NEW)  # without the `since`: it is in the ledger now
    assert isinstance(again, Standing)
    assert again.calendar_since == standing.calendar_since
    newer = replace(NEW, zone=replace(NEW_RULES, rules="2026g 0000000000000000"))
    again = register(ledger, newer)  # the next update leaves the beginning where it is
    assert isinstance(again, Standing)
    assert again.calendar_since == standing.calendar_since
    back = register(ledger, OLD)  # nothing of the new calendar is covered
    assert isinstance(back, Standing)
    assert back.calendar_since is None
    register(ledger, replace(NEW, since=date(2026, 11, 5)))
    commit_days(ledger, key, NEW, date(2026, 11, 5), date(2026, 11, 5))
    assert isinstance(register(ledger, OLD), CalendarChanged)


def test_failed_slices_of_windows_that_no_longer_exist_are_deleted(ledger: SqlLedger, key: int) -> None:
    commit_days(ledger, key, OLD, date(2026, 10, 29), date(2026, 10, 29))
    commit_days(ledger, key, OLD, date(2026, 10, 30), date(2026, 11, 3), SliceState.FAILED)
    assert isinstance(register(ledger, NEW), Standing)
    # 1 November has another end now: the day had 25 hours.
    assert [start[:10] for start in starts(ledger, key)] == ["2026-10-29", "2026-10-30", "2026-10-31"]


def test_the_same_rules_in_another_version_are_noted_without_a_look_at_the_slices(
    ledger: SqlLedger, key: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []

    def count(tx: Connection, orgs: Mapping[int, Org]) -> dict[int, coverage_fit.Fit]:
        compared.extend(orgs)
        return coverage_fit.compare(tx, orgs)

    monkeypatch.setattr(calendars, "compare", count)
    newer = replace(OLD_RULES, rules="2026f 0123456789abcdef")
    for org in (OLD, replace(OLD, zone=newer), replace(OLD, zone=replace(newer, name="Canada/Pacific"))):
        assert isinstance(register(ledger, org), Standing)
        assert noted(ledger) == [(org.zone.name, org.zone.rules)]
    assert compared == []
    register(ledger, NEW)
    assert compared == [key]


def test_two_offsets_are_two_calendars(ledger: SqlLedger) -> None:
    org = make_org("offset", zone=Zone.parse("+01:00"))
    (standing,) = registered(ledger, org)
    commit_days(ledger, standing.key, org, date(2026, 11, 1), date(2026, 11, 1))
    assert isinstance(register(ledger, replace(org, zone=Zone.parse("+02:00"))), CalendarChanged)
    assert isinstance(register(ledger, org), Standing)


@pytest.mark.parametrize(("zone", "granularity"), [(OLD_RULES, Granularity.HOUR), (NEW_RULES, Granularity.HOUR)])
def test_hours_have_the_same_boundaries_by_both_rules(
    ledger: SqlLedger, key: int, zone: Zone, granularity: Granularity
) -> None:
    assert key
    org = make_org("hourly", zone=OLD_RULES, granularity=granularity)
    (standing,) = registered(ledger, org)
    commit_days(ledger, standing.key, org, date(2026, 10, 31), date(2026, 11, 2))
    assert isinstance(register(ledger, replace(org, zone=zone)), Standing)


def test_hours_are_no_days_although_their_boundaries_are_those_of_hours(ledger: SqlLedger, key: int) -> None:
    commit_days(ledger, key, OLD, date(2026, 10, 1), date(2026, 10, 2))
    assert isinstance(register(ledger, replace(OLD, granularity=Granularity.HOUR)), CalendarChanged)


def test_an_alias_is_no_change(ledger: SqlLedger) -> None:
    kiev = replace(KIEV, name="kiev")
    (standing,) = registered(ledger, kiev)
    commit_days(ledger, standing.key, kiev, date(2026, 3, 1), date(2026, 11, 20))
    kyiv = replace(KYIV, name="kiev")
    assert ledger.calendar_changes([kyiv], names=["kiev"]) == {}
    assert registered(ledger, kyiv) == [standing]
    helsinki = replace(kyiv, zone=Zone.parse("Europe/Helsinki"))  # other rules in 1990, the same windows here
    assert registered(ledger, helsinki) == [standing]
    assert isinstance(register(ledger, replace(kyiv, zone=Zone.parse("Europe/Berlin"))), CalendarChanged)


def test_an_alias_keeps_the_beginning_of_a_calendar_that_was_cut_over(ledger: SqlLedger) -> None:
    utc = make_org("cut")
    (standing,) = registered(ledger, utc)
    commit_days(ledger, standing.key, utc, date(2026, 11, 1), date(2026, 11, 3))
    cut = register(ledger, replace(KIEV, name="cut", since=date(2026, 11, 5)))
    assert isinstance(cut, Standing)
    commit_days(ledger, standing.key, KIEV, date(2026, 11, 5), date(2026, 11, 6))
    alias = register(ledger, replace(KYIV, name="cut"))
    assert isinstance(alias, Standing)
    assert alias.calendar_since == cut.calendar_since == datetime(2026, 11, 4, 22, tzinfo=UTC)


def test_a_ledger_without_noted_rules_is_compared_once(ledger: SqlLedger, key: int) -> None:
    commit_days(ledger, key, OLD, date(2026, 10, 1), date(2026, 11, 3))
    ledger._database.write(lambda tx: tx.execute(calendar.update().values(rules=None)))
    changed = register(ledger, NEW)
    assert isinstance(changed, CalendarChanged)
    assert changed.rules is None
    assert isinstance(register(ledger, OLD), Standing)
    assert noted(ledger) == [("America/Vancouver", OLD_RULES.rules)]


def test_a_slice_in_doubt_covers_its_window(opened: Open) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, OLD)
    file = one.open_file("run-1", "out", "usage-1", place=None)
    span = Window(start_of_date(date(2026, 11, 3), OLD_RULES), start_of_date(date(2026, 11, 4), OLD_RULES))
    one.commit([a_commit(standing.key, span, SliceState.COMPLETE)], replace(file, bytes=10, records=1))
    one.abandon()
    assert isinstance(register(other, NEW), CalendarChanged)
    (left,) = other.left_behind()
    other.lost(left.file_id)  # its file is gone: the window is free again
    assert isinstance(register(other, NEW), Standing)
    assert starts(other, standing.key) == []


def test_with_two_versions_on_one_ledger_each_lease_compares_what_the_other_has_covered(opened: Open) -> None:
    old, new = opened(), opened()
    key = registered(old, OLD)[0].key
    assert registered(new, NEW)[0].key == key  # nothing is covered yet: both may begin
    assert old.acquire([key], {key: (OLD, None)}) == {}
    assert isinstance(register(new, NEW), Standing)  # beside the lease: what is noted stays
    assert noted(new) == [("America/Vancouver", OLD_RULES.rules)]
    commit_days(old, key, OLD, date(2026, 11, 2), date(2026, 11, 3))
    assert new.acquire([key], {key: (NEW, None)}) == {key: old.holder}
    old.release([key])
    changed = new.acquire([key], {key: (NEW, None)})
    assert changed == {
        key: CalendarChanged(
            zone="America/Vancouver",
            granularity="day",
            rules=OLD_RULES.rules,
            covered_until=datetime(2026, 11, 4, 8, tzinfo=UTC),
        )
    }
    assert old.acquire([key], {key: (OLD, None)}) == {}  # the lease was given back


def test_a_lease_confirms_the_beginning_that_was_planned(opened: Open) -> None:
    one, other = opened(), opened()
    key = registered(one, OLD)[0].key
    commit_days(one, key, OLD, date(2026, 11, 2), date(2026, 11, 3))
    begins = datetime(2026, 11, 5, 7, tzinfo=UTC)
    assert isinstance(register(other, replace(NEW, since=date(2026, 11, 5))), Standing)
    assert other.acquire([key], {key: (NEW, begins)}) == {}
    other.release([key])
    assert isinstance(one.acquire([key], {key: (NEW, None)})[key], CalendarChanged)
    assert one.acquire([key], {key: (OLD, None)}) == {}
    assert noted(one) == [("America/Vancouver", OLD_RULES.rules)]
