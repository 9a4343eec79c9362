"""Whether a failed attempt is retried, and when.

The delay is exponential, with full jitter above a floor, and never shorter than the API's
`Retry-After`. `Retry-After: 0` is ignored: obeying it would use up all attempts at once.
Attempts *and* time are limited. Partial and broken answers have a lower limit of attempts,
since another request rarely helps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, assert_never

from collector.errors import Broken, Failure, Refused, Rejected, Retriable


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The limits of attempts and time for one slice. All durations are in seconds."""

    attempts: int = 6
    base_delay_s: float = 0.5
    max_delay_s: float = 60.0
    budget_s: float = 600.0
    bad_answer_attempts: int = 3  # for partial answers, and for broken ones

    @property
    def floor_s(self) -> float:
        """The shortest time between two attempts of a slice."""
        return self.base_delay_s / 2


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """The API answered, but without the numbers of a group of products. It is worth a retry."""

    code: ClassVar[str] = "partial"


_BLOCK_STEPS = 4  # a gateway's block lasts longer than a fault: its delays begin where those of the fifth attempt do


class Spent(StrEnum):
    """Why a slice is not retried."""

    FINAL = "final"  # a retry can't help
    ATTEMPTS = "attempts"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Retry in that many seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Don't retry."""

    spent: Spent


Decision = RetryIn | GiveUp


def decide(
    reason: Failure | PartialAnswer,
    *,
    attempt: int,
    same_reason: int,
    elapsed_s: float,
    policy: RetryPolicy,
    jitter: float,
) -> Decision:
    """Return whether a failed attempt is retried, and when.

    `attempt` counts the requests sent for the slice, `same_reason` those that ended with this
    kind of reason, both from 1; `elapsed_s` is the time since the first; `jitter` is in [0, 1).
    """
    retry_after_s, steps = None, attempt
    match reason:
        case Refused():
            # How often a refused org is requested again is decided by its lane, not by a slice.
            return GiveUp(Spent.FINAL)
        case Rejected():
            return GiveUp(Spent.FINAL)
        case Broken() | PartialAnswer():
            if same_reason >= policy.bad_answer_attempts:
                return GiveUp(Spent.ATTEMPTS)
        case Retriable():
            retry_after_s = reason.retry_after_s
            steps += _BLOCK_STEPS if reason.if_it_lasts else 0
        case _:
            assert_never(reason)
    if attempt >= policy.attempts:
        return GiveUp(Spent.ATTEMPTS)
    delay_s = backoff_s(steps, policy=policy, jitter=jitter)
    if retry_after_s:
        delay_s = max(delay_s, retry_after_s + jitter * policy.base_delay_s)
    if elapsed_s + delay_s > policy.budget_s:
        return GiveUp(Spent.BUDGET)
    return RetryIn(delay_s)


def backoff_s(attempt: int, *, policy: RetryPolicy, jitter: float) -> float:
    """Return the delay in seconds after that many attempts: full jitter between the floor and the exponential."""
    ceiling_s = min(policy.max_delay_s, policy.base_delay_s * 2.0 ** min(attempt - 1, 32))
    floor_s = min(policy.floor_s, ceiling_s)
    return floor_s + jitter * (ceiling_s - floor_s)
