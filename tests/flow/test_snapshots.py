"""What is known of an org, from a real ledger: the days of any calendar, the credential, what is incomplete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collector.app.coverage import CoverageReader
from collector.config import LoadedConfig, Settings
from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import CredentialUse, SliceCommit, SliceKey, Standing
from collector.core.org_coverage import CoverageState, CredentialStanding, OrgCoverage, PopulationCoverage
from collector.errors import RefusalReason, Refused
from collector.ledger import SqlLedger
from collector.model import Granularity, Org, Population, ProductUsage, Quality, SliceState, Window, Zone
from tests.adapters.ledger.support import emission
from tests.support.fleets import IN_DOUBT, KINDS, NOW, make_fleet, numbered
from tests.support.orgs import make_org

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
C, P, F, R, M = (
    CoverageState.COMPLETE,
    CoverageState.PARTIAL,
    CoverageState.FAILED,
    CoverageState.REFUSED,
    CoverageState.MISSING,
)
DUE, NOT = CoverageState.NOT_DUE, CoverageState.NOT_WANTED


class Writer:
    """A ledger, one org of it, and what is read of it."""

    def __init__(self, directory: Path, org: Org, *, wanted_from: datetime, **schedule: Any) -> None:
        values: dict[str, Any] = {"state": {"url": f"sqlite:///{directory}/ledger.db"}, "schedule": schedule}
        self.org = org
        self.config = LoadedConfig(settings=Settings(**values), orgs=(org,), path=directory, files=(), warnings=())
        self.url = f"sqlite:///{directory}/ledger.db"
        self.ledger = SqlLedger.open(self.url, command="serve", now=lambda: NOW, durable=False)
        standing = self.ledger.register([org], wanted_from={org.name: wanted_from}, now=NOW)[org.name]
        assert isinstance(standing, Standing)
        self.key = standing.key
        self.reader = CoverageReader(self.config)

    def commit(self, start: datetime, end: datetime, state: SliceState = SliceState.COMPLETE, **more: Any) -> None:
        complete = state is SliceState.COMPLETE
        asked_at = more.pop("asked_at", end + 7 * HOUR)
        values: dict[str, Any] = {
            "slice": SliceKey(key=self.key, population=more.pop("population", Population.ACCOUNT_USER), start=start),
            "end": end,
            "state": state,
            "code": None,
            "asked_at": asked_at,
            "complete_at": asked_at if complete else None,
            "emission": emission() if complete else None,
        }
        file = more.pop("file", None)
        one = SliceCommit(**(values | more))
        reason = str(one.code).removeprefix("refused_") if state is not SliceState.FAILED and one.code else None
        refused = Refused(reason=RefusalReason(reason), message="refused") if reason else None
        self.ledger.commit([one], file, [CredentialUse(org=self.org, at=one.asked_at, refused=refused)])

    def view(self, now: datetime = NOW) -> OrgCoverage:
        return self.reader.read(self.ledger, [self.org.name], now)[self.org.name]

    def account(self, now: datetime = NOW) -> PopulationCoverage:
        return self.view(now).populations[0]


@pytest.fixture
def open_writer(tmp_path: Path) -> Iterator[Any]:
    opened: list[Writer] = []

    def open_(wanted_from: datetime, *, schedule: dict[str, Any] | None = None, **org: Any) -> Writer:
        opened.append(Writer(tmp_path, make_org(**org), wanted_from=wanted_from, **(schedule or {})))
        return opened[-1]

    yield open_
    for one in opened:
        one.ledger.close()


def test_each_day_is_the_worst_of_its_windows_and_is_told_apart_from_what_is_not_due_or_wanted(
    open_writer: Any,
) -> None:
    start = datetime(2026, 11, 18, tzinfo=UTC)
    ledger = open_writer(start)
    for n, state in enumerate((SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED, SliceState.REFUSED)):
        ledger.commit(start + n * DAY, start + (n + 1) * DAY, state)
    view = ledger.account()
    assert len(view.days) == len(view.tests) == 90
    assert view.days[-9:] == [NOT, NOT, C, P, F, R, M, M, DUE]
    assert set(view.days[:-7]) == {NOT}
    assert view.tests[-9:] == [None, None, 7, None, None, None, None, None, None]
    assert (view.incomplete, view.first_gap) == (5, start + DAY)
    assert view.newest_complete == start + DAY
    assert view.newest_due == datetime(2026, 11, 24, tzinfo=UTC)
    assert view.lag_s == 5 * 86_400
    assert [(gap.state, gap.window) for gap in view.gaps] == [
        (state, Window(start + first * DAY, start + end * DAY))
        for state, first, end in ((P, 1, 2), (F, 2, 3), (R, 3, 4), (M, 4, 6))
    ]


def test_of_an_org_that_no_run_has_begun_the_lookback_is_missing(open_writer: Any) -> None:
    ledger = open_writer(NOW - 10 * DAY)
    other = make_org("other")
    config = LoadedConfig(settings=ledger.config.settings, orgs=(ledger.org, other), path=Path(), files=(), warnings=())
    view = CoverageReader(config).read(ledger.ledger, ["other"], NOW)["other"]
    assert (view.org_id, view.credential.standing) == (None, CredentialStanding.UNKNOWN)
    assert view.populations[0].days[-5:] == [NOT, M, M, M, DUE]


def test_a_day_of_hours_is_its_worst_hour_and_its_tests_are_known_only_when_all_of_them_are(open_writer: Any) -> None:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    ledger = open_writer(start, granularity=Granularity.HOUR)
    for n in range(50):
        if n != 30:
            ledger.commit(start + n * HOUR, start + (n + 1) * HOUR)
    view = ledger.account()
    assert view.days[-4:] == [NOT, C, M, M]
    assert view.tests[-4:] == [None, 24 * 7, None, None]
    assert view.counts == {"complete": 49, "missing": 2}  # through three o'clock: six hours to settle
    assert view.gaps[0].window == Window(start + 30 * HOUR, start + 31 * HOUR)


def test_a_week_colours_each_of_its_days(open_writer: Any) -> None:
    monday = datetime(2026, 11, 9, tzinfo=UTC)
    ledger = open_writer(monday, granularity=Granularity.WEEK)
    ledger.commit(monday, monday + 7 * DAY)
    view = ledger.account()
    assert view.days[-17:] == [NOT] + [C] * 7 + [M] * 7 + [DUE] * 2
    assert view.tests[-16:] == [7] + [None] * 15


def test_days_are_those_of_the_orgs_own_calendar_also_where_clocks_change(open_writer: Any) -> None:
    zone = Zone.parse("America/New_York")
    start = datetime(2026, 10, 30, 4, tzinfo=UTC)  # midnight there; summer time ends on November 1
    ledger = open_writer(start, zone=zone)
    edges = [
        start,
        start + DAY,
        start + 2 * DAY,
        datetime(2026, 11, 2, 5, tzinfo=UTC),
        datetime(2026, 11, 3, 5, tzinfo=UTC),
    ]
    for first, end in pairwise(edges):
        ledger.commit(first, end)
    view = ledger.account(datetime(2026, 11, 4, 4, 59, tzinfo=UTC))
    assert view.days[-6:] == [NOT, C, C, C, C, DUE]
    assert ledger.view(datetime(2026, 11, 4, 4, 59, tzinfo=UTC)).last_day.isoformat() == "2026-11-03"
    assert ledger.account(datetime(2026, 11, 4, 11, 1, tzinfo=UTC)).days[-3:] == [C, M, DUE]


def test_what_the_ledger_says_of_a_refused_credential_survives_a_restart(open_writer: Any) -> None:
    start = datetime(2026, 11, 20, tzinfo=UTC)
    ledger = open_writer(start)
    assert ledger.view().credential.standing is CredentialStanding.UNKNOWN
    ledger.commit(start, start + DAY)
    assert ledger.view().credential.standing is CredentialStanding.ACCEPTED
    first, second = start + 2 * DAY, start + 3 * DAY
    ledger.commit(start + DAY, first, SliceState.REFUSED, code="refused_not_admin", asked_at=first)
    ledger.commit(first, second, SliceState.REFUSED, code="refused_not_admin", asked_at=second)
    credential = ledger.view().credential
    assert (credential.standing, credential.reason) == (CredentialStanding.REFUSED, RefusalReason.NOT_ADMIN)
    assert credential.since == first
    ledger.commit(first, second, asked_at=second + HOUR)
    assert ledger.view().credential.standing is CredentialStanding.ACCEPTED


def test_a_partial_slice_that_was_refused_when_asked_again_shows_the_refusal(open_writer: Any) -> None:
    start = datetime(2026, 11, 20, tzinfo=UTC)
    ledger = open_writer(start)
    ledger.commit(start, start + DAY, SliceState.PARTIAL, code="refused_credential")
    assert ledger.view().credential.reason is RefusalReason.CREDENTIAL


def test_a_complete_slice_that_was_asked_again_in_vain_does_not_vouch_for_the_credential(open_writer: Any) -> None:
    start = datetime(2026, 11, 20, tzinfo=UTC)
    ledger = open_writer(start)
    ledger.commit(start, start + DAY, complete_at=start + DAY, asked_at=start + 2 * DAY)
    assert ledger.view().credential.standing is CredentialStanding.UNKNOWN


def test_a_refusal_of_an_old_window_counts_when_it_is_the_newest_answer(open_writer: Any) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ledger = open_writer(start)
    ledger.commit(NOW - 3 * DAY, NOW - 2 * DAY)
    ledger.commit(start, start + DAY, SliceState.REFUSED, code="refused_credential", asked_at=NOW)
    assert ledger.view().credential.reason is RefusalReason.CREDENTIAL


def test_gaps_that_no_collect_fetches_any_more_are_shown_with_their_span(open_writer: Any) -> None:
    start = datetime(2026, 10, 1, tzinfo=UTC)
    ledger = open_writer(
        start, schedule={"catch_up": 35 * DAY, "repair_for": 10 * DAY}, populations=(Population.ACCOUNT_USER,)
    )
    for n in range(54):
        states = {3: None, 4: None, 40: SliceState.FAILED, 50: SliceState.FAILED}
        if state := states.get(n, SliceState.COMPLETE):
            ledger.commit(start + n * DAY, start + (n + 1) * DAY, state)
    view = ledger.view()
    assert view.stranded == Window(start + 3 * DAY, start + 41 * DAY)  # day 50 is young enough to be repaired
    assert view.incomplete == 4


def test_what_lies_long_ago_is_counted_and_read_again_only_when_it_was_committed(open_writer: Any) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    ledger = open_writer(start)
    for n in range(400):
        ledger.commit(start + n * DAY, start + (n + 1) * DAY)
    before = ledger.account()
    assert before.counts == {"complete": 400, "missing": 292}
    assert before.oldest_usage == Window(start, start + DAY)
    digest = ledger.reader._digests[ledger.key]
    assert ledger.account() == before
    assert ledger.reader._digests[ledger.key] is digest
    ledger.commit(start + 200 * DAY, start + 201 * DAY, SliceState.FAILED, asked_at=NOW)
    assert ledger.account().counts == {"complete": 399, "missing": 292, "failed": 1}
    assert ledger.reader._digests[ledger.key] is not digest


def test_numbers_that_are_not_known_are_never_shown_as_zero(open_writer: Any) -> None:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    ledger = open_writer(start)
    zero = ProductUsage(total_tests=0, total_duration=0)
    doubtful = Emission(
        emitted_at=NOW, users=0, products={"automation": Emitted(revision=1, quality=Quality.UNVERIFIED, usage=zero)}
    )
    ledger.commit(start, start + DAY, emission=doubtful)
    mixed = {
        "automation": Emitted(revision=1, quality=Quality.MEASURED, usage=ProductUsage(total_tests=4)),
        "realtime": Emitted(revision=1, quality=Quality.UNAVAILABLE, usage=ProductUsage()),
    }
    ledger.commit(
        start + DAY, start + 2 * DAY, SliceState.PARTIAL, emission=Emission(emitted_at=NOW, users=None, products=mixed)
    )
    view = ledger.account()
    assert view.tests[-3:] == [None, None, None]
    assert view.newest_usage == {"automation": ProductUsage(total_tests=4)}
    assert (view.newest_users, view.reasons) == (None, {"partial": 1})


def test_an_org_is_read_again_when_something_falls_due_and_every_hour_whatever_happens(open_writer: Any) -> None:
    ledger = open_writer(datetime(2026, 11, 20, tzinfo=UTC))
    assert ledger.reader.stale(NOW) == ["acme"]
    ledger.view(NOW)
    assert ledger.reader.stale(NOW + 59 * timedelta(minutes=1)) == []
    assert ledger.reader.stale(NOW + HOUR) == ["acme"]
    ledger.view(datetime(2026, 11, 24, 23, 50, tzinfo=UTC))
    assert ledger.reader.stale(datetime(2026, 11, 25, 0, 1, tzinfo=UTC)) == ["acme"]  # another day
    ledger.view(datetime(2026, 11, 25, 5, 59, tzinfo=UTC))
    assert ledger.reader.stale(datetime(2026, 11, 25, 6, 1, tzinfo=UTC)) == ["acme"]  # yesterday has settled
    ledger.view(datetime(2026, 11, 25, 6, 1, tzinfo=UTC))
    ledger.reader.adopt(ledger.config)
    assert ledger.reader.stale(datetime(2026, 11, 25, 6, 1, tzinfo=UTC)) == ["acme"]


def test_an_identity_that_an_answer_told_is_seen_soon(open_writer: Any) -> None:
    ledger = open_writer(datetime(2026, 11, 20, tzinfo=UTC))
    assert ledger.view(NOW).org_id is None
    ledger.ledger.acquire([ledger.key])
    ledger.ledger.identify(ledger.key, name="acme", org_id="12345", org_name="Acme Corp")
    assert ledger.view(NOW + timedelta(seconds=1)).org_id == "12345"


def test_reading_recent_days_or_all_of_them_comes_to_the_same_and_to_what_there_is(tmp_path: Path) -> None:
    kinds = (*KINDS, IN_DOUBT)
    fleet = make_fleet(tmp_path, numbered(14), lambda n: kinds[n % len(kinds)])
    ledger = fleet.open()
    try:
        recent = CoverageReader(fleet.config).read_all(ledger, NOW)
        whole = CoverageReader(fleet.config, days=None).read_all(ledger, NOW)
    finally:
        ledger.close()
    assert list(recent) == list(whole) == [org.name for org in fleet.orgs]
    for name, view in recent.items():
        assert view.incomplete == whole[name].incomplete == fleet.kinds[name].lacking
        assert view.count(CoverageState.IN_DOUBT) == fleet.kinds[name].in_doubt
        assert (view.stranded, view.credential) == (whole[name].stranded, whole[name].credential)
        for seen, counted in zip(view.populations, whole[name].populations, strict=True):
            of_recent: dict[str, Any] = {"tests": (), "reasons": {}, "newest_usage": {}, "newest_users": None}
            assert replace(seen, days=counted.days, **of_recent) == replace(counted, tests=(), reasons={})
            known = {code: slices for code, slices in seen.reasons.items() if code != CoverageState.IN_DOUBT}
            assert all(counted.reasons[code] >= slices for code, slices in known.items())  # of all time
            assert seen.days == counted.days[-90:]


def test_files_that_come_into_doubt_or_out_of_it_are_noticed_without_any_slice_being_committed(
    open_writer: Any,
) -> None:
    start = datetime(2026, 11, 20, tzinfo=UTC)
    ledger = open_writer(start)
    file = ledger.ledger.open_file("run-1", "out", "usage-1.jsonl")
    ledger.commit(start, start + DAY, file=file)
    assert ledger.account().counts == {"complete": 1, "missing": 3}
    ledger.ledger.abandon()
    ledger.ledger = SqlLedger.open(ledger.url, command="serve", now=lambda: NOW, durable=False)  # buries the dead one
    assert ledger.reader.stale(NOW) == []
    assert ledger.reader.read(ledger.ledger, [], NOW) == {}
    assert ledger.reader.stale(NOW) == ["acme"]
    view = ledger.account()
    assert (view.counts, view.newest_complete, view.last_success) == ({"in_doubt": 1, "missing": 3}, None, None)
    assert ledger.reader.stale(NOW) == []
    ledger.ledger.take_over([file.file_id])
    ledger.ledger.sealed(file.file_id)
    ledger.reader.read(ledger.ledger, [], NOW)
    assert ledger.reader.stale(NOW) == ["acme"]
    assert ledger.account().counts == {"complete": 1, "missing": 3}
    assert ledger.reader.stale(NOW) == []
