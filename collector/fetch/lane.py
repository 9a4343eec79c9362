"""One org's lane: its plan, its limits, its retries, and what is known of its health.

The moods. A lane starts *unsettled*: its first request goes alone and settles credential
and identity. It is *steady* once answered. After a few failures in a row it is *failing*:
one request at a time, no new slice while another waits for its retry. It *ends* early when
it is refused, or given up after failing for the whole budget. A bad org's lane costs the
others nothing: what waits in it holds no permit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum, auto
from heapq import heapify, heappop, heappush
from itertools import count

from collector.core.finding import Finding, absorb
from collector.core.pace import recover, slow_down
from collector.core.plan import Plan
from collector.core.retry import GiveUp, PartialAnswer, RetryIn, RetryPolicy, backoff_s, decide
from collector.errors import Failure, RefusalReason, Refused
from collector.events import LaneEnded, RetryScheduled, SliceOutcome
from collector.fetch.limiter import Limiter, Permit
from collector.model import Answer, Slice, SliceState

_FAILING_AFTER = 3  # failures in a row
_ASKED_WHEN_REFUSED = 2  # times in all that an org which refuses is asked
_OUTSTANDING_PER_PERMIT = 4  # slices of a steady lane that are asked or wait for a retry
_FINAL_REFUSALS = frozenset({RefusalReason.IDENTITY, RefusalReason.DUPLICATE, RefusalReason.CALENDAR})


class Mood(Enum):
    """How a lane is asked; see the module's text."""

    UNSETTLED = auto()
    STEADY = auto()
    FAILING = auto()
    ENDED = auto()


@dataclass(slots=True)
class Inquiry:
    """One slice on its way to an outcome, through as many requests as it takes."""

    slice: Slice
    since_s: float  # uptime at its first request
    asked: int = 0
    probes: int = 0  # requests that don't count as attempts
    finding: Finding | None = None
    failure: Failure | None = None
    sent_at: float = 0.0
    last_chance: bool = False  # whether its org had refused before the request that is under way
    permit: Permit | None = None  # of the org's limit, for the request that is under way
    waited_s: float = 0.0  # for limits and permits, before the last request
    _reasons: dict[type, int] = field(default_factory=dict)

    def count(self, reason: object) -> int:
        """Count a reason to ask again and return how often its kind was met."""
        self._reasons[type(reason)] = self._reasons.get(type(reason), 0) + 1
        return self._reasons[type(reason)]

    def outcome(self, otherwise: SliceState) -> SliceOutcome:
        """Return how it ended: by what was found, else in the given state."""
        match self.finding:
            case None:
                state = otherwise
            case Finding(complete=True):
                state = SliceState.COMPLETE
            case _:
                state = SliceState.PARTIAL
        return SliceOutcome(
            slice=self.slice, state=state, finding=self.finding, failure=self.failure, asked=self.asked + self.probes
        )


Step = SliceOutcome | RetryScheduled | LaneEnded


class Lane:
    """The state of one org in one run. All times are the loop's, in seconds."""

    def __init__(self, plan: Plan, *, permits: int, limiter: Limiter, policy: RetryPolicy) -> None:
        self.org = plan.org
        self.plan = plan
        self.mood = Mood.UNSETTLED
        self.in_flight = 0
        self.end: LaneEnded | None = None
        self._held = True
        self._able_since = 0.0  # from when on only limits and permits held back its next request
        self._limiter = limiter
        self._permits = permits
        self._policy = policy
        self._waiting: list[tuple[float, int, Inquiry]] = []
        self._tickets = count()
        self._paused_until = 0.0
        self._refusals = 0
        self._refused_by: Refused | None = None  # until it answers
        self._failures = 0
        self._failing_since: float | None = None
        self._slowed_at = float("-inf")

    @property
    def done(self) -> bool:
        """Whether nothing of it is left to ask or to wait for."""
        return not self.in_flight and (self.mood is Mood.ENDED or (not self._waiting and self.plan.exhausted))

    @property
    def held(self) -> bool:
        """Whether this process may work on the org now."""
        return self._held

    def hold(self, held: bool, *, now: float) -> None:
        """Note that this process may, or may no more."""
        self._held = held
        self._able_since = now

    def wind_up(self) -> None:
        """Begin no new slice; what was begun goes on to its end."""
        self.plan.end()

    @property
    def idle(self) -> bool:
        """Whether nothing of it is under way and no new slice can begin."""
        return not self.in_flight and (self.mood is Mood.ENDED or not self.plan.remaining)

    @property
    def waiting(self) -> list[Slice]:
        """The slices that wait for another try."""
        return [inquiry.slice for _, _, inquiry in self._waiting]

    def forget(self, slices: Collection[Slice]) -> None:
        """Drop slices that wait for another try: another process has completed them meanwhile."""
        self._waiting = [entry for entry in self._waiting if entry[2].slice not in slices]
        heapify(self._waiting)

    def ready_at(self, now: float) -> float | None:
        """Return when its next request may leave; None while that depends on one under way, or if none is left."""
        steady = self.mood is Mood.STEADY
        if not self._held or self.mood is Mood.ENDED or self.in_flight >= (self._permits if steady else 1):
            return None
        when = self._waiting[0][0] if self._waiting else None
        if self.plan.remaining and self._may_begin():
            when = now
        free = self._limiter.ready_at(now)
        if when is None or free is None:
            return None
        return max(when, self._paused_until, free)

    def take(self, now: float, *, uptime: float) -> Inquiry:
        """Hand out what is asked next (a retry that is due goes first) and take a permit of the org's limits."""
        self.in_flight += 1
        able_since = max(self._able_since, self._paused_until)
        if self._waiting and self._waiting[0][0] <= now:
            due_at, _, inquiry = heappop(self._waiting)
            able_since = max(able_since, due_at)
        else:
            inquiry = Inquiry(next(self.plan), since_s=uptime)
        inquiry.waited_s = max(0.0, now - able_since)
        self._able_since = now
        inquiry.permit = self._limiter.take()
        inquiry.last_chance = self._refused_by is not None
        inquiry.sent_at = now
        return inquiry

    def sent(self, inquiry: Inquiry, now: float) -> None:
        """Note that a request has left."""
        if inquiry.permit is not None:
            inquiry.permit.sent(now)
        inquiry.sent_at = now

    def settle(
        self,
        inquiry: Inquiry,
        result: Answer | Failure,
        *,
        now: float,
        uptime: float,
        jitter: float,
        probe: bool,
    ) -> list[Step]:
        """Take a request's result and return what follows from it.

        A failed `probe` of an API that is down says nothing about the org: it isn't counted.
        """
        self.in_flight -= 1
        self._able_since = now
        if inquiry.permit is not None:
            inquiry.permit.end(now)
        inquiry.asked += 1
        reason = self._learn(inquiry, result, now=now, uptime=uptime)
        if reason is None:
            return [inquiry.outcome(SliceState.COMPLETE)]
        if isinstance(reason, Refused):
            return self._refused(inquiry, reason, now=now, jitter=jitter)
        if self.end is not None:
            return [inquiry.outcome(self._state_of_asked())]
        if inquiry.last_chance and self._refused_by is not None:
            return self._park(inquiry, self._refused_by)
        if probe and not isinstance(reason, PartialAnswer):
            inquiry.asked -= 1
            inquiry.probes += 1
            return [self._wait(inquiry, reason, now=now, delay_s=self._policy.floor_s)]
        decision = decide(
            reason,
            attempt=inquiry.asked,
            same_reason=inquiry.count(reason),
            elapsed_s=uptime - inquiry.since_s,
            policy=self._policy,
            jitter=jitter,
        )
        match decision:
            case RetryIn(delay_s):
                return [self._wait(inquiry, reason, now=now, delay_s=delay_s)]
            case GiveUp():
                ended = [inquiry.outcome(SliceState.FAILED)]
                return ended + self._give_up_if_hopeless(inquiry.failure, uptime)

    def close(self, state: SliceState, failure: Failure) -> list[Step]:
        """End the lane: what was asked ends by what it found, the rest is never asked."""
        if self.end is not None:
            return []
        self.end = LaneEnded(org=self.org, state=state, failure=failure, remaining=self.plan.left)
        self.mood = Mood.ENDED
        waiting = [inquiry.outcome(self._state_of_asked()) for _, _, inquiry in sorted(self._waiting)]
        self._waiting.clear()
        return [*waiting, self.end]

    def _may_begin(self) -> bool:
        outstanding = self.in_flight + len(self._waiting)
        return outstanding < (_OUTSTANDING_PER_PERMIT * self._permits if self.mood is Mood.STEADY else 1)

    def _state_of_asked(self) -> SliceState:
        return SliceState.REFUSED if self.end and self.end.refused else SliceState.FAILED

    def _learn(
        self, inquiry: Inquiry, result: Answer | Failure, *, now: float, uptime: float
    ) -> Failure | PartialAnswer | None:
        """Let the result change what is known of slice and org; return why to ask again, if there is a reason."""
        if isinstance(result, Answer):
            self._failures = 0
            self._failing_since = None
            self._refused_by = None
            if self.mood is not Mood.ENDED:
                self.mood = Mood.STEADY
            self._limiter.stretch = recover(self._limiter.stretch)
            inquiry.finding = absorb(inquiry.finding, result)
            inquiry.failure = None
            return PartialAnswer() if result.partial else None
        inquiry.failure = result
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = uptime
        if self.mood is Mood.STEADY and self._failures >= _FAILING_AFTER:
            self.mood = Mood.FAILING
        self._mind_the_rate(inquiry, result, now)
        return result

    def _mind_the_rate(self, inquiry: Inquiry, failure: Failure, now: float) -> None:
        retry_after_s = getattr(failure, "retry_after_s", None)
        if retry_after_s:
            self._paused_until = max(self._paused_until, now + min(retry_after_s, self._policy.budget_s))
        elif getattr(failure, "rate_limited", False) and inquiry.sent_at > self._slowed_at:
            # Those sent before the last slow-down say nothing new about the pace since.
            self._slowed_at = now
            self._limiter.stretch = slow_down(self._limiter.stretch)

    def _refused(self, inquiry: Inquiry, refused: Refused, *, now: float, jitter: float) -> list[Step]:
        self._refusals += 1
        if self.end is not None:
            return [inquiry.outcome(self._state_of_asked())]
        if self._refusals < _ASKED_WHEN_REFUSED and refused.reason not in _FINAL_REFUSALS:
            self.mood = Mood.UNSETTLED
            self._refused_by = refused
            delay_s = backoff_s(1, policy=self._policy, jitter=jitter)
            return [self._wait(inquiry, refused, now=now, delay_s=delay_s)]
        return self._park(inquiry, refused)

    def _park(self, inquiry: Inquiry, refused: Refused) -> list[Step]:
        """End the lane: it was asked once more after a refusal, and whatever came back was no answer."""
        inquiry.failure = refused
        return [inquiry.outcome(SliceState.REFUSED), *self.close(SliceState.REFUSED, refused)]

    def _give_up_if_hopeless(self, failure: Failure | None, uptime: float) -> list[Step]:
        since = self._failing_since
        if failure is None or since is None or uptime - since < self._policy.budget_s:
            return []
        return self.close(SliceState.NOT_ASKED, failure)

    def _wait(self, inquiry: Inquiry, reason: Failure | PartialAnswer, *, now: float, delay_s: float) -> RetryScheduled:
        heappush(self._waiting, (now + delay_s, next(self._tickets), inquiry))
        return RetryScheduled(slice=inquiry.slice, reason=reason, asked=inquiry.asked, delay_s=delay_s)
