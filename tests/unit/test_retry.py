"""Retries: never too soon, never too often, never past the budget, never of what can't be cured."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.response import Reply, interpret
from collector.core.retry import (
    Decision,
    GiveUp,
    PartialAnswer,
    RetryIn,
    RetryPolicy,
    Spent,
    backoff_s,
    decide,
)
from collector.errors import Broken, Failure, RefusalReason, Refused, Rejected, Retriable
from collector.model import Answer
from tests.unit.answers.bodies import NOW, REQUEST

DEFAULTS = RetryPolicy()
RESET = Retriable(code="connection_lost", message="the connection was lost")
BROKEN = Broken(code="not_json", message="the body of a 200 is not JSON")
REJECTED = Rejected(code="http_400", message="the API rejects the request (400)")
FINAL: list[Failure] = [REJECTED, *(Refused(reason=reason, message="no") for reason in RefusalReason)]
ROUNDING = 1 + 1e-9


@st.composite
def _policies(draw: st.DrawFn) -> RetryPolicy:
    base_s = draw(st.floats(0.001, 100.0))
    return RetryPolicy(
        attempts=draw(st.integers(1, 20)),
        base_delay_s=base_s,
        max_delay_s=draw(st.floats(base_s, 1000.0)),
        budget_s=draw(st.floats(0.0, 10_000.0)),
    )


policies = _policies()
jitters = st.floats(0.0, 1.0, exclude_max=True)
retry_afters = st.none() | st.just(0.0) | st.floats(0.0, 2000.0)
retriables = st.builds(Retriable, code=st.just("rate_limited"), message=st.just("429"), retry_after_s=retry_afters)
doubtful: st.SearchStrategy[Failure | PartialAnswer] = st.sampled_from([BROKEN, PartialAnswer()])
curable: st.SearchStrategy[Failure | PartialAnswer] = st.one_of(retriables, doubtful)


def limited(retry_after_s: float | None) -> Retriable:
    return Retriable(code="rate_limited", message="429", rate_limited=True, retry_after_s=retry_after_s)


def asked(reason: Failure | PartialAnswer, attempt: int = 1, **given_: float) -> Decision:
    return decide(
        reason,
        attempt=attempt,
        same_reason=int(given_.get("same_reason", attempt)),
        elapsed_s=given_.get("elapsed_s", 0.0),
        policy=DEFAULTS,
        jitter=given_.get("jitter", 0.0),
    )


@given(reason=curable, attempt=st.integers(1, 25), elapsed_s=st.floats(0.0, 20_000.0), policy=policies, jitter=jitters)
def test_a_delay_lies_between_the_floor_and_the_longest_or_what_the_api_said(
    reason: Failure | PartialAnswer, attempt: int, elapsed_s: float, policy: RetryPolicy, jitter: float
) -> None:
    decision = decide(reason, attempt=attempt, same_reason=1, elapsed_s=elapsed_s, policy=policy, jitter=jitter)
    if isinstance(decision, RetryIn):
        said_s = getattr(reason, "retry_after_s", None) or 0.0
        assert decision.delay_s >= max(policy.floor_s, said_s)
        assert decision.delay_s <= max(policy.max_delay_s, said_s + policy.base_delay_s) * ROUNDING
        assert elapsed_s + decision.delay_s <= policy.budget_s
        assert attempt < policy.attempts


@given(reason=curable, attempt=st.integers(1, 25), elapsed_s=st.floats(0.0, 20_000.0), policy=policies, jitter=jitters)
def test_giving_up_has_a_reason(
    reason: Failure | PartialAnswer, attempt: int, elapsed_s: float, policy: RetryPolicy, jitter: float
) -> None:
    decision = decide(reason, attempt=attempt, same_reason=1, elapsed_s=elapsed_s, policy=policy, jitter=jitter)
    if isinstance(decision, GiveUp):
        wanted_s = max(policy.max_delay_s, (getattr(reason, "retry_after_s", None) or 0.0) + policy.base_delay_s)
        assert decision.spent is (Spent.ATTEMPTS if attempt >= policy.attempts else Spent.BUDGET)
        assert attempt >= policy.attempts or elapsed_s + wanted_s * ROUNDING > policy.budget_s


@given(
    script=st.lists(st.tuples(curable, jitters, st.floats(0.0, 30.0)), min_size=20, max_size=20),
    policy=policies,
)
def test_a_slice_that_never_succeeds_stays_within_attempts_and_budget(
    script: list[tuple[Failure | PartialAnswer, float, float]], policy: RetryPolicy
) -> None:
    elapsed_s = sent_s = 0.0
    kinds: Counter[type] = Counter()
    for attempt, (reason, jitter, latency_s) in enumerate(script, start=1):
        assert attempt <= policy.attempts
        assert sent_s <= policy.budget_s
        kinds[type(reason)] += 1
        elapsed_s = sent_s + latency_s
        decision = decide(
            reason,
            attempt=attempt,
            same_reason=kinds[type(reason)],
            elapsed_s=elapsed_s,
            policy=policy,
            jitter=jitter,
        )
        if isinstance(decision, GiveUp):
            break
        assert elapsed_s + decision.delay_s >= sent_s + policy.floor_s
        sent_s = elapsed_s + decision.delay_s
    assert kinds[Broken] <= 3
    assert kinds[PartialAnswer] <= 3


@given(attempt=st.integers(1, 25), elapsed_s=st.floats(0.0, 20_000.0), policy=policies, jitter=jitters)
def test_retry_after_0_says_nothing(attempt: int, elapsed_s: float, policy: RetryPolicy, jitter: float) -> None:
    zero, absent = (
        decide(limited(s), attempt=attempt, same_reason=attempt, elapsed_s=elapsed_s, policy=policy, jitter=jitter)
        for s in (0.0, None)
    )
    assert zero == absent


@given(
    reason=st.sampled_from(FINAL),
    attempt=st.integers(1, 25),
    elapsed_s=st.floats(0.0, 20_000.0),
    policy=policies,
    jitter=jitters,
)
def test_a_refusal_or_a_rejection_is_never_retried(
    reason: Failure, attempt: int, elapsed_s: float, policy: RetryPolicy, jitter: float
) -> None:
    decision = decide(reason, attempt=attempt, same_reason=1, elapsed_s=elapsed_s, policy=policy, jitter=jitter)
    assert decision == GiveUp(Spent.FINAL)


@given(policy=policies, jitter=jitters)
def test_the_curve_never_falls(policy: RetryPolicy, jitter: float) -> None:
    delays = [backoff_s(attempt, policy=policy, jitter=jitter) for attempt in range(1, 60)]
    assert delays == sorted(delays)


@given(attempt=st.integers(1, 10**6), policy=policies)
def test_jitter_spreads_over_all_the_room_there_is(attempt: int, policy: RetryPolicy) -> None:
    low, high = (backoff_s(attempt, policy=policy, jitter=jitter) for jitter in (0.0, 0.999999))
    assert low == policy.floor_s
    assert high <= policy.max_delay_s
    assert high - low >= 0.99 * (min(policy.max_delay_s, policy.base_delay_s) - policy.floor_s)


@pytest.mark.parametrize(
    ("attempt", "shortest_s", "longest_s"),
    [(1, 0.25, 0.5), (2, 0.25, 1.0), (3, 0.25, 2.0), (4, 0.25, 4.0), (5, 0.25, 8.0)],
)
def test_by_default_delays_double_above_a_floor_of_a_quarter_second(
    attempt: int, shortest_s: float, longest_s: float
) -> None:
    assert asked(RESET, attempt) == RetryIn(shortest_s)
    nearly = asked(RESET, attempt, jitter=1 - 1e-12)
    assert isinstance(nearly, RetryIn)
    assert nearly.delay_s == pytest.approx(longest_s)


@pytest.mark.parametrize(
    ("reason", "attempt", "spent"),
    [
        (RESET, 6, Spent.ATTEMPTS),
        (RESET, 7, Spent.ATTEMPTS),
        (BROKEN, 3, Spent.ATTEMPTS),
        (PartialAnswer(), 3, Spent.ATTEMPTS),
        (REJECTED, 1, Spent.FINAL),
        (Refused(reason=RefusalReason.CREDENTIAL, message="no"), 1, Spent.FINAL),
        (limited(601.0), 1, Spent.BUDGET),
        (limited(10.0**12), 1, Spent.BUDGET),
        (limited(float("inf")), 1, Spent.BUDGET),
    ],
)
def test_by_default_it_gives_up(reason: Failure | PartialAnswer, attempt: int, spent: Spent) -> None:
    assert asked(reason, attempt) == GiveUp(spent)


def test_a_doubtful_answer_is_counted_by_its_own_kind() -> None:
    for reason in (BROKEN, PartialAnswer()):
        assert isinstance(asked(reason, 5, same_reason=2), RetryIn)
        assert asked(reason, 4, same_reason=3) == GiveUp(Spent.ATTEMPTS)


def test_the_budget_holds_to_the_second() -> None:
    assert isinstance(asked(RESET, elapsed_s=599.75), RetryIn)
    assert asked(RESET, elapsed_s=599.76) == GiveUp(Spent.BUDGET)


def test_what_the_api_asks_for_is_honoured_beyond_the_longest_delay_and_spread() -> None:
    assert asked(limited(120.0)) == RetryIn(120.0)
    assert asked(limited(120.0), jitter=0.5) == RetryIn(120.25)
    assert asked(limited(0.1), jitter=0.0) == RetryIn(0.25)


@pytest.mark.parametrize(
    ("status", "retried"),
    [(400, False), (404, False), (413, False), (422, False), (302, False), (204, False)]
    + [(status, True) for status in (200, 401, 403, 408, 429, 500, 502, 503, 504, 507)],
)
def test_which_statuses_are_asked_again(status: int, retried: bool) -> None:
    failure = interpret(Reply(status=status), REQUEST, now=NOW)
    assert not isinstance(failure, Answer)
    assert isinstance(asked(failure), RetryIn) is retried
