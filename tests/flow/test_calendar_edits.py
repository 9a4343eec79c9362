"""A calendar that people edit, whatever the order of edits and runs: no hour is left out without a word, or twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from collector.app.command import first_wanted
from collector.app.coverage import CoverageReader
from collector.config.sections import Schedule
from collector.core.calendar_changes import cut_over
from collector.core.coverage import Ages
from collector.core.exit_codes import ExitCode
from collector.core.grid import Grids
from collector.core.ledger_entries import CalendarChanged, SliceKey, Standing
from collector.core.org_coverage import OrgCoverage
from collector.core.wanted import CollectWanted, due_spans
from collector.core.windows import Calendar, without
from collector.ledger import SqlLedger, open_reader
from collector.model import Granularity, Org, Population, Window, Zone
from collector.run.session import since_of
from tests.adapters.ledger.support import ALWAYS, commit
from tests.flow.world import DAY, World
from tests.support.orgs import make_org

BEGIN = datetime(2026, 6, 24, 12, tzinfo=UTC)
SCHEDULE = Schedule()
ONE = Population.ACCOUNT_USER
ZONES = ("UTC", "Europe/Kyiv", "Europe/Kiev", "Europe/London", "Asia/Tokyo", "Asia/Kolkata", "America/New_York")


def org_in(zone: str, granularity: Granularity = Granularity.DAY, since: date | None = None) -> Org:
    return make_org("a", zone=Zone.parse(zone), granularity=granularity, since=since, populations=(ONE,))


class Edited:
    """A ledger, and runs of configs: each fetches some of what is wanted."""

    def __init__(self, ledger: SqlLedger) -> None:
        self.ledger = ledger
        self.now = BEGIN
        self.accepted: Org | None = None
        self.named: list[Window] = []
        self.complete: list[Window] = []

    def run(self, org: Org, fetches: Sequence[bool]) -> Standing | CalendarChanged:
        """Make a run that completes every n-th window as `fetches` says; without any it has leased nothing."""
        found = self._register(org)
        if isinstance(found, CalendarChanged) or not fetches:
            return found
        since = since_of(org, found, self.ledger.wanted(found.key))
        wanted = CollectWanted(now=self.now, ages=ages(), since={"a": since})
        assert self.ledger.acquire([found.key], {found.key: (org, found.calendar_since)}) == {}
        known = self.ledger.coverage(found.key, ALWAYS)
        span = wanted.span(org)
        windows = [*Grids().of(org).windows(span)] if span else []
        missing = [one for one in windows if wanted.needs(org, one, None) and (ONE, one.start) not in known]
        self._commit(found.key, [one for n, one in enumerate(missing) if fetches[n % len(fetches)]])
        self.ledger.release([found.key])
        return found

    def _register(self, org: Org) -> Standing | CalendarChanged:
        expected = self.ledger.calendar_changes([org], names=["a"]).get("a")
        first = {"a": first_wanted(org, SCHEDULE, now=self.now)}
        found = self.ledger.register([org], wanted_from=first, now=self.now)["a"]
        if isinstance(found, CalendarChanged):
            assert found == expected
            return found
        if found.cut_over:
            assert cut_over(org, found.cut_over)
            self.named += found.cut_over.left_out
        assert not isinstance(expected, CalendarChanged)
        self.accepted = org
        return found

    def _commit(self, key: int, windows: Sequence[Window]) -> None:
        self.complete += windows
        at = [SliceKey(key=key, population=ONE, start=window.start) for window in windows]
        rows = [commit(key, 0, slice=one, end=window.end) for one, window in zip(at, windows, strict=True)]
        self.ledger.commit(rows, None)

    def verify(self) -> None:
        """No window overlaps with another, and each wanted time is in one, will be, or was named."""
        if self.accepted is None:
            return
        org = replace(self.accepted, since=None)
        found = self._register(org)
        assert isinstance(found, Standing)
        since = since_of(org, found, self.ledger.wanted(found.key))
        spans = due_spans(org, since, settle=SCHEDULE.settle, now=self.now)
        grid = Grids().of(org)
        present = {window for span in spans for window in grid.windows(span)}
        whole = sorted({*self.complete, *present}, key=lambda window: window.start)
        assert all(one.end <= other.start for one, other in pairwise(whole))
        start = max(since.wanted_from, found.wanted_from)  # by the nearest boundary, or widened
        due = Calendar(org.zone, org.granularity).floor(self.now - SCHEDULE.settle)
        assert start >= due or without([Window(start, due)], [*whole, *self.named]) == []


def ages() -> Ages:
    return Ages(settle=SCHEDULE.settle, recheck=SCHEDULE.recheck, repair_for=400 * DAY, catch_up=400 * DAY)


@contextmanager
def edited() -> Iterator[Edited]:
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/ledger.db"
        ledger = SqlLedger.open(url, command="collect", now=lambda: BEGIN, durable=False)
        try:
            yield Edited(ledger)
        finally:
            ledger.close()


steps = st.tuples(
    st.sampled_from(ZONES),
    st.sampled_from([Granularity.DAY, Granularity.DAY, Granularity.HOUR, Granularity.WEEK, Granularity.MONTH]),
    st.none() | st.integers(-12, 25),  # `since`, in days from that day on
    st.integers(0, 6),  # days until the run
    st.sampled_from([(), (True,), (True, False), (False, True, True), (False,)]),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(steps, min_size=1, max_size=7))
def test_whatever_is_edited_each_wanted_hour_is_in_one_window_or_named(
    edits: list[tuple[str, Granularity, int | None, int, tuple[bool, ...]]],
) -> None:
    with edited() as world:
        for zone, granularity, since, days, fetches in edits:
            world.now += days * DAY
            day = None if since is None else world.now.date() + since * DAY
            world.run(org_in(zone, granularity, day), fetches)
        world.verify()


def test_a_zone_that_is_changed_twice_with_nothing_fetched_in_between_is_refused_with_the_since_to_set(
    world: World,
) -> None:
    world.orgs = [org_in("Europe/Kyiv")]
    world.backfill(BEGIN, "2026-06-10", "2026-06-19")  # and wanted from the 21st on, by the lookback
    world.orgs = [org_in("Europe/London", since=date(2026, 6, 22))]
    with capture_logs() as logs:
        assert world.collect(datetime(2026, 6, 22, 1, tzinfo=UTC)).summary.planned == 0
    assert [log["message"] for log in logs if log["event"] == "calendar.cut_over"] == [
        "org 'a': its windows by day in Europe/London begin at 2026-06-22T00:00:00+01:00. No run fetches what is "
        "wanted before that and not complete: 26 hours from 2026-06-20T22:00:00+01:00 to 2026-06-22T00:00:00+01:00. "
        "To keep it, set the org back to day in Europe/Kyiv, collect it, and then change the calendar; or set an "
        "earlier `since`, where a window can begin"
    ]
    world.orgs = [org_in("Asia/Tokyo")]
    result = world.collect(BEGIN)
    assert result.exit_code == ExitCode.REFUSED
    ((_, cause),) = result.summary.orgs["a"].causes
    assert "set `since: 2026-06-21` for it, so that the new calendar begins there" in cause.message
    assert "for 18 hours from 2026-06-20T06:00:00+09:00 to 2026-06-21T00:00:00+09:00" in cause.message


def test_a_since_that_was_too_late_can_be_moved_back_while_nothing_is_fetched_by_it(world: World) -> None:
    world.orgs = [org_in("Europe/Kyiv")]
    world.backfill(BEGIN, "2026-06-10", "2026-06-19")
    world.orgs = [org_in("Europe/London", since=date(2026, 12, 1))]  # meant is 2026-06-21
    assert world.collect(BEGIN).summary.planned == 0
    world.orgs = [org_in("Europe/London", since=date(2026, 6, 21))]
    assert world.collect(BEGIN).summary.planned == 3
    assert {record["window_start"][:10] for record in world.records if record["timezone"] == "Europe/London"} == {
        "2026-06-21",
        "2026-06-22",
        "2026-06-23",
    }


def test_a_third_calendar_that_is_taken_back_leaves_the_second_where_it_began(world: World) -> None:
    world.orgs = [org_in("Europe/Kyiv")]
    world.backfill(BEGIN, "2026-06-10", "2026-06-19")
    world.orgs = [org_in("Europe/London", since=date(2026, 6, 20))]
    world.backfill(BEGIN, "2026-06-20", "2026-06-20")
    world.orgs = [org_in("Asia/Tokyo", since=date(2026, 6, 24))]
    assert world.collect(BEGIN).summary.planned == 0
    world.orgs = [org_in("Europe/London")]
    assert world.collect(BEGIN).summary.planned == 3


def test_a_backfill_of_a_range_that_no_calendar_has_any_more_names_its_hours(world: World) -> None:
    world.orgs = [org_in("Europe/Kyiv")]
    world.backfill(BEGIN, "2026-06-10", "2026-06-12")
    world.orgs = [org_in("Europe/London", since=date(2026, 6, 20))]
    world.collect(BEGIN)
    world.orgs = [org_in("Europe/London")]  # the ledger knows the beginning
    with capture_logs() as logs:
        assert world.backfill(BEGIN, "2026-06-11", "2026-06-16").summary.planned == 0
    (message,) = [log["message"] for log in logs if log["event"] == "calendar.cut_over"]
    assert "not complete: 98 hours from 2026-06-12T22:00:00+01:00 to 2026-06-17T00:00:00+01:00" in message
    with capture_logs() as logs:
        world.backfill(BEGIN, "2026-06-11", "2026-06-11")
    assert "calendar.cut_over" not in {log["event"] for log in logs}  # all of it is complete by the old one


def test_a_range_by_days_is_wanted_by_months_too_where_nothing_is_fetched_yet() -> None:
    with edited() as ledger:
        ledger.run(org_in("UTC"), ())
        ledger.now += 30 * DAY
        ledger.run(org_in("UTC", Granularity.MONTH), (True,))
        assert [one.start.date() for one in ledger.complete] == [date(2026, 6, 1)]


def status_of(world: World, now: datetime) -> OrgCoverage:
    ledger = open_reader(world.ledger_url)
    assert ledger is not None
    try:
        return CoverageReader(world.config, days=None).read_all(ledger, now)["a"]
    finally:
        ledger.close()


def test_a_since_of_tomorrow_is_shown_with_what_was_collected_before_and_counts_again_when_it_is_taken_back(
    world: World,
) -> None:
    """Until the next commit, status said "0 of 0" after the `since` was removed again."""
    world.orgs = [org_in("UTC")]
    world.collect(BEGIN)
    whole = status_of(world, BEGIN)
    (before,) = whole.populations
    assert (before.windows, before.incomplete, whole.begins_later) == (3, 0, None)
    world.orgs = [org_in("Asia/Tokyo", since=date(2026, 7, 1))]
    world.collect(BEGIN)  # its calendar is in the ledger, and nothing is fetched
    later = status_of(world, BEGIN)
    (population,) = later.populations
    assert population.windows == 0
    assert later.begins_later == datetime(2026, 6, 30, 15, tzinfo=UTC)
    assert population.newest_complete == before.newest_complete
    world.orgs = [org_in("UTC")]
    again = status_of(world, BEGIN)
    assert (again.populations[0].counts, again.begins_later) == (before.counts, None)
