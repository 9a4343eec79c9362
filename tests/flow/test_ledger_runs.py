"""Runs that remember: resuming, repairing, catching up, restating, through the real ledger and real files."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.sealing import hidden
from collector.app.command import Command, Permits
from collector.app.leftovers import finish_leftovers
from collector.app.scope import Scope
from collector.core.exit_codes import ExitCode
from collector.core.plan import Batch
from collector.core.ranges import Between, Last, Moment
from collector.core.retry import RetryPolicy
from collector.core.shards import Shard
from collector.core.summary import Cause
from collector.events import LaneEnded
from collector.fetch import Limits, RateLimit
from collector.ledger import SqlLedger
from collector.model import ApiRequest, Org, SliceState, Zone
from collector.run.org_task import OrgTask
from collector.run.planning import Planning
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.flow.world import DAY, NOON, World, asked_days, day_of
from tests.support.fake_api import RESET, UNAUTHORIZED, FakeApi, FakeClock, Step, status
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual

COMPLETE, PARTIAL, FAILED = SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED
FEW_TRIES = Limits(
    concurrency=16, rate=FAST.rate, org_rate=FAST.org_rate, retry=RetryPolicy(attempts=2, bad_answer_attempts=2)
)


def test_the_first_collect_asks_the_lookback_and_the_next_one_nothing(world: World) -> None:
    first = world.collect(NOON)
    assert first.summary.count(COMPLETE) == first.summary.planned == 2 * 2 * 3  # 21st to 23rd
    asked = len(world.api.asked)
    second = world.collect(NOON + timedelta(minutes=5))
    assert second.exit_code == ExitCode.OK
    assert second.summary.planned == 0
    assert len(world.api.asked) == asked


def test_a_new_day_is_asked_once_it_is_due_and_rechecked_at_its_ages(world: World) -> None:
    world.collect(NOON)
    asked: Counter[str] = Counter()

    def note(_org: Org, request: ApiRequest, _n: int) -> Step:
        asked[day_of(request)] += 1
        return None

    world.api = FakeApi(script=note)
    for hour in range(1, 24 * 8):
        world.collect(NOON + timedelta(hours=hour))
    # Due 6 h after its end, again at 1 and 3 days: three times for both orgs and populations.
    assert {asked[f"2026-06-{day}"] for day in (24, 25, 26, 27, 28)} == {3 * 4}


def test_ten_missed_days_are_filled_by_one_collect_window_by_window(world: World) -> None:
    world.collect(NOON)
    before = {r["window_start"] for r in world.records}
    result = world.collect(NOON + 11 * DAY)
    filled = {r["window_start"] for r in world.records} - before
    assert len(filled) == 11
    assert result.exit_code == ExitCode.OK
    assert all(r["revision"] == 1 for r in world.records)


def test_a_since_that_is_moved_to_an_earlier_date_is_wanted_from_then_on(world: World) -> None:
    world.orgs = [make_org("a")]
    world.collect(NOON)
    world.orgs = [make_org("a", since=date(2026, 6, 1))]
    assert world.collect(NOON + timedelta(minutes=5)).exit_code == ExitCode.OK
    assert min(r["window_start"] for r in world.records).startswith("2026-06-01")
    world.orgs = [make_org("a", since=date(2026, 6, 10))]
    assert world.collect(NOON + timedelta(minutes=10)).summary.planned == 0


def test_the_first_collect_asks_all_of_its_lookback_also_where_catch_up_is_shorter(world: World) -> None:
    world.schedule = {"lookback": "10d", "catch_up": "3d"}
    assert world.collect(NOON).summary.planned == 2 * 2 * 10


def test_gaps_older_than_catch_up_are_left_to_backfill(world: World) -> None:
    world.collect(NOON)
    world.collect(NOON + 60 * DAY)
    days = {r["window_start"][:10] for r in world.records}
    assert "2026-07-10" not in days
    assert "2026-07-20" in days
    world.backfill(NOON + 60 * DAY, "2026-06-20", "2026-08-22")
    days = {r["window_start"][:10] for r in world.records}
    assert len(days) == 64
    ids = Counter((r["record_id"], r["revision"]) for r in world.records)
    assert set(ids.values()) == {1}


def test_a_failed_slice_is_asked_again_by_the_next_collect(world: World) -> None:
    world.limits = FEW_TRIES
    world.api = FakeApi(script=lambda _o, request, _n: status(500) if day_of(request) == "2026-06-22" else None)
    assert world.collect(NOON).summary.count(FAILED) == 4
    world.api = FakeApi()
    again = world.collect(NOON + timedelta(hours=1))
    assert {r["window_start"][:10] for r in world.records_of_run(again)} == {"2026-06-22"}
    assert len(world.api.asked) == 4


def test_what_failed_of_a_range_that_a_collect_was_given_is_repaired_by_later_ones(world: World) -> None:
    world.limits = FEW_TRIES
    world.api = FakeApi(script=lambda _o, request, _n: status(500) if day_of(request) == "2026-06-18" else None)
    assert world.collect(NOON, Last(7 * DAY)).summary.count(FAILED) == 4
    world.api = FakeApi()
    again = world.collect(NOON + timedelta(hours=1))
    assert {r["window_start"][:10] for r in world.records_of_run(again)} == {"2026-06-18"}
    assert again.exit_code == ExitCode.OK


def test_a_run_of_orgs_that_are_all_refused_for_their_calendars_ends_as_any_other(world: World) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    world.orgs = [make_org("a", zone=Zone.parse("Asia/Tokyo"))]
    assert world.backfill(NOON, "2026-06-01", "2026-06-15").exit_code == ExitCode.REFUSED
    ledger = SqlLedger.open(world.ledger_url, command="collector status", now=lambda: NOON, durable=False)
    try:
        assert ledger.begin_run("next", "collect", NOON) == []
        assert [run.exit_code for run in ledger.ended_runs("backfill", 10)] == [4, 0]
    finally:
        ledger.close()


def test_repairs_end_with_repair_for(world: World) -> None:
    world.limits = FEW_TRIES
    world.schedule = {"repair_for": "5d", "catch_up": "5d"}
    world.api = FakeApi(script=lambda *_: status(400))
    world.collect(NOON)
    world.api = FakeApi(script=lambda *_: RESET)
    world.collect(NOON + 20 * DAY)
    assert set(asked_days(world)) == {"a", "b"}
    assert not world.records


def test_a_backfill_goes_on_where_it_stopped_and_force_asks_again(world: World) -> None:
    world.limits = FEW_TRIES
    world.api = FakeApi(script=lambda _o, request, _n: RESET if day_of(request) > "2026-05-15" else None)
    first = world.backfill(NOON, "2026-05-01", "2026-05-31")
    done = first.summary.count(COMPLETE)
    assert done == 15 * 4
    world.api = FakeApi()
    second = world.backfill(NOON, "2026-05-01", "2026-05-31")
    assert second.summary.count(COMPLETE) == second.summary.planned == 16 * 4
    assert len(world.api.asked) == 16 * 4
    world.api = FakeApi()
    forced = world.backfill(NOON, "2026-05-01", "2026-05-31", force=True)
    assert len(world.api.asked) == 31 * 4
    assert world.records_of_run(forced) == []


def test_all_that_a_refused_org_was_not_asked_is_told_with_where_it_lies(world: World) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-02-01", "2026-02-10")
    world.api = FakeApi(script=lambda *_: UNAUTHORIZED)
    result = world.backfill(NOON, "2026-01-01", "2026-06-20")
    (end,) = [event for event in world.events if isinstance(event, LaneEnded)]
    assert end.remaining == (171 - 10) * 2 - 1
    spans = [spans_of_days(cause) for _, cause in result.summary.orgs["a"].causes]
    assert spans == [[("2026-01-01", "2026-02-01"), ("2026-02-11", "2026-06-21")]] * 2


@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_run_that_is_to_end_while_it_acquires_leases_reports_what_it_never_came_to(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    world.orgs, stop, plan = [make_org("a")], Stop(), Planning._plan

    def planned(self: Planning, task: OrgTask) -> Batch:
        stop.reload() if how == "reload" else stop.request(signal.SIGTERM)
        return plan(self, task)

    monkeypatch.setattr(Planning, "_plan", planned)
    range_ = Between(Moment.parse("2026-06-01"), Moment.parse("2026-06-10"))
    running = world.run(Command(name="backfill", range_=range_), run_id="1", clock=FakeClock(NOON), stop=stop)
    result = run_virtual(running)
    causes = [cause for _, cause in result.summary.orgs["a"].causes]
    assert world.api.asked == []
    assert [spans_of_days(cause) for cause in causes] == [[("2026-06-01", "2026-06-11")]] * 2
    assert result.summary.planned == result.summary.count(SliceState.NOT_ASKED) == 20
    assert {end.remaining for end in world.events if isinstance(end, LaneEnded)} <= {0, 20}


def spans_of_days(cause: Cause) -> list[tuple[str, str]]:
    return [(span.start.date().isoformat(), span.end.date().isoformat()) for span in cause.spans]


def test_runs_of_another_shard_are_not_taken_for_those_of_this_one(world: World) -> None:
    def label(index: int) -> str:
        return Command(name="serve", range_=None, scope=Scope(shard=Shard(index, 2))).label

    ledger = SqlLedger.open(world.ledger_url, command="collector serve", now=lambda: NOON, durable=False)
    try:
        ledger.begin_run("r1", label(1), NOON)
        ledger.end_run("r1", 0, NOON)
        assert ledger.ended_runs(label(0), 10) == []
        assert [run.run_id for run in ledger.ended_runs(label(1), 10)] == ["r1"]
    finally:
        ledger.close()


def test_an_org_that_another_process_works_on_is_waited_for_and_then_left_with_6(world: World) -> None:
    world.collect(NOON)
    other = SqlLedger.open(world.ledger_url, command="collector backfill", now=lambda: NOON, durable=False)
    try:
        (key,) = [row.key for row in other.organizations() if row.name == "a"]
        assert other.acquire([key]) == {}
        result = world.collect(NOON + DAY)
    finally:
        other.close()
    assert result.exit_code == ExitCode.BUSY
    assert {r["org"] for r in world.records_of_run(result)} == {"b"}


def test_complete_windows_of_a_busy_org_are_not_planned(world: World) -> None:
    """They once were: `planned 12, not_asked 12`, although the ledger left nothing to fetch."""
    world.schedule = {"recheck": []}
    world.collect(NOON)
    other = SqlLedger.open(world.ledger_url, command="collector backfill", now=lambda: NOON, durable=False)
    try:
        assert other.acquire([row.key for row in other.organizations()]) == {}
        result = world.collect(NOON)
        assert (result.summary.planned, result.exit_code) == (0, ExitCode.OK)
        incomplete = world.collect(NOON + DAY)
    finally:
        other.close()
    assert incomplete.summary.planned == incomplete.summary.count(SliceState.NOT_ASKED) == 2 * 2
    causes = [cause for org in incomplete.summary.orgs.values() for _, cause in org.causes]
    assert {(cause.code, *spans_of_days(cause)) for cause in causes} == {("busy", ("2026-06-24", "2026-06-25"))}


def test_a_run_that_is_stopped_before_its_start_plans_only_what_the_ledger_leaves_to_fetch(world: World) -> None:
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    stop = Stop()
    stop.request(signal.SIGTERM)
    range_ = Between(Moment.parse("2026-06-01"), Moment.parse("2026-06-12"))
    result = run_virtual(
        world.run(Command(name="backfill", range_=range_), run_id="9", clock=FakeClock(NOON), stop=stop)
    )
    assert result.summary.planned == result.summary.count(SliceState.NOT_ASKED) == 2 * 2 * 2
    causes = [cause for org in result.summary.orgs.values() for _, cause in org.causes]
    assert {(cause.code, *spans_of_days(cause)) for cause in causes} == {("stopped", ("2026-06-11", "2026-06-13"))}


@pytest.mark.parametrize("how", ["the directory is moved", "the hidden file is removed"])
def test_records_whose_file_went_away_in_mid_run_are_fetched_again(world: World, how: str) -> None:
    """The rename failed but its intent stayed, so that the next run took the file for sealed: 360 records were lost."""
    out = world.directory / "out"

    def going(org: Org, _request: ApiRequest, n: int) -> Step:
        if org.name == "b" and n == 40:
            if how == "the directory is moved":
                out.rename(world.directory / "moved")
                world.permits = Permits(elsewhere=True)
            else:
                (hidden,) = out.glob(".usage-*.unsealed")
                hidden.unlink()
        return None

    world.limits = replace(FAST, org_rate=RateLimit(4, 1.0))
    world.api = FakeApi(script=going)
    failed = world.backfill(NOON, "2026-05-01", "2026-05-30")
    assert failed.exit_code == ExitCode.OUTPUT
    assert "removed or moved away" in str(failed.output_error)
    assert (failed.summary.count(COMPLETE), failed.summary.records) == (0, 0)  # nothing was sealed
    assert len(world.api.asked) < 2 * 2 * 30 - 10  # it once went on to the end
    world.api = FakeApi()
    with capture_logs() as logs:
        again = world.backfill(NOON, "2026-05-01", "2026-05-30")
    assert not [log for log in logs if log["event"] == "run.interrupted"]  # it was not killed
    assert again.exit_code == (ExitCode.INCOMPLETE if how == "the directory is moved" else ExitCode.OK)
    assert not again.recovered
    records = world.records
    if how == "the directory is moved":  # what its file has is in doubt until it is seen
        moved = replace(world, directory=world.directory / "elsewhere")
        moved.directory.mkdir()
        (world.directory / "moved").rename(moved.directory / "out")
        ledger = SqlLedger.open(world.ledger_url, command="collector collect", now=lambda: NOON, durable=False)
        with closing(ledger):
            assert finish_leftovers(ledger, directories=[moved.directory / "out"], lost=(), own=None, now=NOON)
        records = [*records, *moved.records]
    slices = [(r["org"], r["population"], r["window_start"], r["product"]) for r in records]
    assert len(slices) == len(set(slices)) == 2 * 2 * 30 * 2


def test_recover_names_the_true_reason_why_a_file_stays_unsealed(world: World) -> None:
    world.collect(NOON)
    out = world.directory / "out"
    other = hidden(out, "usage-9999-0001.jsonl")
    other.write_bytes(b"{}\n")
    assert "doesn't know its run" in _recover(world, out)
    writer = OsFiles()
    writer.append(other, b"{}\n")
    assert "a running process writes it" in _recover(world, out)
    writer.close()


def _recover(world: World, directory: Path) -> str:
    """Run `collect --recover DIR` where one file stays unsealed; return the reason that it logs."""
    ledger = SqlLedger.open(world.ledger_url, command="collector collect", now=lambda: NOON, durable=False)
    with closing(ledger), capture_logs() as logs:
        assert not finish_leftovers(ledger, directories=[directory], lost=(), own=None, now=NOON)
    (message,) = [str(log["message"]) for log in logs if log["event"] == "file.unsealed"]
    return message
