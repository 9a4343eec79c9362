"""`reconcile`: a few requests say whether anything changed; exactly what did is restated, and the table says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from collector.app.command import Command
from collector.core.comparison import Comparison
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Between, Moment
from collector.core.retry import RetryPolicy
from collector.fetch import Limits, RateLimit
from collector.model import ApiRequest, Granularity, Org, Population, SliceState, Zone
from collector.run.manifest import RunResult, local_spans
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.flow.world import DAY, World
from tests.support.breadth import some_of
from tests.support.fake_api import UNAUTHORIZED, FakeApi, FakeClock, Step, answer, status
from tests.support.orgs import make_org
from tests.support.spans import SpanApi, noon_of, span_of
from tests.support.virtual_time import run_virtual

PEOPLE, SERVICES = Population
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = [FIRST + number * DAY for number in range(365)]
NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
YEARS = timedelta(days=2000)
YEAR = ("2025-01-01", "2025-12-31")
TESTS = ("automation", "total_tests")


def usage_of(seed: int = 1) -> dict[Population, dict[datetime, int]]:
    draw = random.Random(seed)
    return {p: noon_of(day for day in DAYS if draw.random() < 0.8) for p in Population}


def world(tmp_path: Path, *orgs: Org, **changes: Any) -> World:
    values: dict[str, Any] = {"trust_zero_for": YEARS, "schedule": {"restate_for": "2000d"}}
    return World(tmp_path, orgs=[*orgs] or [make_org("a")], **(values | changes))


def collected(there: World, api: SpanApi, *range_: str) -> None:
    """Collect the usage, and forget the requests."""
    there.api = FakeApi(api.script)
    there.backfill(NOW, *(range_ or YEAR))
    api.requested.clear()


def late(api: SpanApi, days: Iterable[int], population: Population = PEOPLE) -> set[str]:
    """Let tests come late on these days of the year; return their dates."""
    for n in days:
        api.usage[population][DAYS[n] + timedelta(hours=3)] = 11
    return {f"{DAYS[n]:%Y-%m-%d}" for n in days}


def restated(there: World, result: RunResult) -> set[str]:
    return {record["window_start"][:10] for record in there.records_of_run(result)}


def comparison(result: RunResult, population: Population = PEOPLE, org: str = "a") -> Comparison:
    found = result.summary.orgs[org].populations[population].comparison
    assert found is not None
    return found


def test_a_year_in_which_nothing_changed_costs_five_requests_and_emits_nothing(tmp_path: Path) -> None:
    there, api = world(tmp_path), SpanApi(usage_of())
    collected(there, api)
    result = there.reconcile(NOW, *YEAR)
    assert result.exit_code is ExitCode.OK
    assert [api.requests("a", population) for population in Population] == [5, 5]
    assert there.records_of_run(result) == []
    assert result.summary.requests == 10
    assert there.manifest(result)["slices"] | {"complete": 730} == there.manifest(result)["slices"]
    assert comparison(result).windows == 365
    assert not comparison(result).differs


@pytest.mark.parametrize("seed", some_of(range(8), 3))
def test_three_changed_days_cost_at_most_eight_requests_each_and_only_they_are_restated(
    tmp_path: Path, seed: int
) -> None:
    there, api = world(tmp_path), SpanApi(usage_of(seed))
    collected(there, api)
    before = sum(api.usage[PEOPLE].values())
    dates = late(api, random.Random(seed).sample(range(365), 3))

    result = there.reconcile(NOW + timedelta(hours=1), *YEAR)

    assert result.exit_code is ExitCode.INCOMPLETE
    assert restated(there, result) == dates
    assert api.requests("a", PEOPLE) <= 5 + 3 * 8
    assert api.requests("a", SERVICES) == 5
    assert {record["revision"] for record in there.records_of_run(result)} <= {1, 2}
    row = next(row for row in comparison(result).rows if row.metric == TESTS)
    assert (row.api, row.collected) == (before + 33, before)
    assert comparison(result).restated.slices == 3
    fetched = sum(window.elapsed == DAY for _, _, window in api.requested)  # what was only compared gets no line
    assert there.manifest(result)["coverage"]["windows"] == fetched
    assert not comparison(result, SERVICES).differs

    again = there.reconcile(NOW + timedelta(hours=2), *YEAR)
    assert again.exit_code is ExitCode.OK
    assert there.records_of_run(again) == []
    assert again.summary.requests == 10


@pytest.mark.parametrize(
    ("zone", "granularity", "days"),
    [
        ("America/New_York", Granularity.DAY, 365),
        ("Australia/Lord_Howe", Granularity.HOUR, 40),
        ("Europe/Berlin", Granularity.WEEK, 300),
        ("Pacific/Auckland", Granularity.MONTH, 364),
    ],
)
def test_windows_of_each_calendar_are_compared(tmp_path: Path, zone: str, granularity: Granularity, days: int) -> None:
    org = make_org("a", zone=Zone.parse(zone), granularity=granularity, populations=(PEOPLE,))
    there, api = world(tmp_path, org), SpanApi(usage_of())
    range_ = ("2025-01-10", f"{FIRST + days * DAY:%Y-%m-%d}")
    collected(there, api, *range_)
    assert there.reconcile(NOW, *range_).exit_code is ExitCode.OK
    late(api, [20])
    result = there.reconcile(NOW, *range_)
    assert result.exit_code is ExitCode.INCOMPLETE
    assert len(restated(there, result)) == 1
    assert there.reconcile(NOW, *range_).exit_code is ExitCode.OK


def test_the_search_goes_on_where_leases_are_cut_and_beside_other_orgs(tmp_path: Path) -> None:
    slow = Limits(concurrency=4, rate=RateLimit(4, 1.0), org_concurrency=1, org_rate=RateLimit(1, 10.0))
    there = world(tmp_path, make_org("a"), make_org("b"))
    api = SpanApi(usage_of())
    collected(there, api)
    dates = late(api, [4, 100, 101, 260])
    there.limits = slow
    result = there.reconcile(NOW, *YEAR)
    for org in ("a", "b"):
        assert comparison(result, org=org).windows == 365
        assert comparison(result, org=org).restated.slices == 4
        assert api.requests(org, PEOPLE) <= 5 + 4 * 8 + 1
    assert restated(there, result) == dates
    assert there.reconcile(NOW, *YEAR).exit_code is ExitCode.OK


def test_windows_that_are_not_complete_are_left_out_and_named_and_the_others_are_compared(tmp_path: Path) -> None:
    there, api = world(tmp_path), SpanApi(usage_of())

    def failing(org: Org, request: ApiRequest, _n: int) -> Step:
        return status(503) if span_of(request).start in (DAYS[40], DAYS[41]) else api.reply(org, request)

    there.limits = Limits(
        concurrency=16, rate=FAST.rate, org_rate=FAST.org_rate, retry=RetryPolicy(attempts=2, budget_s=3600)
    )
    there.api = FakeApi(failing)
    there.backfill(NOW, "2025-01-10", "2025-03-31")
    there.api = FakeApi(api.script)
    api.requested.clear()

    result = there.reconcile(NOW, "2025-01-01", "2025-03-31")

    assert result.exit_code is ExitCode.INCOMPLETE
    left_out = {state: extent.slices for state, extent in comparison(result).left_out.items()}
    assert left_out == {"failed": 2, "not_wanted": 9}
    assert comparison(result).windows == 79
    assert api.requests("a", PEOPLE) == 2  # a run of complete windows on each side
    assert not comparison(result).differs
    entry = there.manifest(result)["compared"]["populations"][0]
    assert entry["not_compared"]["failed"]["windows"] == [
        {"start": "2025-02-10T00:00:00+00:00", "end": "2025-02-12T00:00:00+00:00"}
    ]


def test_days_before_since_are_named_if_a_person_asks_for_them(tmp_path: Path) -> None:
    org = make_org("a", since=date(2025, 3, 1), populations=(PEOPLE,))
    there, api = world(tmp_path, org), SpanApi(usage_of())
    collected(there, api)
    for first, days in (("2025-01-01", 306), ("2025-03-01", 306)):
        result = there.reconcile(NOW, first, "2025-12-31")
        assert comparison(result).windows == days
        assert [*comparison(result).left_out] == (["not_wanted"] if first < "2025-03" else [])
    whole = there.reconcile(NOW, "2025-01-01", "2025-02-28")
    assert whole.exit_code is ExitCode.INCOMPLETE
    assert local_spans(comparison(whole).left_out["not_wanted"], whole.summary.orgs["a"]) == "2025-01-01 to 2025-02-28"


def test_smaller_numbers_of_old_windows_are_kept_and_the_difference_stays_and_is_said(tmp_path: Path) -> None:
    there, api = world(tmp_path, schedule={"restate_for": "100d"}), SpanApi(usage_of())
    collected(there, api)
    old, young = min(api.usage[PEOPLE]), max(api.usage[PEOPLE])
    api.usage[PEOPLE] |= {at: api.usage[PEOPLE][at] - 3 for at in (old, young)}

    first = there.reconcile(NOW, *YEAR)
    assert restated(there, first) == {f"{young:%Y-%m-%d}"}
    assert (comparison(first).restated.slices, comparison(first).kept.slices) == (1, 1)

    second = there.reconcile(NOW, *YEAR)
    assert second.exit_code is ExitCode.INCOMPLETE
    assert there.records_of_run(second) == []
    assert comparison(second).kept.slices == 1
    assert comparison(second).differs


def test_usage_that_moved_to_another_span_differs_although_the_sums_are_the_same(tmp_path: Path) -> None:
    there, api = world(tmp_path), SpanApi(usage_of(), same_durations=True)
    collected(there, api)
    moved = min(api.usage[PEOPLE])
    to = next(day for day in DAYS[200:] if day + timedelta(hours=12) not in api.usage[PEOPLE])
    api.usage[PEOPLE][to] = api.usage[PEOPLE].pop(moved)

    result = there.reconcile(NOW, *YEAR)

    assert result.exit_code is ExitCode.INCOMPLETE
    assert restated(there, result) == {f"{moved:%Y-%m-%d}", f"{to:%Y-%m-%d}"}
    assert comparison(result).differs
    (tests,) = (row for row in comparison(result).rows if row.metric == TESTS)
    assert (tests.difference, tests.changed, tests.more) == (0, 2, False)
    compared = there.manifest(result)["compared"]
    assert [one["differs"] for one in compared["populations"]] == [True, False]
    assert {(one["difference"], one["changed_windows"]) for one in compared["differences"]} == {(0, 2)}
    assert there.reconcile(NOW, *YEAR).exit_code is ExitCode.OK


def test_a_larger_number_that_is_kept_differs_although_another_one_makes_up_for_it(tmp_path: Path) -> None:
    there, api = world(tmp_path, schedule={"restate_for": "100d"}), SpanApi(usage_of(), same_durations=True)
    collected(there, api)
    old, young = min(api.usage[PEOPLE]), max(api.usage[PEOPLE])
    api.usage[PEOPLE] |= {old: api.usage[PEOPLE][old] - 3, young: api.usage[PEOPLE][young] + 3}

    result = there.reconcile(NOW, *YEAR)

    assert (comparison(result).restated.slices, comparison(result).kept.slices) == (1, 1)
    assert {(row.difference, row.changed) for row in comparison(result).rows if row.metric == TESTS} == {(0, 2)}
    assert result.exit_code is ExitCode.INCOMPLETE
    assert there.reconcile(NOW, *YEAR).exit_code is ExitCode.INCOMPLETE


def test_usage_that_moved_within_a_span_is_not_found_and_by_calendar_months_it_is(tmp_path: Path) -> None:
    there, api = world(tmp_path), SpanApi(usage_of(), same_durations=True)
    collected(there, api)
    free = [day for day in DAYS[:59] if day + timedelta(hours=12) not in api.usage[PEOPLE]]
    january = min(api.usage[PEOPLE])
    february = next(day for day in free if day.month == 2)
    api.usage[PEOPLE][february] = api.usage[PEOPLE].pop(january)

    assert there.reconcile(NOW, "2025-01-01", "2025-02-28").exit_code is ExitCode.OK
    months = [there.reconcile(NOW, *month) for month in (("2025-01-01", "2025-01-31"), ("2025-02-01", "2025-02-28"))]
    assert [restated(there, one) for one in months] == [{f"{january:%Y-%m-%d}"}, {f"{february:%Y-%m-%d}"}]


def test_organizations_are_named_where_no_window_was_requested_by_itself(tmp_path: Path) -> None:
    there, api = world(tmp_path), SpanApi(usage_of())
    collected(there, api)
    result = there.reconcile(NOW, *YEAR)
    assert there.records_of_run(result) == []
    populations = there.manifest(result)["compared"]["populations"]
    assert [one["org_id"] for one in populations] == ["id-a", "id-a"]


def why(there: World, result: RunResult, org: str = "a", what: str = "not_compared") -> dict[str, int]:
    """Return the windows of people that were not compared, by why not."""
    populations = there.manifest(result)["compared"]["populations"]
    (one,) = (one for one in populations if (one["org"], one["population"]) == (org, PEOPLE.value))
    assert all(reason["message"] for reason in one[what].values())
    return {code: reason["slices"] for code, reason in one[what].items()}


def test_a_range_in_the_future_is_no_difference_and_says_that_nothing_is_due(tmp_path: Path) -> None:
    there, api = world(tmp_path), SpanApi(usage_of())
    collected(there, api, "2025-12-01", "2025-12-31")
    result = there.reconcile(NOW, "2027-01-01", "2027-01-31")
    assert result.exit_code is ExitCode.OK
    assert why(there, result) == {"nothing_due": 0}


def test_a_span_without_a_whole_answer_is_not_compared_and_the_rest_is(tmp_path: Path) -> None:
    there, api = world(tmp_path, make_org("a", populations=(PEOPLE,))), SpanApi(usage_of())
    collected(there, api)
    dates = late(api, [200])

    def partial(org: Org, request: ApiRequest, _n: int) -> Step:
        if span_of(request).start == DAYS[0]:
            return answer(org, request, partial=True, products={"automation": {"totalTests": 0, "totalDuration": 0}})
        return api.reply(org, request)

    there.api = FakeApi(partial)
    result = there.reconcile(NOW, *YEAR)

    assert result.exit_code is ExitCode.INCOMPLETE
    assert restated(there, result) == dates
    assert comparison(result).windows == 275
    (_, cause) = result.summary.orgs["a"].causes[0]
    assert (cause.code, cause.slices) == ("not_compared", 90)
    assert why(there, result) == {"not_compared": 90}
    assert there.backfill(NOW, *YEAR).summary.planned == 0  # what was collected is as complete as before


def test_a_part_that_is_not_answered_leaves_unknown_which_windows_changed(tmp_path: Path) -> None:
    there, api = world(tmp_path, make_org("a", populations=(PEOPLE,))), SpanApi(usage_of())
    collected(there, api)
    late(api, [7])

    def halves(org: Org, request: ApiRequest, _n: int) -> Step:
        if len(days_of(request)) == 45:
            return answer(org, request, partial=True, products={"automation": {"totalTests": 0, "totalDuration": 0}})
        return api.reply(org, request)

    there.api = FakeApi(halves)
    result = there.reconcile(NOW, *YEAR)
    assert (why(there, result), why(there, result, what="unresolved")) == ({}, {"not_located": 90})
    (tests,) = (row for row in comparison(result).rows if row.metric == TESTS)
    assert (tests.difference, tests.changed, tests.more) == (11, 1, True)


def test_a_single_failure_is_retried_and_changes_nothing(tmp_path: Path) -> None:
    there, api = world(tmp_path, make_org("a", populations=(PEOPLE,))), SpanApi(usage_of())
    collected(there, api)
    dates = late(api, [7, 300])
    there.api = FakeApi(lambda org, request, n: status(503) if n % 3 == 1 else api.reply(org, request))
    result = there.reconcile(NOW, *YEAR)
    assert restated(there, result) == dates
    assert comparison(result).windows == 365
    assert result.summary.count(SliceState.COMPLETE) == 365


def test_totals_that_do_not_add_up_end_the_search_and_it_is_said(tmp_path: Path) -> None:
    there, api = world(tmp_path, make_org("a", populations=(PEOPLE,))), SpanApi(usage_of())
    collected(there, api)
    there.api = FakeApi(lambda org, request, _n: api.reply(org, request, one_more=len(days_of(request)) > 1))
    result = there.reconcile(NOW, *YEAR)
    assert result.exit_code is ExitCode.INCOMPLETE
    assert there.records_of_run(result) == []
    assert {cause.code for _, cause in result.summary.orgs["a"].causes} == {"not_additive"}
    assert api.requests("a", PEOPLE) <= 5 * 10
    assert result.summary.planned == 365


def days_of(request: ApiRequest) -> range:
    span = span_of(request)
    return range((span.end - span.start) // DAY)


def test_data_that_the_api_has_deleted_is_not_searched_and_what_was_collected_stays(tmp_path: Path) -> None:
    there, api = world(tmp_path, trust_zero_for=timedelta(days=60)), SpanApi(usage_of())
    collected(there, api)
    api.usage = {p: {at: n for at, n in usage.items() if at > DAYS[310]} for p, usage in api.usage.items()}
    result = there.reconcile(NOW, *YEAR)
    assert result.exit_code is ExitCode.INCOMPLETE
    assert there.records_of_run(result) == []
    assert {cause.code for _, cause in result.summary.orgs["a"].causes} == {"maybe_deleted"}
    assert why(there, result) == {}
    assert 270 < why(there, result, what="unresolved")["maybe_deleted"] <= 311
    assert result.summary.requests <= 2 * (5 + 2 * 8 + 1)


def test_a_refused_org_is_refused_and_what_was_collected_stays_complete(tmp_path: Path) -> None:
    there, api = world(tmp_path, make_org("a"), make_org("b")), SpanApi(usage_of())
    collected(there, api)
    there.api = FakeApi(lambda org, request, _n: UNAUTHORIZED if org.name == "a" else api.reply(org, request))
    result = there.reconcile(NOW, *YEAR)
    assert result.exit_code is ExitCode.REFUSED
    assert not comparison(result, org="b").differs
    assert comparison(result, org="b").windows == 365
    assert (why(there, result), why(there, result, org="b")) == ({"refused_credential": 365}, {})
    there.api = FakeApi(api.script)
    assert there.reconcile(NOW, *YEAR).exit_code is ExitCode.OK
    assert there.page(NOW)["a"].refused is False


def test_a_run_that_is_stopped_leaves_all_as_it_was_and_the_next_one_compares(tmp_path: Path) -> None:
    there, api = world(tmp_path), SpanApi(usage_of())
    collected(there, api)
    dates = late(api, [7, 300])
    there.api = FakeApi(api.script, latency_s=lambda _org: 10.0)
    result = stopped_after(there, 35.0)
    assert result.exit_code is ExitCode.TERMINATED
    first = restated(there, result)
    there.api = FakeApi(api.script)
    result = there.reconcile(NOW, *YEAR)
    assert first | restated(there, result) == dates
    assert there.reconcile(NOW, *YEAR).exit_code is ExitCode.OK


def stopped_after(there: World, seconds: float) -> RunResult:
    async def main() -> RunResult:
        stop = Stop()
        asyncio.get_running_loop().call_later(seconds, stop.request, SIGTERM)
        command = Command(name="reconcile", range_=Between(*map(Moment.parse, YEAR)))
        return await there.run(command, run_id="stopped", clock=FakeClock(NOW), stop=stop)

    return run_virtual(main())


def test_numbers_that_are_unavailable_are_fetched_again_and_never_summed(tmp_path: Path) -> None:
    there, api = world(tmp_path, make_org("a", populations=(PEOPLE,))), SpanApi(usage_of())
    for partial in (True, False):  # the second answer is whole, and lacks the product that the first could not fetch
        there.api = FakeApi(lacking(api, DAYS[40], partial=partial))
        there.backfill(NOW, *YEAR)
    assert {r["quality"] for r in there.records if r["window_start"][:10] == "2025-02-10"} == {
        "measured",
        "unavailable",
    }
    there.api = FakeApi(api.script)
    result = there.reconcile(NOW, *YEAR)
    assert comparison(result).windows == 364
    assert {state: extent.slices for state, extent in comparison(result).left_out.items()} == {"unavailable": 1}
    assert restated(there, result) == {"2025-02-10"}
    assert not any(row.changed for row in comparison(result).rows)
    assert there.reconcile(NOW, *YEAR).exit_code is ExitCode.OK


def lacking(api: SpanApi, day: datetime, *, partial: bool) -> Callable[[Org, ApiRequest, int], Step]:
    """An API without one product on that day: it could not be fetched, or it is not there."""
    automation = {"automation": {"totalTests": 5, "totalDuration": 5}}

    def script(org: Org, request: ApiRequest, _n: int) -> Step:
        if span_of(request).start != day:
            return api.reply(org, request)
        products = automation | ({"smartui": {"totalScreenshots": 0}} if partial else {})
        return answer(org, request, partial=partial, products=products)

    return script
