"""What the API may expect of each process: its limits, its `Retry-After`, its refusals; and of fairness among orgs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from collector.core.coverage import CLOCK_TOLERANCE
from collector.core.ledger_entries import RECONCILE
from collector.fetch import RateLimit
from tests.simulation.trace import Broken
from tests.simulation.truth import SliceId

if TYPE_CHECKING:
    from tests.simulation.api import Request
    from tests.simulation.process import Process
    from tests.simulation.world import World

_EPSILON = 1e-6


def check(world: World, process: Process) -> None:
    """Look at all that a process has asked."""
    limits = world.scenario.limits
    requests = world.api.of_run(process.run_id)
    _rate("all orgs", requests, limits.rate)
    for org_id, of_org in _by_org(requests).items():
        _rate(org_id, of_org, limits.org_rate)
        _refusals(org_id, of_org)
        _pauses(org_id, of_org, limits.retry.budget_s)
    _attempts(world, requests)
    _complete(world, process, requests)
    _healthy(world, process, requests)


def _by_org(requests: Iterable[Request]) -> dict[str, list[Request]]:
    by_org: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        by_org[request.slice.org_id].append(request)
    return by_org


def _rate(whose: str, requests: Sequence[Request], limit: RateLimit) -> None:
    """In no period may more arrive than the limit allows."""
    arrivals = sorted(r.arrived for r in requests if r.arrived is not None)
    for first, next_one in zip(arrivals, arrivals[limit.requests :], strict=False):
        if next_one - first < limit.period_s - _EPSILON:
            raise Broken("rate", f"{limit.requests + 1} requests of {whose} within {next_one - first:.3f} s")


def _refusals(org_id: str, requests: Sequence[Request]) -> None:
    """After it was refused, an org is asked at most once more, until it answers again."""
    begun = [(r.begun, "begun") for r in requests]
    ended = [(r.ended, "refused" if r.refused else "answered" if r.answer else "") for r in requests if r.ended]
    refused_at, since = None, 0
    for at, what in sorted(ended + begun, key=lambda event: event[0]):
        match what:
            case "begun" if refused_at is not None and at > refused_at:
                since += 1
            case "refused" if refused_at is None:
                refused_at, since = at, 0
            case "answered":
                refused_at = None
            case _:
                pass
        if refused_at is not None and since > 1:
            raise Broken("refused", f"{org_id} was asked {since} times after it had refused")


def _pauses(org_id: str, requests: Sequence[Request], budget: float) -> None:
    """Nothing begins within a `Retry-After`, up to the budget of a slice."""
    for told in requests:
        if told.retry_after and told.ended is not None:
            until = told.ended + min(told.retry_after, budget) - _EPSILON
            early = next((r for r in requests if told.ended + _EPSILON < r.begun < until), None)
            if early is not None:
                raise Broken("pace", f"{org_id} is asked {until - early.begun:.3f} s before its Retry-After ends")


def _attempts(world: World, requests: Sequence[Request]) -> None:
    """A slice is asked as often as the policy says at most, never at once again, and not again once it is complete."""
    policy = world.scenario.limits.retry
    floor = min(policy.floor_s, policy.max_delay_s) - _EPSILON
    last: dict[object, Request] = {}
    for request in requests:
        before = last.get(request.slice)
        last[request.slice] = request
        if before is None or before.ended is None:
            continue
        if request.begun - before.ended < floor:
            raise Broken("pace", f"{request.slice} is asked again after {request.begun - before.ended:.3f} s")
        if before.answer is not None and not before.answer.partial:
            raise Broken("again", f"{request.slice} is asked again by {request.run} although it was complete")


def _complete(world: World, process: Process, requests: Sequence[Request]) -> None:
    """A backfill asks for nothing that another process has completed, unless it is told to."""
    launch = process.launch
    if launch.command != "backfill" or launch.force or world.disk.tampered:
        return
    booked = {p.run_id for p in world.processes if not (p.dead or p.failed_by or p.signalled)} - {process.run_id}
    booked -= world.forgotten  # by a ledger that was restored
    begun: dict[SliceId, float] = {}
    for request in requests:
        begun[request.slice] = request.begun  # its last try
    earlier = [
        other for other in world.api.requests if other.ended is not None and other.ended < begun.get(other.slice, 0.0)
    ]
    # Completed by a clock that was ahead, also by a run that failed after it had committed that: the window may not
    # have ended by then, so it is fetched again.
    ahead = {
        other.slice
        for other in earlier
        if other.ended is not None
        and world.wall_clock_at(other.ended) > world.wall_clock_at(begun[other.slice]) + CLOCK_TOLERANCE
    }
    for other in earlier:
        if other.run not in booked or other.answer is None or other.answer.partial or other.slice in ahead:
            continue
        if other.is_span:  # it completes nothing by itself
            continue
        if other.answer.org_id == other.slice.org_id:
            raise Broken("again", f"{other.slice} is asked by {process.run_id} although {other.run} had completed it")


def _healthy(world: World, process: Process, requests: Sequence[Request]) -> None:
    """An org that nothing is wrong with is done as soon as its own limits allow, whatever befalls the others."""
    scenario = world.scenario
    limits = scenario.limits
    ended = process.ended if process.ended is not None else world.now()
    if process.dead or process.failed_by or process.signalled or process.down or len(process.neighbours) > 1:
        return
    roomy = limits.concurrency >= len(scenario.orgs) * limits.org_concurrency
    if not roomy or limits.rate.requests <= len(scenario.orgs) * limits.org_rate.requests:
        return
    for org_id, of_org in _by_org(requests).items():
        spec = next(spec for spec in scenario.orgs if spec.org_id == org_id)
        if any(episode.touches(spec.number, process.began, ended) for episode in scenario.episodes):
            continue
        period = limits.org_rate.period_s * 1.05 + 0.05
        paced = len(of_org) * period / limits.org_rate.requests
        searches = process.launch.sparse or process.launch.command == RECONCILE
        at_once = 1 if searches else limits.org_concurrency  # a search awaits each answer
        answered = (1.5 * spec.latency + 0.1) * (1 + len(of_org) / at_once)
        batches = 1 + len(of_org) // 64
        allowed = 4.0 + paced + answered + 4.0 * batches
        took = max(r.ended or 0.0 for r in of_org) - process.began
        if took > allowed:
            raise Broken("healthy", f"{org_id} took {took:.1f} s for {len(of_org)} requests, not {allowed:.1f} s")
