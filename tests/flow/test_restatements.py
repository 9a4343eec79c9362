"""What answers do to what the ledger keeps: restated, held back, unverified, told as suspicious."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from structlog.testing import capture_logs

from collector.adapters.event_log import EventLog
from collector.core.anomalies import Anomaly
from collector.core.exit_codes import ExitCode
from collector.core.retry import RetryPolicy
from collector.events import SliceCommitted
from collector.fetch import Limits
from collector.model import ApiRequest, Org, Population, SliceState
from tests.flow.harness import FAST
from tests.flow.world import NOON, World, counting, day_of
from tests.support.fake_api import FakeApi, Step, answer, for_org
from tests.support.orgs import make_org

COMPLETE, PARTIAL, FAILED = SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED
FEW_TRIES = Limits(
    concurrency=16, rate=FAST.rate, org_rate=FAST.org_rate, retry=RetryPolicy(attempts=2, bad_answer_attempts=2)
)


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
    assert (zero["anomalies"], leapt["anomalies"]) == (["suddenly_zero"], ["unit_changed"])
    assert {r["org"] for r in world.records if r["anomalies"]} == {"a"}
    assert sum(len(r["anomalies"]) for r in world.records) == 2
    found = {one["anomaly"]: one for one in world.manifest(result)["anomalies"]}
    assert found.pop("product_missing")["slices"] == 2  # of which no record can say so
    assert {kind: one["windows"][0]["start"] for kind, one in found.items()} == {
        "suddenly_zero": "2026-06-21T00:00:00+00:00",
        "unit_changed": "2026-06-22T00:00:00+00:00",
    }
    assert found["unit_changed"]["products"] == ["automation"]
    assert {(one["org"], one["population"], one["slices"]) for one in found.values()} == {("a", "account-user", 1)}
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
    assert {(r["population"], *r["anomalies"]) for r in world.records} == {
        ("account-user",),  # emitted first, when there was nothing to compare it with
        ("service-user", "same_totals"),
    }


def test_of_two_populations_in_one_commit_the_second_one_is_compared_with_the_first(world: World) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-05")
    by_day: dict[str, set[tuple[str, ...]]] = {}
    for r in world.records:
        by_day.setdefault(r["window_date"], set()).add(tuple(r["anomalies"]))
    assert len(by_day) == 5
    assert all(found == {(), ("same_totals",)} for found in by_day.values())
    (coverage,) = world.page(NOON).values()
    for population in coverage.populations:
        (missing,) = [one for one in population.anomalies if one.anomaly is Anomaly.PRODUCT_MISSING]
        assert (missing.window.start.day, missing.window.end.day) == (1, 6)  # five windows, one span
        assert "realtime" in missing.products


def test_totals_that_shrank_are_counted_also_where_nothing_is_emitted(world: World) -> None:
    world.schedule = {"restate_for": "0"}
    world.api = FakeApi(script=counting(50))
    world.backfill(NOON, "2026-06-01", "2026-06-03")
    world.api = FakeApi(script=counting(40))
    result = world.backfill(NOON, "2026-06-01", "2026-06-03", force=True)
    assert result.summary.flags[Anomaly.SHRUNK] == 3 * 2 * 2
    assert result.summary.records == 0
    shrunk = [one for one in world.manifest(result)["anomalies"] if one["anomaly"] == "shrunk"]
    assert {(one["org"], one["population"]): (one["slices"], one["products"]) for one in shrunk} == {
        (org, population): (3, ["automation"]) for org in ("a", "b") for population in ("account-user", "service-user")
    }


def test_the_log_says_which_number_stays_and_its_advice_corrects_it(world: World) -> None:
    world.orgs = [make_org("a", populations=(Population.ACCOUNT_USER,))]
    world.schedule = {"restate_for": "10d"}
    days = (NOON, "2026-06-01", "2026-06-01")
    world.api = FakeApi(script=counting(50))
    world.backfill(*days)
    world.api = FakeApi(script=counting(40))
    with capture_logs() as logs:
        world.backfill(*days, force=True)
        for event in world.events:
            EventLog()(event)
    (told,) = [one for one in logs if one.get("flag") == "shrunk"]
    assert told["kept"] == ["automation"]
    assert "the earlier, larger numbers stay" in told["message"]
    assert "set schedule.restate_for higher" in told["message"]
    assert "`backfill --force`" in told["message"]
    assert [r["total_tests"] for r in world.records] == [50]

    world.schedule = {"restate_for": "100d"}
    world.events.clear()
    with capture_logs() as logs:
        world.backfill(*days, force=True)
        for event in world.events:
            EventLog()(event)
    (told,) = [one for one in logs if one.get("flag") == "shrunk"]
    assert "kept" not in told
    assert [(r["revision"], r["total_tests"]) for r in world.records] == [(1, 50), (2, 40)]


def test_only_the_products_that_shrank_are_flagged_and_an_equal_answer_keeps_the_anomaly(world: World) -> None:
    def script(tests: int) -> FakeApi:
        products = {
            name: {"totalTests": n, "totalDuration": n * 9} for name, n in (("automation", tests), ("hyp", tests))
        }
        products["realtime"] = (
            {"totalTests": 7 + tests, "totalDuration": 9} if tests > 40 else {"totalTests": 700, "totalDuration": 9}
        )
        return FakeApi(script=lambda org, request, _n: answer(org, request, products=products))

    world.orgs = [make_org("a", populations=(Population.ACCOUNT_USER,))]
    world.api = script(50)
    world.backfill(NOON, "2026-06-22", "2026-06-22")
    world.api = script(40)
    second = world.backfill(NOON, "2026-06-22", "2026-06-22", force=True)
    assert {r["product"]: "shrunk" in r["anomalies"] for r in world.records_of_run(second)} == {
        "automation": True,
        "hyp": True,
        "realtime": False,
    }
    third = world.backfill(NOON, "2026-06-22", "2026-06-22", force=True)
    assert world.records_of_run(third) == []
    (coverage,) = world.page(NOON).values()
    (population,) = coverage.populations
    assert {one.anomaly: one.products for one in population.anomalies}[Anomaly.SHRUNK] == ("automation", "hyp")


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
