"""The health of one org in one run, by what its requests brought.

Theory of operation. An org is in one mood, and each result of a request moves it to the next (`NEXT`).

| mood | what may be requested |
|---|---|
| new | one request alone: it verifies credential and identity |
| steady | as many requests as the org's limits allow |
| failing | one request at a time, and no new slice while another waits for its retry |
| refused once | one request more: an answer makes the org steady, anything else ends it |
| ended | nothing: the org is refused, or given up after failing for the whole budget |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from collector.errors import Failure, RefusalReason, Refused, Retriable
from collector.model import Answer


class Mood(Enum):
    """How a lane may be used; the module's text has the table."""

    NEW = auto()
    STEADY = auto()
    FAILING = auto()
    REFUSED_ONCE = auto()
    ENDED = auto()


class Result(Enum):
    """What a request's result says about the org."""

    ANSWERED = auto()  # also in part
    FAILED = auto()
    FAILED_OFTEN = auto()  # `_FAILING_AFTER` times in a row, or more
    REFUSED = auto()
    REFUSED_FOR_GOOD = auto()  # for the second time, or for a reason that a second request can't change


NEXT: dict[Mood, dict[Result, Mood]] = {
    Mood.NEW: {
        Result.ANSWERED: Mood.STEADY,
        Result.FAILED: Mood.NEW,
        Result.FAILED_OFTEN: Mood.NEW,
        Result.REFUSED: Mood.REFUSED_ONCE,
        Result.REFUSED_FOR_GOOD: Mood.ENDED,
    },
    Mood.STEADY: {
        Result.ANSWERED: Mood.STEADY,
        Result.FAILED: Mood.STEADY,
        Result.FAILED_OFTEN: Mood.FAILING,
        Result.REFUSED: Mood.REFUSED_ONCE,
        Result.REFUSED_FOR_GOOD: Mood.ENDED,
    },
    Mood.FAILING: {
        Result.ANSWERED: Mood.STEADY,
        Result.FAILED: Mood.FAILING,
        Result.FAILED_OFTEN: Mood.FAILING,
        Result.REFUSED: Mood.REFUSED_ONCE,
        Result.REFUSED_FOR_GOOD: Mood.ENDED,
    },
    Mood.REFUSED_ONCE: {
        Result.ANSWERED: Mood.STEADY,
        Result.FAILED: Mood.REFUSED_ONCE,  # of a request that left before the refusal came
        Result.FAILED_OFTEN: Mood.REFUSED_ONCE,
        Result.REFUSED: Mood.REFUSED_ONCE,  # never met: the second refusal is for good
        Result.REFUSED_FOR_GOOD: Mood.ENDED,
    },
    Mood.ENDED: dict.fromkeys(Result, Mood.ENDED),
}

_FAILING_AFTER = 3  # failures in a row
_REFUSALS = 2  # after which an org gets no more requests
_FINAL_REFUSALS = frozenset({RefusalReason.IDENTITY, RefusalReason.DUPLICATE, RefusalReason.CALENDAR})


@dataclass(slots=True)
class Health:
    """What is known of an org. `failing_since` is the uptime of its host at the first failure in a row, in seconds."""

    mood: Mood = Mood.NEW
    refusals: int = 0
    refused_by: Refused | None = None  # until it answers
    failures: int = 0  # in a row
    blocks: int = 0  # in a row: failures that are a refusal if they last
    failing_since: float | None = None

    def learn(self, result: Answer | Failure, *, last_chance: bool, uptime: float) -> Result:
        """Take a request's result and return what it says; `last_chance`: the org had refused before it was sent."""
        verdict = self._verdict(result, last_chance=last_chance, uptime=uptime)
        self.mood = NEXT[self.mood][verdict]
        return verdict

    def forget_failures(self) -> None:
        """Note that the org answers."""
        self.failures, self.blocks, self.failing_since, self.refused_by = 0, 0, None, None

    def is_hopeless(self, uptime: float, *, budget_s: float) -> bool:
        """Return whether it has failed for the whole budget."""
        return self.failing_since is not None and uptime - self.failing_since >= budget_s

    def _verdict(self, result: Answer | Failure, *, last_chance: bool, uptime: float) -> Result:
        if isinstance(result, Answer):
            self.forget_failures()
            return Result.ANSWERED
        self.blocks = self.blocks + 1 if isinstance(result, Retriable) and result.if_it_lasts else 0
        if isinstance(result, Refused):
            self.refusals += 1
            self.refused_by = result
            final = self.refusals >= _REFUSALS or result.reason in _FINAL_REFUSALS
            return Result.REFUSED_FOR_GOOD if final else Result.REFUSED
        self.failures += 1
        if self.failing_since is None:
            self.failing_since = uptime
        if last_chance and self.refused_by is not None:
            return Result.REFUSED_FOR_GOOD  # one request more brought no answer either
        return Result.FAILED_OFTEN if self.failures >= _FAILING_AFTER else Result.FAILED
