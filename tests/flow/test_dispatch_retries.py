"""Answers that fail, are refused or are partial: what the dispatch asks again, and when."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from collector.core.response import Reply
from collector.core.retry import RetryPolicy
from collector.events import ApiDown, LaneEnded, RetryScheduled
from collector.fetch import Limits, RateLimit
from collector.model import ApiRequest, Org, Population, SliceState
from tests.flow.harness import COMPLETE, FAILED, FAST, PARTIAL, REFUSED, dispatch
from tests.support.fake_api import (
    BLOCKED,
    NOT_ADMIN,
    RESET,
    UNAUTHORIZED,
    FakeApi,
    Step,
    answer,
    for_org,
    replies,
    status,
)
from tests.support.orgs import make_org, plan_days

DEFAULTS = Limits()


def test_a_slice_that_waits_for_its_retry_holds_no_permit() -> None:
    limits = Limits(concurrency=1, rate=FAST.rate, org_rate=FAST.org_rate, retry=RetryPolicy(base_delay_s=30))
    api = FakeApi(script=for_org({"bad": replies(RESET)}))
    result = dispatch([plan_days(make_org("bad"), 1), plan_days(make_org("good"), 20)], api, limits)
    assert result.finished_at("good") < 10 < result.finished_at("bad")
    assert result.states() == {COMPLETE: 42}


def test_a_refused_org_is_asked_twice_and_parked() -> None:
    api = FakeApi(script=for_org({"bad": lambda *_: UNAUTHORIZED}))
    result = dispatch([plan_days(make_org("bad"), 30), plan_days(make_org("good"), 30)], api)
    assert api.count["bad"] == 2
    assert result.states("good") == {COMPLETE: 60}
    assert result.states("bad") == {REFUSED: 1}
    (end,) = result.of(LaneEnded)
    assert (end.state, end.remaining, end.failure.code) == (REFUSED, 59, "refused_credential")


def test_a_credential_that_is_refused_in_mid_run_is_asked_once_more_only() -> None:
    api = FakeApi(script=lambda _org, _request, n: NOT_ADMIN if n >= 9 else None)
    result = dispatch([plan_days(make_org("a"), 30)], api)
    assert api.count["a"] <= 9 + 2 + 1  # two under way when the first refusal came, one more after it
    assert result.states()[COMPLETE] == 9


def test_a_refusal_that_was_a_slip_of_the_api_costs_nothing() -> None:
    result = dispatch([plan_days(make_org("a"), 30)], FakeApi(script=replies(UNAUTHORIZED)))
    assert result.states() == {COMPLETE: 60}


def test_a_refused_org_whose_second_answer_is_none_at_all_is_not_asked_a_third_time() -> None:
    """After 403, 429 it once was asked on and on, until it had refused twice."""
    for second in (status(429), status(500), RESET):
        api = FakeApi(script=replies(NOT_ADMIN, second))
        result = dispatch([plan_days(make_org("a"), 30)], api)
        assert api.count["a"] == 2
        (end,) = result.of(LaneEnded)
        assert (end.state, end.failure.code) == (REFUSED, "refused_not_admin")
        assert result.states() == {REFUSED: 1}


@pytest.mark.parametrize("orgs", [1, 5])
@pytest.mark.parametrize("block", [BLOCKED, status(403, b"<html>", retry_after="5")])
def test_a_block_of_a_gateway_for_15_seconds_refuses_no_org(orgs: int, block: Reply) -> None:
    api = FakeApi(script=lambda *_: block if asyncio.get_running_loop().time() < 15 else None)
    result = dispatch([plan_days(make_org(f"org-{n}"), 3) for n in range(orgs)], api)
    assert result.states() == {COMPLETE: 6 * orgs}
    assert result.of(LaneEnded) == []


def test_a_block_that_lasts_is_told_as_what_it_is_after_the_attempts_of_one_slice() -> None:
    api = FakeApi(script=for_org({"bad": lambda *_: BLOCKED}))
    result = dispatch([plan_days(make_org("bad"), 30), plan_days(make_org("good"), 30)], api)
    assert api.count["bad"] == 6
    assert result.states("good") == {COMPLETE: 60}
    (end,) = result.of(LaneEnded)
    assert (end.state, end.remaining, end.failure.code) == (REFUSED, 59, "refused_forbidden")


def test_one_block_after_other_failures_is_no_refusal() -> None:
    api = FakeApi(script=replies(*[RESET] * 5, BLOCKED))
    result = dispatch([plan_days(make_org("a"), 30)], api)
    assert result.states() == {COMPLETE: 59, FAILED: 1}


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
