"""Limits, pauses and refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from collector.core import retry
from collector.errors import Failure
from collector.fetch import health, lane, limiter
from collector.fetch.dispatcher import Dispatcher
from collector.fetch.health import Mood
from collector.fetch.lane import Lane
from collector.fetch.limits import Limits
from collector.fetch.org_pace import OrgPace
from collector.fetch.slice_fetch import SliceFetch
from collector.model import Org
from tests.simulation.mutations.mutation import Mutation, Patch, nothing


def _no_margin() -> Sequence[Patch]:
    return [patch.object(limiter, "_MARGIN_S", 0.0), patch.object(limiter, "_MARGIN_RATIO", 0.0)]


def _permit_runs_out() -> Sequence[Patch]:
    take = limiter.Limiter.take

    def mutated(self: limiter.Limiter, now: float) -> limiter.Permit:
        permit = take(self, now)
        permit.sent(asyncio.get_running_loop().time())
        return permit

    def sent(self: limiter.Permit, now: float) -> None:
        if self.unsent:
            real(self, now)

    real = limiter.Permit.sent
    return [patch.object(limiter.Limiter, "take", mutated), patch.object(limiter.Permit, "sent", sent)]


def _retries_at_once() -> Sequence[Patch]:
    decide = lane.decide

    def mutated(*args: Any, **kwargs: Any) -> retry.Decision:
        decision = decide(*args, **kwargs)
        return retry.RetryIn(0.0) if isinstance(decision, retry.RetryIn) else decision

    return [patch.object(lane, "decide", mutated)]


def _retry_after_is_unheard() -> Sequence[Patch]:
    return [patch.object(OrgPace, "failed", nothing)]


def _refused_is_asked_on() -> Sequence[Patch]:
    refuse = Lane._refuse

    def mutated(self: Lane, fetch: SliceFetch, refused: Any) -> Any:
        if self.health.refusals > 20:
            return refuse(self, fetch, refused)
        self.health.mood = Mood.REFUSED_ONCE
        return [self._retry(fetch, refused, now=fetch.sent_at + 10, delay_s=1.0)]

    return [patch.object(Lane, "_refuse", mutated), patch.object(health, "_REFUSALS", 20)]


def _concurrency_ignored() -> Sequence[Patch]:
    of = Lane.of

    def mutated(org: Org, limits: Limits, *shared: Any) -> Lane:
        return of(org, replace(limits, org_concurrency=limits.org_concurrency * 2), *shared)

    return [patch.object(Lane, "of", mutated)]


def _waiting_holds_the_loop() -> Sequence[Patch]:
    """A Retry-After that one org is told pauses all of them."""
    failed, ready_at, init = OrgPace.failed, OrgPace.ready_at, Dispatcher.__init__
    paused = {"until": 0.0}

    def failing(self: OrgPace, failure: Failure, **kwargs: float) -> None:
        failed(self, failure, **kwargs)
        paused["until"] = max(paused["until"], self.paused_until)

    def ready(self: OrgPace, now: float, **kwargs: int) -> float | None:
        when = ready_at(self, now, **kwargs)
        until = paused["until"]
        return when if when is None or until > now + 700 else max(when, until)

    def begin(self: Dispatcher, *args: Any, **kwargs: Any) -> None:
        paused["until"] = 0.0
        init(self, *args, **kwargs)

    return [
        patch.object(OrgPace, "failed", failing),
        patch.object(OrgPace, "ready_at", ready),
        patch.object(Dispatcher, "__init__", begin),
    ]


MUTATIONS = (
    Mutation("the limits have no margin", {"rate"}, _no_margin),
    Mutation("a permit counts from when it was taken", {"rate"}, _permit_runs_out),
    Mutation("slices are asked again at once", {"pace"}, _retries_at_once),
    Mutation("Retry-After is not heard", {"pace"}, _retry_after_is_unheard),
    Mutation("a refused org is asked on and on", {"refused"}, _refused_is_asked_on),
    Mutation("an org's concurrency is doubled", {"concurrency"}, _concurrency_ignored),
    Mutation("one org's Retry-After pauses all", {"healthy"}, _waiting_holds_the_loop),
)
