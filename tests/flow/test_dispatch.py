"""Lanes, limits, fairness: the dispatch in virtual time."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.plan import Batch
from collector.core.windows import Calendar, start_of_date
from collector.errors import Retriable
from collector.events import ApiDown, LaneEnded, RetryScheduled, SliceDefect, SliceOutcome
from collector.fetch import Dispatcher, Lane, Limits, RateLimit
from collector.model import ApiRequest, Granularity, Org, Population, Slice, Window, Zone
from tests.flow.harness import COMPLETE, FAILED, FAST, REFUSED, dispatch
from tests.support.fake_api import RESET, UNAUTHORIZED, FakeApi, Step, answer, status
from tests.support.orgs import make_org, plan_days

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
    bad: list[Step] = [RESET, status(429), status(503), status(429, retry_after="2"), UNAUTHORIZED, None, None]
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


@pytest.mark.usefixtures("untraced")
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
    dispatch([plan_days(make_org(f"org-{n}"), 100) for n in range(40)], api, during=keep, deliver=count)
    assert issued == ended == 40 * 100 * 2
    assert most <= 40 * 2 * 4  # orgs, permits, slices that may be outstanding for each permit


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


def test_a_stop_waits_for_requests_that_have_left_and_for_no_others() -> None:
    """A name server that is silent, or a connection that isn't made, once held up the end of a run."""
    api = FakeApi(
        connect_s=lambda now: 0.0 if now < 4 else 10_000.0, latency_s=lambda org: 3.0 if org.name == "a" else 4.2
    )

    async def stop(dispatcher: Dispatcher) -> None:
        await asyncio.sleep(4.5)
        dispatcher.stop()

    result = dispatch([plan_days(make_org("a"), 30), plan_days(make_org("b"), 30)], api, during=stop)
    assert result.states("a") == {COMPLETE: 3}  # two of them under way when it stopped
    assert result.states("b") == {COMPLETE: 1, FAILED: 2}
    assert result.ended_at == pytest.approx(6.0, abs=0.1)
