"""One org's lane: its plan, its retries, its pace and its health (`health`: how many requests it may send).

A lane that waits holds no permit of the API-wide limits, so a bad org's lane costs the others nothing.
While its host is down (`outage`), one lane at a time sends one request: a probe.
A request for a span (`core.search`) is one like others. Only its end differs: its answer goes to the plan, which then
issues slices that need a request, and slices that are settled. A partial answer for a span isn't repeated.
All methods are synchronous and get `now`; times are the loop's, in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from collector.core.allowance import Allowance
from collector.core.finding import settled
from collector.core.org_plan import OrgPlan
from collector.core.plan import Batch, SettledSlice
from collector.core.retry import GiveUp, PartialAnswer, RetryIn, RetryPolicy, backoff_s, decide
from collector.errors import Failure, Refused, Retriable
from collector.events import LaneEnded, NotAdditive, RetryScheduled, SliceOutcome
from collector.fetch.health import Health, Mood, Result
from collector.fetch.limiter import Limiter
from collector.fetch.limits import Limits
from collector.fetch.org_pace import OrgPace
from collector.fetch.outage import Outage
from collector.fetch.retry_queue import RetryQueue
from collector.fetch.slice_fetch import SliceFetch
from collector.model import Answer, Org, Population, SliceState, Span

_SPAN_ATTEMPTS = 3  # it may be too long for the API: shorter ones are tried instead
_OUTSTANDING_PER_PERMIT = 4  # slices of a steady lane that are requested or wait for a retry
_RUNS_OUT = 8  # slices of a batch that are not begun: time enough to plan the next batch

Allowances = dict[Population, Allowance]
Step = SliceOutcome | RetryScheduled | LaneEnded | NotAdditive


class Lane:
    """The state of one org in one run."""

    # Thousands of orgs have one each.
    __slots__ = (
        "_able_since",
        "_pace",
        "_policy",
        "_retries",
        "_span_policy",
        "besides",
        "end",
        "expecting",
        "health",
        "leased",
        "org",
        "outage",
        "plan",
        "requested_at",
    )

    def __init__(
        self, org: Org, *, pace: OrgPace, policy: RetryPolicy, outage: Outage, allowances: Allowances | None = None
    ) -> None:
        self.org = org
        self.outage = outage  # of its host, shared with other lanes
        self.requested_at = float("-inf")  # when its last request was sent
        self.plan = OrgPlan(org, {} if allowances is None else allowances)
        self.health = Health()
        self.end: LaneEnded | None = None
        self.leased = False  # whether this process may work on the org now
        self.expecting = False  # whether its next batch is on its way
        # Requests that no outcome counts: for spans, and slices planned again.
        self.besides: Counter[Population] = Counter()
        self._pace = pace
        self._policy = policy
        self._span_policy = replace(policy, attempts=min(policy.attempts, _SPAN_ATTEMPTS))
        self._retries = RetryQueue()
        self._able_since = 0.0  # from then on only limits and permits delayed its next request

    @classmethod
    def of(cls, org: Org, limits: Limits, outage: Outage, allowances: Allowances | None = None) -> Lane:
        """Return the lane of an org under these limits, on a host. The searches of all lanes share `allowances`."""
        limiter = Limiter(limits.org_rate.requests, limits.org_rate.period_s)
        pace = OrgPace(limiter, permits=limits.org_concurrency, policy=limits.retry)
        return cls(org, pace=pace, policy=limits.retry, outage=outage, allowances=allowances)

    # -- what others may know of it

    @property
    def done(self) -> bool:
        """Whether nothing of it is under way, waits, or is left to fetch."""
        return not self._pace.in_flight and (self._ended or (not self._retries and self.plan.exhausted))

    @property
    def idle(self) -> bool:
        """Whether nothing of it is under way and no new slice can begin, not even of a batch that is on its way."""
        return not self._pace.in_flight and (self._ended or not (self.plan.remaining or self.expecting))

    @property
    def stalled(self) -> bool:
        """Whether it is leased, only retries of its batch are left, and slices of another batch may begin beside."""
        may_go_on = self.plan.more and not self.plan.awaits and self._steady
        return self.leased and self.idle and bool(self._retries) and may_go_on

    @property
    def runs_out(self) -> bool:
        """Whether it will soon have begun all of its batch, though more is left to fetch."""
        return self.plan.remaining <= _RUNS_OUT and self.may_go_on

    @property
    def may_go_on(self) -> bool:
        """Whether it is leased and steady, more is left than its batch, and no batch is on its way.

        Where a search goes on, only its end shows what the next batch is.
        """
        more = self.plan.more and not self.plan.searches
        return self.leased and more and not self.expecting and self._steady

    @property
    def trusted(self) -> bool:
        """Whether its last request was answered: such a lane is not delayed by others that are not."""
        return self._steady and not self.failed

    @property
    def failed(self) -> bool:
        """Whether its last request brought no answer."""
        return self.health.failures > 0

    @property
    def waiting(self) -> bool:
        """Whether slices wait for a retry."""
        return bool(self._retries)

    @property
    def left(self) -> int:
        """How many slices are left to fetch, those that were begun included; an estimate before the first batch."""
        if self._ended:
            return self._pace.in_flight
        plan = self.plan
        return plan.expected + plan.remaining + len(plan.behind) + len(self._retries) + self._pace.in_flight

    def ready_at(self, now: float) -> float | None:
        """Return when its next request may leave; None while that depends on one under way, or if none is left."""
        if not self.leased or self._ended:
            return None
        due_at = now if self._may_begin() else self._retries.next_at
        free_at = self._pace.ready_at(now, permits=self._permits)
        if due_at is None or free_at is None:
            return None
        if not self.outage.down:
            return max(due_at, free_at)
        return None if self.outage.probing else max(due_at, free_at, self.outage.probe_at)

    # -- the lease

    def expect(self) -> None:
        """Note that a batch is on its way: until it begins no other may be planned, nor the lease released."""
        self.expecting = True

    def begin(self, batch: Batch, *, now: float) -> None:
        """Go on with a batch: this process has the org's lease."""
        self.expecting = False
        self.plan.begin(batch)
        self.leased = True
        self._able_since = now

    def release(self) -> None:
        """Send nothing until the next batch: this process gives the org's lease back."""
        self.leased = False

    # -- requests

    def take(self, now: float) -> SliceFetch:
        """Return the slice that is requested next (a retry that is due goes first), with a permit of the org's."""
        able_since = max(self._able_since, self._pace.paused_until)
        if due := self._retries.take_due(now):
            fetch, due_at = due
            able_since = max(able_since, due_at)
        else:
            fetch = SliceFetch(next(self.plan), since_s=self.outage.uptime(now))
        fetch.waited_s = max(0.0, now - able_since)
        fetch.last_chance = self.health.refused_by is not None
        fetch.permit = self._pace.take(now)
        fetch.sent_at = self._able_since = self.requested_at = now
        return fetch

    def sent(self, fetch: SliceFetch, now: float) -> None:
        """Note that a request has left."""
        if fetch.permit is not None:
            fetch.permit.sent(now)
        fetch.sent_at = now

    def received(
        self, fetch: SliceFetch, result: Answer | Failure, *, now: float, jitter: float, probe: bool
    ) -> list[Step]:
        """Take a request's result and return what follows from it.

        A failed `probe` of a host that is down says nothing about the org: it isn't counted.
        """
        uptime = self.outage.uptime(now)
        self._able_since = now
        if fetch.permit is not None:
            self._pace.end(fetch.permit, now)
        if isinstance(result, Retriable) and result.reused_connection and self.end is None and fetch.take_free_retry():
            return [self._retry(fetch, result, now=now, delay_s=0.0)]
        fetch.requests += 1
        self._learn(fetch, result, now=now)
        verdict = self.health.learn(result, last_chance=fetch.last_chance, uptime=uptime)
        return [
            *self._search(fetch, result),
            *self._follow(fetch, result, verdict, now=now, uptime=uptime, jitter=jitter, probe=probe),
            *self._settled(),
        ]

    def _follow(
        self,
        fetch: SliceFetch,
        result: Answer | Failure,
        verdict: Result,
        *,
        now: float,
        uptime: float,
        jitter: float,
        probe: bool,
    ) -> list[Step]:
        """Return what follows from a result for the slice or span that was requested."""
        reason = _reason_to_retry(result)
        if reason is None or (isinstance(result, Answer) and isinstance(fetch.slice, Span) and not self.plan.compares):
            return self._end(fetch, SliceState.COMPLETE, result)
        if self.end is not None:
            return self._end(fetch, self._state_of_begun())
        if verdict is Result.REFUSED_FOR_GOOD and self.health.refused_by is not None:
            return self._refuse(fetch, self.health.refused_by)
        if verdict is Result.REFUSED:
            return [self._retry(fetch, reason, now=now, delay_s=backoff_s(1, policy=self._policy, jitter=jitter))]
        if probe and verdict is not Result.ANSWERED:
            fetch.requests -= 1
            fetch.probes += 1
            return [self._retry(fetch, reason, now=now, delay_s=self._policy.floor_s)]
        return self._retry_or_give_up(fetch, reason, now=now, uptime=uptime, jitter=jitter)

    def postpone(self, fetch: SliceFetch, *, now: float) -> list[Step]:
        """Give a slice back that was answered while another org of this run has the organization's lease.

        Until an org's identity is verified it has one slice at a time under way, so that is the last one issued.
        """
        if fetch.permit is not None:
            self._pace.end(fetch.permit, now)
        self.health.forget_failures()
        if self.end is not None:
            fetch.failure = self.end.failure
            return self._end(fetch, self._state_of_begun())
        self.health.mood = Mood.NEW
        self.besides[fetch.slice.population] += fetch.requests + fetch.probes + 1
        self.plan.take_back()
        return []

    def close(self, state: SliceState, failure: Failure) -> list[Step]:
        """End the lane: slices that were begun end by what was found of them, the rest is never requested."""
        if self.end is not None:
            return []
        self.health.mood = Mood.ENDED
        self.end = LaneEnded(org=self.org, state=state, failure=failure, remaining=self.plan.left.total())
        begun = self._retries.take_all()
        return [*(step for fetch in begun for step in self._end(fetch, self._state_of_begun())), self.end]

    # -- what follows from a result

    def _search(self, fetch: SliceFetch, result: Answer | Failure) -> list[Step]:
        """Let a search of the plan go on with the first result for a slice: its retries may take long.

        A comparison waits for them: it believes nothing else.
        """
        if isinstance(fetch.slice, Span) or self.plan.compares:
            return []
        return self._told(fetch, result if isinstance(result, Answer) else None)

    def _told(self, fetch: SliceFetch, answer: Answer | None) -> list[Step]:
        if self.plan.answered(fetch.slice, answer):
            return [NotAdditive(org=self.org, population=fetch.slice.population, span=fetch.slice.window)]
        return []

    def _end(self, fetch: SliceFetch, state: SliceState, result: Answer | Failure | None = None) -> list[Step]:
        """End what was requested. A span gives its answer, or that there is none, to the plan.

        If the lane ends, or the org is refused, the first slice of the span has that end: it was begun, too.
        """
        if not isinstance(fetch.slice, Span):
            told = self._told(fetch, result if isinstance(result, Answer) else None) if self.plan.compares else []
            return [*told, fetch.outcome(state)]
        if not isinstance(result, Answer) and (self.end is not None or state is SliceState.REFUSED):
            return [fetch.outcome(state, of=self.plan.first_of(fetch.slice))]
        self.besides[fetch.slice.population] += fetch.requests + fetch.probes
        return self._told(fetch, result if isinstance(result, Answer) else None)

    def _settled(self) -> list[Step]:
        """Return the ends of the slices that need no request: an enclosing answer proves what they are.

        Not where the lane has ended: they are counted as slices that it leaves.
        """
        return [_settled(one) for one in self.plan.settle()] if self.end is None else []

    def _learn(self, fetch: SliceFetch, result: Answer | Failure, *, now: float) -> None:
        """Let the result change what is known of the slice, and the org's pace."""
        if isinstance(result, Answer):
            fetch.answered(result)
            self._pace.answered()
        else:
            fetch.failure = result
            self._pace.failed(result, sent_at=fetch.sent_at, now=now)

    def _retry_or_give_up(
        self, fetch: SliceFetch, reason: Failure | PartialAnswer, *, now: float, uptime: float, jitter: float
    ) -> list[Step]:
        decision = decide(
            reason,
            attempt=fetch.requests,
            same_reason=fetch.count(reason),
            elapsed_s=uptime - fetch.since_s,
            policy=self._span_policy if isinstance(fetch.slice, Span) else self._policy,
            jitter=jitter,
        )
        match decision:
            case RetryIn(delay_s):
                return [self._retry(fetch, reason, now=now, delay_s=delay_s)]
            case GiveUp():
                lasting = reason.if_it_lasts if isinstance(reason, Retriable) else None
                if lasting is not None and self.health.blocks >= self._policy.attempts:
                    return self._refuse(fetch, lasting)
                hopeless = self._give_up_if_hopeless(fetch.failure, uptime)
                return [*self._end(fetch, SliceState.FAILED), *hopeless]

    def _retry(
        self, fetch: SliceFetch, reason: Failure | PartialAnswer, *, now: float, delay_s: float
    ) -> RetryScheduled:
        self._retries.put(fetch, now + delay_s)
        return RetryScheduled(slice=fetch.slice, reason=reason, requests=fetch.requests, delay_s=delay_s)

    def _refuse(self, fetch: SliceFetch, refused: Refused) -> list[Step]:
        fetch.failure = refused
        return [*self._end(fetch, SliceState.REFUSED), *self.close(SliceState.REFUSED, refused)]

    def _give_up_if_hopeless(self, failure: Failure | None, uptime: float) -> list[Step]:
        if failure is None or not self.health.is_hopeless(uptime, budget_s=self._policy.budget_s):
            return []
        return self.close(SliceState.NOT_ASKED, failure)

    @property
    def _ended(self) -> bool:
        return self.health.mood is Mood.ENDED

    @property
    def _steady(self) -> bool:
        return self.health.mood is Mood.STEADY

    @property
    def _permits(self) -> int:
        return self._pace.permits if self._steady else 1

    def _may_begin(self) -> bool:
        outstanding = self._pace.in_flight + len(self._retries)
        most = _OUTSTANDING_PER_PERMIT * self._permits if self._steady else 1
        return self.plan.remaining > 0 and outstanding < most

    def _state_of_begun(self) -> SliceState:
        """Return how a slice ends that was begun and has no finding."""
        return SliceState.REFUSED if self.end and self.end.refused else SliceState.FAILED


def lanes_of(orgs: Iterable[Org], limits: Limits) -> list[Lane]:
    """Return the lanes of orgs; those on one host share what is known of it."""
    outages: dict[str, Outage] = {}
    allowances: Allowances = {}
    lanes = []
    for org in orgs:
        outage = outages.setdefault(org.host, Outage(org.host, limits.retry))
        lanes.append(Lane.of(org, limits, outage, allowances))
    return lanes


def _settled(one: SettledSlice) -> SliceOutcome:
    """Return the end of a slice without a request: it is empty, or stays as the ledger has it."""
    return SliceOutcome(
        slice=one.slice,
        state=SliceState.COMPLETE if one.failure is None else SliceState.FAILED,
        finding=None if one.by is None else settled(one.by),
        failure=one.failure,
        requests=0,
        as_before=one.by is None,
    )


def _reason_to_retry(result: Answer | Failure) -> Failure | PartialAnswer | None:
    if isinstance(result, Answer):
        return PartialAnswer() if result.partial else None
    return result
