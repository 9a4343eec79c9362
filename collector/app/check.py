"""Checking orgs: one request each, and with `deep` a few more about what the API's documents leave open.

Fetches as a run does, with the same limits. Commits nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from collector.core.checks import (
    DAYS_TRIED,
    PARTS,
    Additivity,
    additivity,
    last_due_days,
    same_totals,
    whole_and_parts,
)
from collector.core.finding import Finding
from collector.core.identities import Identities
from collector.core.plan import Abandoned, Batch
from collector.core.request import RangeEnd
from collector.errors import Failure, Refused
from collector.events import Event, OrgPlanned, SliceOutcome
from collector.fetch import Backlog, Dispatcher, Limits, lanes_of
from collector.model import Answer, Org, Slice, SliceState, Window
from collector.ports import Clock, Transport

_OTHER_END = {RangeEnd.INCLUSIVE: RangeEnd.EXCLUSIVE, RangeEnd.EXCLUSIVE: RangeEnd.INCLUSIVE}


@dataclass(slots=True)
class OrgCheck:
    """What is known of an org after its check."""

    org: Org
    finding: Finding | None = None
    failure: Failure | None = None
    additivity: Additivity | None = None
    same_totals: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the API answered."""
        return self.failure is None and self.finding is not None

    @property
    def refused(self) -> bool:
        """Whether a person has to act."""
        return isinstance(self.failure, Refused)


@dataclass(slots=True, kw_only=True)
class Checker:
    """Fetches past days of orgs."""

    transport: Transport
    clock: Clock
    limits: Limits
    settle: timedelta
    identities: Identities  # the organizations that the ledger knows
    emit: Callable[[Event], None]
    rng: random.Random = field(default_factory=random.SystemRandom)

    async def check(self, orgs: Sequence[Org], *, deep: bool) -> list[OrgCheck]:
        """Fetch the last due day of every org; with `deep`, more of the accepted ones."""
        checks = {org.name: OrgCheck(org) for org in orgs}
        outcomes = await self._fetch([[Slice(org, org.populations[0], self._days(org)[0])] for org in orgs])
        for outcome in outcomes:
            check = checks[outcome.slice.org.name]
            check.finding, check.failure = outcome.finding, outcome.failure
        if deep:
            await self._deepen([check for check in checks.values() if check.accepted])
        return list(checks.values())

    async def _deepen(self, checks: list[OrgCheck]) -> None:
        """Look for a day with usage, newest first, and fetch it whole and in parts."""
        for age in range(DAYS_TRIED):
            found = await self._fetch_parts(checks, age, self.limits)
            for check in checks:
                whole, *parts = found[check.org.name][: 1 + PARTS]
                check.additivity = additivity(whole, parts)
                check.same_totals = same_totals([whole, *found[check.org.name][1 + PARTS :]])
            await self._try_other_end([c for c in checks if c.additivity is Additivity.DIFFERS], age)
            checks = [check for check in checks if check.additivity is Additivity.NO_USAGE]
            if not checks:
                return

    async def _try_other_end(self, checks: list[OrgCheck], age: int) -> None:
        if not checks:
            return
        limits = replace(self.limits, range_end=_OTHER_END[self.limits.range_end])
        found = await self._fetch_parts(checks, age, limits)
        for check in checks:
            whole, *parts = found[check.org.name][: 1 + PARTS]
            if additivity(whole, parts) is Additivity.ADDS_UP:
                check.additivity = Additivity.OTHER_END

    async def _fetch_parts(self, checks: list[OrgCheck], age: int, limits: Limits) -> dict[str, list[Finding | None]]:
        lists: dict[str, list[Slice]] = {}
        for check in checks:
            org, day = check.org, self._days(check.org)[age]
            first, *others = org.populations
            lists[org.name] = [*whole_and_parts(org, first, day), *(Slice(org, p, day) for p in others)]
        findings = {
            (o.slice.org.name, o.slice.population, o.slice.window): o.finding
            for o in await self._fetch(lists.values(), limits)
        }
        return {name: [findings.get((name, s.population, s.window)) for s in slices] for name, slices in lists.items()}

    async def _fetch(self, lists: Collection[Sequence[Slice]], limits: Limits | None = None) -> list[SliceOutcome]:
        outcomes: list[SliceOutcome] = []

        async def keep(outcome: SliceOutcome) -> None:
            outcomes.append(outcome)

        async def verify(org: Org, answer: Answer) -> Failure | None:
            return self.identities.check(org, answer)

        limits, batches = limits or self.limits, asyncio.Queue[Batch | Abandoned]()
        for slices in lists:
            batches.put_nowait(Batch(org=slices[0].org, slices=slices))
            self.emit(OrgPlanned(org=slices[0].org, slices=len(slices)))
        dispatcher = Dispatcher(
            lanes_of((slices[0].org for slices in lists), limits),
            batches,
            limits=limits,
            backlog=Backlog(limits),
            transport=self.transport,
            clock=self.clock,
            verify=verify,
            deliver=keep,
            on_idle=lambda: None,
            emit=self.emit,
            rng=self.rng,
        )
        await dispatcher.run()
        answered = {outcome.slice.org.name for outcome in outcomes}
        return outcomes + [
            SliceOutcome(
                slice=Slice(lane.org, lane.org.populations[0], self._days(lane.org)[0]),
                state=SliceState.NOT_ASKED,
                finding=None,
                failure=lane.end.failure,
                requests=0,
            )
            for lane in dispatcher.lanes
            if lane.end is not None and lane.org.name not in answered
        ]

    def _days(self, org: Org) -> list[Window]:
        return last_due_days(org, now=self.clock.now(), settle=self.settle)
