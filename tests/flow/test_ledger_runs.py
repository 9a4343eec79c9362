"""Runs that remember: resuming, repairing, catching up, restating, through the real ledger and real files."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from collector.app.command import Command
from collector.app.scope import Scope
from collector.core.anomalies import Anomaly
from collector.core.exit_codes import ExitCode
from collector.core.plan import Batch
from collector.core.ranges import Between, Last, Moment
from collector.core.retry import RetryPolicy
from collector.core.shards import Shard
from collector.core.summary import Cause
from collector.errors import ConfigError, LedgerError
from collector.events import LaneEnded, SliceCommitted
from collector.fetch import Limits, RateLimit
from collector.ledger import SqlLedger
from collector.model import ApiRequest, Granularity, Org, Population, SliceState, Zone
from collector.run.leasing import Leasing
from collector.run.org_task import OrgTask
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.flow.world import DAY, NOON, World
from tests.support.fake_api import RESET, FakeApi, FakeClock, Script, Step, answer, for_org, status
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual

COMPLETE, PARTIAL, FAILED = SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED
FEW_TRIES = Limits(
    concurrency=16, rate=FAST.rate, org_rate=FAST.org_rate, retry=RetryPolicy(attempts=2, bad_answer_attempts=2)
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def counting(tests: int) -> Script:
    """Every day has that many tests."""
    return lambda org, request, _n: answer(
        org, request, products={"automation": {"totalTests": tests, "totalDuration": tests * 10}}
    )


def day_of(request: ApiRequest) -> str:
    return request.from_[:10]


def asked_days(world: World, before: int = 0) -> Counter[str]:
    return Counter(name for _, name in world.api.asked[before:])


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


def test_partial_for_two_days_then_healed_is_repaired_by_later_collects_and_restated_once(world: World) -> None:
    def partial(org: Org, request: ApiRequest, _n: int) -> Step:
        return answer(
            org,
            request,
            partial=True,
            products={
                "automation": {"totalTests": 10, "totalDuration": 1000},
                "smartui": {"totalScreenshots": 0},
            },
        )

    world.api = FakeApi(script=for_org({"a": partial}))
    for hour in range(0, 48, 6):
        result = world.collect(NOON + timedelta(hours=hour))
        assert result.exit_code == ExitCode.INCOMPLETE
    unavailable = [r for r in world.records if r["quality"] == "unavailable"]
    assert {r["product"] for r in unavailable} == {"smartui"}
    assert all(r["total_screenshots"] is None for r in unavailable)
    assert all(r["revision"] == 1 for r in world.records)

    world.api = FakeApi()
    healed = world.collect(NOON + timedelta(hours=50))
    assert healed.exit_code == ExitCode.OK
    restated = [r for r in world.records_of_run(healed) if r["org"] == "a" and r["product"] == "smartui"]
    assert {r["revision"] for r in restated} == {2}
    assert {r["total_screenshots"] for r in restated} == {5}
    assert {r["org_users"] for r in world.records_of_run(healed)} == {3}
    after = world.collect(NOON + timedelta(hours=51))
    assert world.records_of_run(after) == []


def test_late_data_is_restated_once_with_the_new_numbers_and_nothing_else_emitted(world: World) -> None:
    world.api = FakeApi(script=counting(100))
    world.collect(NOON)
    world.api = FakeApi(script=counting(120))
    restating = [world.collect(NOON + timedelta(hours=hour)) for hour in range(1, 72)]
    restated = [r for result in restating for r in world.records_of_run(result) if r["revision"] > 1]
    assert {r["total_tests"] for r in restated} == {120}
    assert {r["revision"] for r in restated} == {2}
    per_id = Counter(r["record_id"] for r in restated)
    assert set(per_id.values()) == {1}
    ids = Counter((r["record_id"], r["revision"]) for r in world.records)
    assert set(ids.values()) == {1}


def test_collected_at_rises_with_each_revision_even_if_the_clock_goes_back(world: World) -> None:
    world.api = FakeApi(script=counting(1))
    world.backfill(NOON, "2026-06-10", "2026-06-12")
    world.api = FakeApi(script=counting(2))
    world.backfill(NOON - timedelta(days=2), "2026-06-10", "2026-06-12", force=True)
    by_id: dict[str, list[tuple[int, str]]] = {}
    for r in world.records:
        by_id.setdefault(r["record_id"], []).append((r["revision"], r["collected_at"]))
    for revisions in by_id.values():
        assert [revision for revision, _ in sorted(revisions)] == [1, 2]
        assert [at for _, at in sorted(revisions)] == sorted(at for _, at in revisions)


def test_a_total_that_shrinks_is_kept_back_where_the_window_is_old_and_restated_where_not(world: World) -> None:
    world.schedule = {"restate_for": "10d"}
    world.api = FakeApi(script=counting(50))
    world.backfill(NOON, "2026-06-01", "2026-06-23")
    world.api = FakeApi(script=counting(40))
    result = world.backfill(NOON, "2026-06-01", "2026-06-23", force=True)
    days = {r["window_start"][:10] for r in world.records_of_run(result)}
    assert min(days) == "2026-06-14"  # the 13th ended more than ten days ago
    assert len(days) == 10


def test_an_all_zero_answer_never_replaces_a_number_and_is_unverified_where_old(world: World) -> None:
    zero = FakeApi(
        script=lambda org, request, _n: answer(
            org, request, users=0, products={"automation": {"totalTests": 0, "totalDuration": 0}}
        )
    )
    world.api = FakeApi(script=counting(50))
    world.backfill(NOON, "2026-01-01", "2026-01-03")
    world.api = zero
    again = world.backfill(NOON, "2026-01-01", "2026-01-03", force=True)
    assert world.records_of_run(again) == []
    fresh = world.backfill(NOON, "2026-01-04", "2026-01-05")
    assert {r["quality"] for r in world.records_of_run(fresh)} == {"unverified"}


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


def test_a_run_that_is_refused_for_its_calendar_leaves_no_run_that_looks_interrupted(world: World) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    world.orgs = [make_org("a", zone=Zone.parse("Asia/Tokyo"))]
    with pytest.raises(ConfigError):
        world.backfill(NOON, "2026-06-01", "2026-06-15")
    ledger = SqlLedger.open(world.ledger_url, command="collector status", now=lambda: NOON, durable=False)
    try:
        assert ledger.begin_run("next", "collect", NOON) == []
        assert len(ledger.ended_runs("backfill", 10)) == 1
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
    world.api = FakeApi(script=lambda *_: status(401))
    result = world.backfill(NOON, "2026-01-01", "2026-06-20")
    (end,) = [event for event in world.events if isinstance(event, LaneEnded)]
    assert end.remaining == (171 - 10) * 2 - 1
    spans = [spans_of_days(cause) for _, cause in result.summary.orgs["a"].causes]
    assert spans == [[("2026-01-01", "2026-02-01"), ("2026-02-11", "2026-06-21")]] * 2


@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_run_that_is_to_end_while_it_acquires_leases_reports_what_it_never_came_to(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    world.orgs, stop, plan = [make_org("a")], Stop(), Leasing._plan

    def planned(self: Leasing, task: OrgTask) -> Batch:
        stop.reload() if how == "reload" else stop.request(signal.SIGTERM)
        return plan(self, task)

    monkeypatch.setattr(Leasing, "_plan", planned)
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


def test_renaming_an_org_changes_no_record_id_and_asks_no_slice_again(world: World) -> None:
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    credential = make_org("a").credential
    world.orgs = [make_org("a", credential=credential)]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    asked = len(world.api.asked)
    world.orgs = [make_org("renamed", credential=credential)]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    assert len(world.api.asked) == asked
    result = world.backfill(NOON, "2026-06-01", "2026-06-11")
    assert len(world.api.asked) == asked + 2
    assert {r["org"] for r in world.records_of_run(result)} == {"renamed"}


def test_a_credential_that_now_belongs_to_another_organization_is_refused_before_anything_is_booked(
    world: World,
) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-02")
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="another"))
    result = world.backfill(NOON, "2026-06-01", "2026-06-05")
    assert result.exit_code == ExitCode.REFUSED
    assert world.records_of_run(result) == []
    (cause, *_) = [cause for _, cause in result.summary.orgs["a"].causes]
    assert "set org_id: 'another' if the new one is right" in cause.message


def test_a_ledger_that_fails_while_an_organization_is_bound_ends_the_run_with_5_and_not_as_a_defect(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(SqlLedger, "identify", fail)
        result = world.backfill(NOON, "2026-06-01", "2026-06-02")
    assert result.exit_code == ExitCode.OUTPUT
    assert str(result.output_error) == "the disk is full"
    assert world.records == []
    assert world.backfill(NOON, "2026-06-01", "2026-06-02").exit_code == ExitCode.OK


def test_two_orgs_that_turn_out_to_be_one_are_refused_and_the_known_one_goes_on(world: World) -> None:
    world.orgs = [make_org("z")]
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    world.backfill(NOON, "2026-06-01", "2026-06-02")
    world.orgs = [make_org("a"), make_org("z")]
    result = world.backfill(NOON, "2026-06-01", "2026-06-05")
    assert result.exit_code == ExitCode.REFUSED
    assert {r["org"] for r in world.records_of_run(result)} == {"z"}
    assert result.summary.orgs["a"].refused


def test_two_names_of_one_organization_are_collected_once_where_that_is_allowed(world: World) -> None:
    world.same_organization = "allow"
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    for _ in range(2):
        result = world.backfill(NOON, "2026-06-01", "2026-06-10")
        assert result.exit_code == ExitCode.OK
    ids = Counter((r["record_id"], r["revision"]) for r in world.records)
    assert len(ids) == 10 * 2 * 2  # days, populations, products
    assert set(ids.values()) == {1}


def test_a_config_that_is_refused_for_one_org_changes_nothing_of_another(world: World) -> None:
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    before = world.orgs
    tokyo = Zone.parse("Asia/Tokyo")
    world.orgs = [make_org("a", zone=tokyo, since=date(2026, 6, 20)), make_org("b", zone=tokyo), make_org("new")]
    with pytest.raises(ConfigError) as refused:
        world.collect(NOON)
    assert "'b'" in str(refused.value)
    assert "'a'" not in str(refused.value)
    world.orgs = before
    assert world.collect(NOON).exit_code == ExitCode.OK
    ledger = SqlLedger.open(world.ledger_url, command="collector status", now=lambda: NOON, durable=False)
    try:
        assert {row.name for row in ledger.organizations()} == {"a", "b"}
    finally:
        ledger.close()


def test_two_new_names_of_one_organization_are_collected_by_one_backfill_beside_others(world: World) -> None:
    world.same_organization = "allow"
    world.orgs = [make_org("a"), make_org("b"), make_org("c")]
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42" if org.name in "ab" else "43"))
    result = world.backfill(NOON, "2026-03-01", "2026-06-10")
    assert result.exit_code == ExitCode.OK
    ids = Counter((r["record_id"], r["revision"]) for r in world.records)
    assert set(ids.values()) == {1}
    assert {r["org_id"] for r in world.records} == {"42", "43"}


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


@pytest.mark.parametrize(
    "change", [{"zone": Zone.parse("Asia/Tokyo")}, {"granularity": Granularity.HOUR}], ids=["zone", "granularity"]
)
def test_a_changed_calendar_is_refused_with_the_since_to_set_and_then_begins_without_overlap(
    world: World, change: dict[str, object]
) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    covered = max(r["window_end"] for r in world.records)
    world.orgs = [make_org("a", **change)]
    with pytest.raises(ConfigError, match=r"set `since: (2026-06-1[12])`") as refused:
        world.backfill(NOON, "2026-06-01", "2026-06-15")
    since = str(refused.value).partition("set `since: ")[2][:10]
    assert ("neither calendar has windows" in str(refused.value)) == ("zone" in change)  # Tokyo's day is another
    world.orgs = [make_org("a", since=date.fromisoformat(since), **change)]
    result = world.backfill(NOON, "2026-06-01", "2026-06-15")
    starts = [datetime.fromisoformat(r["window_start"]) for r in world.records_of_run(result)]
    assert starts
    assert min(starts) >= datetime.fromisoformat(covered)
    assert min(starts).astimezone(UTC) <= datetime.fromisoformat(covered) + DAY
    assert world.backfill(NOON, "2026-06-01", "2026-06-15").summary.planned == 0


def test_an_organization_known_by_another_calendar_under_another_name_is_refused_with_the_since_to_set(
    world: World,
) -> None:
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    other = make_org("b", zone=Zone.parse("Asia/Tokyo"))  # another user, so that only the answer tells who it is
    world.orgs = [other]
    result = world.backfill(NOON, "2026-06-01", "2026-06-15")
    assert result.exit_code == ExitCode.REFUSED
    assert world.records_of_run(result) == []
    (message, *_) = [cause.message for _, cause in result.summary.orgs["b"].causes]
    assert "set `since: 2026-06-11` for it" in message or "set `since: 2026-06-12` for it" in message


def test_an_answer_that_is_suspicious_is_kept_as_it_is_counted_and_told(world: World) -> None:
    world.orgs = [make_org("a", populations=(Population.ACCOUNT_USER,))]
    world.api = FakeApi(script=counting(50))
    world.backfill(NOON, "2026-05-01", "2026-06-20")
    world.api = FakeApi(
        script=lambda org, request, _n: answer(
            org,
            request,
            users=0 if day_of(request) == "2026-06-21" else 3,
            products={
                "automation": {"totalTests": 0, "totalDuration": 0}
                if day_of(request) == "2026-06-21"
                else {"totalTests": 50, "totalDuration": 50 * 10 * 1000}
            },
        )
    )
    result = world.backfill(NOON, "2026-06-21", "2026-06-22")
    assert result.summary.flags[Anomaly.SUDDENLY_ZERO] == 1
    assert result.summary.flags[Anomaly.UNIT_CHANGED] == 1
    zero, leapt = world.records_of_run(result)
    assert (zero["quality"], zero["total_tests"]) == ("measured", 0)
    assert leapt["total_duration"] == 500_000
    told = [event.flags for event in world.events if isinstance(event, SliceCommitted)]
    assert Anomaly.SUDDENLY_ZERO in told[-2]
    assert Anomaly.UNIT_CHANGED in told[-1]


def test_the_same_totals_of_both_populations_are_told_also_if_the_other_one_came_in_an_earlier_run(
    world: World,
) -> None:
    world.orgs = [make_org("a", populations=(Population.ACCOUNT_USER,))]
    world.backfill(NOON, "2026-06-01", "2026-06-05")
    world.orgs = [make_org("a")]
    result = world.backfill(NOON, "2026-06-01", "2026-06-05")
    assert result.summary.flags[Anomaly.SAME_TOTALS] == 5


def test_totals_that_shrank_are_counted_also_where_nothing_is_emitted(world: World) -> None:
    world.schedule = {"restate_for": "0"}
    world.api = FakeApi(script=counting(50))
    world.backfill(NOON, "2026-06-01", "2026-06-03")
    world.api = FakeApi(script=counting(40))
    result = world.backfill(NOON, "2026-06-01", "2026-06-03", force=True)
    assert result.summary.flags[Anomaly.SHRUNK] == 3 * 2 * 2
    assert result.summary.records == 0


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
        assert (result.summary.planned, result.exit_code) == (0, ExitCode.BUSY)
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


def test_a_partial_answer_after_a_complete_one_only_adds_what_was_unknown(world: World) -> None:
    """Complete 100, then a partial answer with 7 once made revision 2, measured, 7."""
    world.orgs = [make_org("a", populations=(Population.ACCOUNT_USER,))]

    def answering(tests: int, more: dict[str, dict[str, int]], *, partial: bool) -> FakeApi:
        products = {"automation": {"totalTests": tests, "totalDuration": tests}, **more}
        return FakeApi(script=lambda org, request, _n: answer(org, request, products=products, partial=partial))

    world.api = answering(100, {}, partial=False)
    world.backfill(NOON, "2026-06-01", "2026-06-01")
    for tests in (7, 700):
        world.api = answering(tests, {"realtime": {"totalTests": 3, "totalDuration": 3}}, partial=True)
        result = world.backfill(NOON, "2026-06-01", "2026-06-01", force=True)
        assert result.summary.count(SliceState.PARTIAL) == 1
    assert [(r["product"], r["revision"], r["quality"], r["total_tests"], r["org_users"]) for r in world.records] == [
        ("automation", 1, "measured", 100, 3),
        ("realtime", 1, "measured", 3, 3),
    ]


@pytest.mark.parametrize("how", ["the directory is moved", "the hidden file is removed"])
def test_records_whose_file_went_away_in_mid_run_are_fetched_again(world: World, how: str) -> None:
    """The rename failed but its intent stayed, so that the next run took the file for sealed: 360 records were lost."""
    out = world.directory / "out"

    def going(org: Org, _request: ApiRequest, n: int) -> Step:
        if org.name == "b" and n == 40:
            if how == "the directory is moved":
                out.rename(world.directory / "moved")
            else:
                (hidden,) = out.glob(".usage-*.unsealed")
                hidden.unlink()
        return None

    world.limits = replace(FAST, org_rate=RateLimit(4, 1.0))
    world.api = FakeApi(script=going)
    failed = world.backfill(NOON, "2026-05-01", "2026-05-30")
    assert failed.exit_code == ExitCode.OUTPUT
    world.api = FakeApi()
    again = world.backfill(NOON, "2026-05-01", "2026-05-30")
    assert again.exit_code == ExitCode.OK
    assert not again.recovered
    slices = [(r["org"], r["population"], r["window_start"], r["product"]) for r in world.records]
    assert len(slices) == len(set(slices)) == 2 * 2 * 30 * 2
