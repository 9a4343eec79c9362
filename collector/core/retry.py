"""Whether a failed attempt is worth another, and when.

Exponential with full jitter above a floor; what the API says itself (`Retry-After`) is
honoured on top. `Retry-After: 0` says nothing (it burned others' attempts all at once).
Attempts *and* time are limited, and what is rarely cured by asking again (a partial or a
broken answer) has a smaller bound of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, assert_never

from collector.errors import Broken, Failure, Refused, Rejected, Retriable


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long one slice is tried. All durations in seconds."""

    attempts: int = 6
    base_delay_s: float = 0.5
    max_delay_s: float = 60.0
    budget_s: float = 600.0
    doubtful_attempts: int = 3  # of partial answers, and of broken ones

    @property
    def floor_s(self) -> float:
        """No two attempts of a slice are closer than this."""
        return self.base_delay_s / 2


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """The API answered, but for a group of products it doesn't know: worth asking again."""

    code: ClassVar[str] = "partial"


class Spent(StrEnum):
    """Why there is no other attempt."""

    FINAL = "final"  # asking again can't help
    ATTEMPTS = "attempts"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Ask again in so many seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Don't ask again."""

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
    """Say whether a failed attempt is worth another, and when.

    `attempt` counts the requests sent for the slice, `same_reason` those that ended with this
    kind of reason, both from 1; `elapsed_s` is the time since the first; `jitter` is in [0, 1).
    """
    retry_after_s = None
    match reason:
        case Refused():
            # The lane decides how often an org that is refused is asked; a slice never does.
            return GiveUp(Spent.FINAL)
        case Rejected():
            return GiveUp(Spent.FINAL)
        case Broken() | PartialAnswer():
            if same_reason >= policy.doubtful_attempts:
                return GiveUp(Spent.ATTEMPTS)
        case Retriable():
            retry_after_s = reason.retry_after_s
        case _:
            assert_never(reason)
    if attempt >= policy.attempts:
        return GiveUp(Spent.ATTEMPTS)
    delay_s = backoff_s(attempt, policy=policy, jitter=jitter)
    if retry_after_s:
        delay_s = max(delay_s, retry_after_s + jitter * policy.base_delay_s)
    if elapsed_s + delay_s > policy.budget_s:
        return GiveUp(Spent.BUDGET)
    return RetryIn(delay_s)


def backoff_s(attempt: int, *, policy: RetryPolicy, jitter: float) -> float:
    """Return the delay in seconds after that many attempts: full jitter between the floor and the curve."""
    ceiling_s = min(policy.max_delay_s, policy.base_delay_s * 2.0 ** min(attempt - 1, 32))
    floor_s = min(policy.floor_s, ceiling_s)
    return floor_s + jitter * (ceiling_s - floor_s)
