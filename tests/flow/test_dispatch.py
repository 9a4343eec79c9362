"""Lanes, limits, fairness: the dispatch in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from datetime import date, timedelta
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.plan import Batch
from collector.core.retry import RetryPolicy
from collector.core.windows import Calendar, start_of_date
from collector.errors import Retriable
from collector.events import ApiDown, LaneEnded, RetryScheduled, SliceDefect, SliceOutcome
from collector.fetch import Dispatcher, Lane, Limits, RateLimit
from collector.model import ApiRequest, Granularity, Org, Population, Slice, SliceState, Window, Zone
from tests.flow.harness import FAST, dispatch
from tests.support.fake_api import RESET, FakeApi, Step, answer, for_org, replies, status
from tests.support.orgs import make_org, plan_days

COMPLETE, PARTIAL, FAILED, REFUSED = (
    SliceState.COMPLETE,
    SliceState.PARTIAL,
    SliceState.FAILED,
    SliceState.REFUSED,
)
DEFAULTS = Limits()


def test_every_slice_ends_exactly_once() -> None:
    plans = [plan_days(make_org(f"org-{n}"), 10) for n in range(5)]
    result = dispatch(plans, FakeApi())
    slices = [(o.slice.org.name, o.slice.population, o.slice.window) for _, o in result.outcomes]
    assert len(slices) == len(set(slices)) == 100
    assert result.states() == {COMPLETE: 100}


def test_an_org_without_windows_is_never_asked() -> None:
    api = FakeApi()
    result = dispatch([plan_days(make_org("empty"), 0)], api)
    assert not api.asked
    assert not result.outcomes


def test_the_limits_hold_in_flight_and_per_period_for_one_org_and_for_all() -> None:
    plans = [plan_days(make_org(f"org-{n}"), 10) for n in range(20)]
    api = FakeApi(latency_s=lambda _org: 3.0)
    result = dispatch(plans, api, DEFAULTS)
    assert result.states() == {COMPLETE: 400}
    assert api.max_in_flight[""] <= 16
    assert max(api.max_in_flight[f"org-{n}"] for n in range(20)) <= 2
    assert api.busiest(1.0) <= 10
    assert max(api.busiest(1.0, f"org-{n}") for n in range(20)) <= 2


def test_connections_that_take_long_let_no_more_leave_at_once_than_the_limits_allow() -> None:
    """Permits once ran out while their requests were still connecting: then all of them left at once."""
    limits = Limits(concurrency=16, rate=RateLimit(5, 1.0), org_concurrency=4, org_rate=RateLimit(1, 1.0))
    api = FakeApi(connect_s=lambda now: 10.0 - now % 10.0)  # whoever connects does so at the same instants
    result = dispatch([plan_days(make_org(f"org-{n}"), 3) for n in range(12)], api, limits)
    assert result.states() == {COMPLETE: 72}
    assert api.busiest(1.0) == 5
    assert max(api.busiest(1.0, f"org-{n}") for n in range(12)) == 1


def test_the_limits_are_used_to_the_full() -> None:
    api = FakeApi(latency_s=lambda _org: 0.01)
    dispatch([plan_days(make_org(f"org-{n}"), 10) for n in range(20)], api, DEFAULTS)
    assert api.asked[-1][0] == pytest.approx(400 / 10 * 1.07, rel=0.05)


@settings(max_examples=40)
@given(
    orgs=st.integers(1, 12),
    concurrency=st.integers(1, 8),
    org_concurrency=st.integers(1, 4),
    rate=st.integers(1, 20),
    org_rate=st.integers(1, 5),
    latency=st.floats(0.001, 5.0),
    seed=st.integers(0, 1000),
)
def test_no_limit_is_ever_exceeded_whatever_fails(
    orgs: int, concurrency: int, org_concurrency: int, rate: int, org_rate: int, latency: float, seed: int
) -> None:
    limits = Limits(
        concurrency=concurrency,
        rate=RateLimit(rate, 1.0),
        org_concurrency=org_concurrency,
        org_rate=RateLimit(org_rate, 1.0),
    )
    bad: list[Step] = [RESET, status(429), status(503), status(429, retry_after="2"), status(401), None, None]
    api = FakeApi(
        # The same in every process, as the salted hash() is not.
        script=lambda org, _request, n: bad[int.from_bytes(f"{seed} {org.name} {n}".encode()) % 1009 % len(bad)],
        latency_s=lambda _org: latency,
    )
    result = dispatch([plan_days(make_org(f"org-{n}"), 4) for n in range(orgs)], api, limits)
    assert api.max_in_flight[""] <= concurrency
    assert api.busiest(1.0) <= rate
    for n in range(orgs):
        assert api.max_in_flight[f"org-{n}"] <= org_concurrency
        assert api.busiest(1.0, f"org-{n}") <= org_rate
    ended = sum(result.states().values()) + sum(end.remaining for end in result.of(LaneEnded))
    assert ended == orgs * 8


def test_the_first_request_of_an_org_goes_alone() -> None:
    api = FakeApi(latency_s=lambda _org: 5.0)
    dispatch([plan_days(make_org("a"), 3)], api)
    first, second, third, *_ = api.times("a")
    assert second >= first + 5.0
    assert third == second


def test_an_org_that_answers_after_20_s_delays_no_other() -> None:
    def run(slow: bool) -> float:
        plans = [plan_days(make_org(f"org-{n}"), 5) for n in range(60)]
        api = FakeApi(latency_s=lambda org: 20.0 if slow and org.name == "org-0" else 0.2)
        result = dispatch(plans, api, DEFAULTS)
        assert result.states() == {COMPLETE: 600}
        return max(result.finished_at(f"org-{n}") for n in range(1, 60))

    assert run(slow=True) <= run(slow=False)


def test_lanes_take_turns() -> None:
    plans = [plan_days(make_org(f"org-{n}"), 50) for n in range(10)]
    api = FakeApi()
    dispatch(plans, api, Limits(rate=RateLimit(10, 1.0), org_rate=RateLimit(100, 1.0)))
    for begin in range(0, 900, 10):
        assert len({name for _, name in api.asked[begin : begin + 10]}) >= 8


def test_a_slice_that_waits_for_its_retry_holds_no_permit() -> None:
    limits = Limits(concurrency=1, rate=FAST.rate, org_rate=FAST.org_rate, retry=RetryPolicy(base_delay_s=30))
    api = FakeApi(script=for_org({"bad": replies(RESET)}))
    result = dispatch([plan_days(make_org("bad"), 1), plan_days(make_org("good"), 20)], api, limits)
    assert result.finished_at("good") < 10 < result.finished_at("bad")
    assert result.states() == {COMPLETE: 42}


def test_a_run_holds_a_bounded_number_of_slices() -> None:
    ended, most, issued = 0, 0, 0
    lanes: list[Lane] = []

    async def keep(dispatcher: Dispatcher) -> None:
        lanes.extend(dispatcher.lanes)

    async def count(_: SliceOutcome) -> None:
        nonlocal ended, most, issued
        ended += 1
        issued = sum(lane.plan.issued.total() for lane in lanes)
        most = max(most, issued - ended)

    api = FakeApi(script=lambda org, _request, n: RESET if crc32(f"{org.name} {n}".encode()) % 3 == 1 else None)
    dispatch([plan_days(make_org(f"org-{n}"), 200) for n in range(100)], api, during=keep, deliver=count)
    assert issued == ended == 100 * 200 * 2
    assert most <= 100 * 2 * 4  # orgs, permits, slices that may be outstanding for each permit


def test_a_refused_org_is_asked_twice_and_parked() -> None:
    api = FakeApi(script=for_org({"bad": lambda *_: status(401)}))
    result = dispatch([plan_days(make_org("bad"), 30), plan_days(make_org("good"), 30)], api)
    assert api.count["bad"] == 2
    assert result.states("good") == {COMPLETE: 60}
    assert result.states("bad") == {REFUSED: 1}
    (end,) = result.of(LaneEnded)
    assert (end.state, end.remaining, end.failure.code) == (REFUSED, 59, "refused_credential")


def test_a_credential_that_is_refused_in_mid_run_is_asked_once_more_only() -> None:
    api = FakeApi(script=lambda _org, _request, n: status(403) if n >= 9 else None)
    result = dispatch([plan_days(make_org("a"), 30)], api)
    assert api.count["a"] <= 9 + 2 + 1  # two under way when the first refusal came, one more after it
    assert result.states()[COMPLETE] == 9


def test_a_refusal_that_was_a_slip_of_the_api_costs_nothing() -> None:
    result = dispatch([plan_days(make_org("a"), 30)], FakeApi(script=replies(status(401))))
    assert result.states() == {COMPLETE: 60}


def test_a_refused_org_whose_second_answer_is_none_at_all_is_not_asked_a_third_time() -> None:
    """After 403, 429 it once was asked on and on, until it had refused twice."""
    for second in (status(429), status(500), RESET):
        api = FakeApi(script=replies(status(403), second))
        result = dispatch([plan_days(make_org("a"), 30)], api)
        assert api.count["a"] == 2
        (end,) = result.of(LaneEnded)
        assert (end.state, end.failure.code) == (REFUSED, "refused_forbidden")
        assert result.states() == {REFUSED: 1}


def test_another_organization_than_the_pinned_one_is_refused_at_once() -> None:
    api = FakeApi()
    result = dispatch([plan_days(make_org("a", org_id="other"), 30)], api)
    assert api.count["a"] == 1
    (end,) = result.of(LaneEnded)
    assert end.failure.code == "refused_identity"


def test_two_orgs_of_one_organization_are_counted_once() -> None:
    api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    plans = [plan_days(make_org("a"), 3), plan_days(make_org("b"), 3)]
    result = dispatch(plans, api)
    assert result.states() == {COMPLETE: 6, REFUSED: 1}
    (end,) = result.of(LaneEnded)
    assert end.failure.code == "refused_duplicate"
    both = dispatch([plan_days(make_org("a"), 3), plan_days(make_org("b"), 3)], api, Limits(), allow_same=True)
    assert both.states() == {COMPLETE: 12}


def test_retries_are_limited_in_number() -> None:
    api = FakeApi(script=for_org({"a": lambda *_: RESET}))
    result = dispatch([plan_days(make_org("a"), 1), plan_days(make_org("b"), 1)], api)
    assert result.states("a") == {FAILED: 2}
    assert api.count["a"] == 12
    assert {o.requests for _, o in result.outcomes if o.slice.org.name == "a"} == {6}


def test_a_failing_org_is_given_up_after_its_budget_and_the_rest_not_asked() -> None:
    api = FakeApi(script=for_org({"bad": lambda *_: status(500)}), latency_s=lambda _org: 1.0)
    plans = [plan_days(make_org("bad"), 365), *(plan_days(make_org(f"good-{n}"), 365) for n in range(3))]
    limits = Limits(retry=RetryPolicy(budget_s=60))
    result = dispatch(plans, api, limits)
    assert sum(result.states(f"good-{n}")[COMPLETE] for n in range(3)) == 3 * 730
    (end,) = result.of(LaneEnded)
    assert (end.org.name, end.state, end.failure.code) == ("bad", SliceState.NOT_ASKED, "http_500")
    assert api.max_in_flight["bad"] == 1
    assert api.times("bad")[-1] < 90


def test_retry_after_pauses_the_lane_and_no_other() -> None:
    api = FakeApi(script=for_org({"a": replies(None, None, status(429, retry_after="30"))}))
    result = dispatch([plan_days(make_org("a"), 3), plan_days(make_org("b"), 3)], api)
    before = [at for at in api.times("a") if at < 29]
    assert len(before) == 3
    assert min(at for at in api.times("a") if at not in before) >= 30
    assert result.finished_at("b") < 2
    assert result.states() == {COMPLETE: 12}


def test_retry_after_zero_does_not_burn_the_attempts() -> None:
    api = FakeApi(script=lambda *_: status(429, retry_after="0"))
    dispatch([plan_days(make_org("a"), 1)], api)
    times = api.times("a")[:6]
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.25


def test_a_retry_after_beyond_the_budget_is_not_waited_for() -> None:
    api = FakeApi(script=lambda *_: status(429, retry_after="86400"))
    result = dispatch([plan_days(make_org("a"), 30)], api)
    assert result.ended_at < 1300
    assert result.states()[FAILED] <= 3
    assert api.count["a"] <= 3


def test_after_a_429_the_rate_of_the_org_backs_off_and_recovers() -> None:
    api = FakeApi(script=replies(*[None] * 10, status(429)), latency_s=lambda _org: 0.01)
    dispatch([plan_days(make_org("a"), 60)], api, DEFAULTS)
    times = api.times("a")

    def rate(begin: int, end: int) -> float:
        return (end - begin) / (times[end] - times[begin])

    assert rate(0, 10) == pytest.approx(2, rel=0.2)
    assert rate(11, 15) < 1.3
    assert rate(80, 110) == pytest.approx(2, rel=0.1)


def test_partial_answers_are_asked_again_and_merged() -> None:
    def script(org: object, request: object, n: int) -> object:
        half = [
            {"automation": {"totalTests": 7, "totalDuration": 70}, "smartui": {"totalScreenshots": 0}},
            {"automation": {"totalTests": 0, "totalDuration": 0}, "smartui": {"totalScreenshots": 9}},
        ]
        return answer(org, request, products=half[n % 2], partial=True)  # type: ignore[arg-type]

    api = FakeApi(script=script)  # type: ignore[arg-type]
    result = dispatch([plan_days(make_org("a"), 1)], api)
    assert result.states() == {PARTIAL: 2}
    finding = result.outcomes[0][1].finding
    assert finding is not None
    assert finding.users is None
    assert {name: usage and usage.is_zero for name, usage in finding.products.items()} == {
        "automation": False,
        "smartui": False,
    }
    assert {o.requests for _, o in result.outcomes} == {3}


def test_a_partial_answer_that_heals_is_complete() -> None:
    api = FakeApi(script=lambda org, request, n: answer(org, request, partial=True) if n == 0 else None)
    result = dispatch([plan_days(make_org("a"), 2)], api)
    assert result.states() == {COMPLETE: 4}
    assert [type(event) for event in result.of(RetryScheduled)] == [RetryScheduled]


def test_a_partial_answer_followed_by_failures_keeps_what_it_proved() -> None:
    api = FakeApi(script=lambda org, request, n: answer(org, request, partial=True) if n == 0 else RESET)
    result = dispatch([plan_days(make_org("a", populations=(Population.ACCOUNT_USER,)), 1)], api)
    assert result.states() == {PARTIAL: 1}


def test_a_retry_is_never_sent_before_it_is_due_also_if_it_is_the_last_that_may_be_outstanding() -> None:
    """With as many slices waiting as may be outstanding but one, the oldest once went at once instead of a new one."""
    limits = Limits(
        org_concurrency=1, org_rate=RateLimit(100, 1.0), retry=RetryPolicy(base_delay_s=8.0, bad_answer_attempts=3)
    )
    asked: dict[str, list[float]] = {}

    def script(org: Org, request: ApiRequest, _n: int) -> Step:
        asked.setdefault(f"{request.population} {request.from_}", []).append(asyncio.get_running_loop().time())
        return answer(org, request, partial=True)

    dispatch([plan_days(make_org("a"), 10)], FakeApi(script=script), limits)
    gaps = [later - earlier for times in asked.values() for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= limits.retry.floor_s


def test_a_slice_that_was_a_failed_probe_waits_like_any_other_before_it_is_asked_again() -> None:
    """A sign of life from another org once let it be asked at once."""
    api = FakeApi(script=lambda *_: RESET)
    result = dispatch([plan_days(make_org(f"org-{n}"), 3) for n in range(20)], api, DEFAULTS)
    assert len(result.of(ApiDown)) == 1
    assert min(retry.delay_s for retry in result.of(RetryScheduled)) >= DEFAULTS.retry.floor_s


def test_a_stop_sends_nothing_more_and_gives_those_under_way_their_grace() -> None:
    api = FakeApi(latency_s=lambda org: 5.0 if org.name == "quick" else 60.0)

    async def stop(dispatcher: Dispatcher) -> None:
        await asyncio.sleep(12)
        dispatcher.stop()
        await asyncio.sleep(20)
        dispatcher.cut()

    result = dispatch([plan_days(make_org("quick"), 10), plan_days(make_org("slow"), 10)], api, during=stop)
    assert max(at for at, _ in api.asked) <= 12
    assert result.ended_at == pytest.approx(32)
    assert result.states("quick") == {COMPLETE: 5}
    assert result.states("slow") == {FAILED: 1}
    assert {(end.org.name, end.remaining, end.failure.code) for end in result.of(LaneEnded)} == {
        ("quick", 15, "stopped"),
        ("slow", 19, "stopped"),
    }


def test_a_slow_output_slows_the_asking() -> None:
    async def slowly(_: SliceOutcome) -> None:
        await asyncio.sleep(10)

    api = FakeApi()
    dispatch([plan_days(make_org(f"org-{n}"), 2) for n in range(20)], api, FAST, deliver=slowly)
    assert api.busiest(9.0) <= 16


def test_a_defect_in_one_org_s_request_is_that_slice_s_failure_and_hurts_no_other() -> None:
    def script(org: Org, _request: ApiRequest, _n: int) -> Step:
        if org.name == "odd":
            raise KeyError("do-not-show-me")
        return None

    result = dispatch([plan_days(make_org("odd"), 2), plan_days(make_org("even"), 2)], FakeApi(script=script))
    assert result.states() == {FAILED: 4, COMPLETE: 4}
    messages = {o.failure.message for _, o in result.outcomes if o.failure}
    assert messages == {"a defect of the collector (KeyError): please report it"}
    assert {(event.kind, event.slice.org.name) for event in result.of(SliceDefect)} == {("KeyError", "odd")}


def test_a_window_that_is_longer_than_the_api_allows_fails_alone() -> None:
    limits = Limits(max_span=timedelta(hours=25))
    zone = Zone.parse("Antarctica/Troll")
    odd = make_org("odd", zone=zone)
    days = list(
        Calendar(zone, Granularity.DAY).split(
            Window(start_of_date(date(2026, 10, 23), zone), start_of_date(date(2026, 10, 27), zone))
        )
    )
    result = dispatch(
        [Batch(org=odd, slices=[Slice(odd, Population.ACCOUNT_USER, day) for day in days])], FakeApi(), limits
    )
    assert result.states() == {COMPLETE: 3, FAILED: 1}
    (failure,) = {o.failure for _, o in result.outcomes if o.failure}
    assert failure.code == "window"
    assert "longer than" in failure.message


def test_a_loss_on_a_reused_connection_counts_no_attempt_and_is_repeated_at_once() -> None:
    """A server that closed kept connections unannounced once took 385 requests for 200 slices, and some failed."""
    lost = Retriable(code="connection_lost", message="the connection was lost", reused_connection=True)
    api = FakeApi(script=lambda _org, _request, n: lost if n % 2 == 1 else None)
    result = dispatch([plan_days(make_org(f"org-{n}"), 20) for n in range(12)], api)
    assert result.states() == {COMPLETE: 480}
    assert result.of(ApiDown) == []
    assert {retry.delay_s for retry in result.of(RetryScheduled)} == {0.0}
    for_good = dispatch([plan_days(make_org("a"), 1)], FakeApi(script=lambda *_: lost), FAST)
    assert for_good.states() == {FAILED: 2}
    assert {o.requests for _, o in for_good.outcomes} == {6 + 2}
