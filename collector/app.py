"""The composition root: from a config and a command's options to a run, everything wired.

Owns which adapter stands behind which port, and what a command's range means for each
org. Opens and closes everything; decides nothing about how slices are asked.
"""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from collector.adapters.clock import SystemClock
from collector.adapters.http import HttpTransport
from collector.adapters.signals import draining
from collector.adapters.sinks import DirectorySink, StdoutSink
from collector.adapters.thread import WriterThread
from collector.check import Checker, OrgCheck
from collector.config import LoadedConfig, Settings
from collector.core.plan import LanePlan
from collector.core.ranges import Last, Range, Selection, select
from collector.core.request import RangeEnd
from collector.core.retry import RetryPolicy
from collector.core.windows import Calendar
from collector.dispatch import Event, Limits, RateLimit
from collector.errors import ConfigError
from collector.model import Org, Population
from collector.ports import Clock, Sink
from collector.result import RunResult
from collector.run import Run, Stop

log = structlog.get_logger("collector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which part of the config a command is about: everything, unless orgs or populations are named."""

    orgs: tuple[str, ...] = ()
    populations: tuple[Population, ...] = ()

    def of(self, orgs: Iterable[Org]) -> list[Org]:
        """Return the orgs in it, each with the populations in it. Raises ConfigError for a name that is none."""
        by_name = {org.name: org for org in orgs}
        for name in self.orgs:
            if name not in by_name:
                near = difflib.get_close_matches(name, by_name, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ConfigError(f"--org: there is no org {name!r} in the config{hint}")
        chosen = [by_name[name] for name in dict.fromkeys(self.orgs)] or list(by_name.values())
        if not self.populations:
            return chosen
        return [replace(org, populations=tuple(p for p in org.populations if p in self.populations)) for org in chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """What would be asked of each org, and what the user has to be told about the range."""

    lanes: list[LanePlan]
    notes: list[str]

    @property
    def total(self) -> int:
        """How many slices there are."""
        return sum(lane.total for lane in self.lanes)


def lookback(config: LoadedConfig) -> Range:
    """Return what `collect` asks for while there is no ledger."""
    return Last(config.settings.schedule.lookback)


def make_plans(config: LoadedConfig, *, range_: Range, scope: Scope, clock: Clock | None = None) -> Plans:
    """Return the plan of each org for a range. Raises ConfigError for a range that selects nothing sensible."""
    now = (clock or SystemClock()).now()
    settle = config.settings.schedule.settle
    lanes: list[LanePlan] = []
    told: dict[str, list[str]] = {}
    for org in scope.of(config.orgs):
        calendar = Calendar(org.zone, org.granularity)
        try:
            selection = select(range_, calendar, now=now, settle=settle, since=org.since)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        lanes.append(LanePlan(org, selection.span))
        for note in _notes(selection, calendar):
            told.setdefault(note, []).append(org.name)
    return Plans(lanes=lanes, notes=[f"{_names(orgs)}: {note}" for note, orgs in told.items()])


def _notes(selection: Selection, calendar: Calendar) -> list[str]:
    zone, unit = calendar.zone, calendar.granularity.value
    notes = []
    if asked := selection.widened_from:
        start, end = (at.astimezone(zone.tz).isoformat() for at in (asked.start, asked.end))
        notes.append(f"the range {start} to {end} is widened to whole {unit}s of {zone.name}")
    if selection.cut_since:
        notes.append(f"nothing before {selection.cut_since.astimezone(zone.tz).isoformat()} is wanted (`since`)")
    if selection.cut_due:
        until = selection.cut_due.astimezone(zone.tz).isoformat()
        notes.append(f"the range is cut at {until}: later {unit}s are not due yet (`schedule.settle`)")
    if selection.span is None:
        notes.append(f"no {unit} of the range is due: nothing is asked")
    return notes


def _names(orgs: list[str]) -> str:
    return ", ".join(orgs) if len(orgs) <= 3 else f"{len(orgs)} orgs ({', '.join(orgs[:2])}, …)"


def limits_of(settings: Settings) -> Limits:
    """Return the dispatch's limits as the config says them."""
    api = settings.api
    return Limits(
        concurrency=api.concurrency,
        rate=RateLimit(api.rate_limit.requests, api.rate_limit.period.total_seconds()),
        org_concurrency=api.org_concurrency,
        org_rate=RateLimit(api.org_rate_limit.requests, api.org_rate_limit.period.total_seconds()),
        retry=RetryPolicy(
            attempts=api.retry.attempts,
            base_delay_s=api.retry.base_delay.total_seconds(),
            max_delay_s=api.retry.max_delay.total_seconds(),
            budget_s=api.retry.budget.total_seconds(),
        ),
        range_end=RangeEnd(api.range_end),
        max_span=api.max_span,
        allow_same_organization=settings.same_organization == "allow",
    )


def open_transport(settings: Settings) -> HttpTransport:
    """Return the way to the API; enter it before use."""
    return HttpTransport(
        timeout_s=settings.api.timeout.total_seconds(),
        connections=settings.api.concurrency,
        ca_file=settings.api.ca_file,
    )


def open_sink(settings: Settings, run_id: str) -> Sink:
    """Return where the records go. Raises OutputError if that can't be written."""
    if settings.output.path == "-":
        return StdoutSink()
    return DirectorySink.open(Path(settings.output.path), run_id=run_id, seal_at=settings.output.seal_at)


def new_run_id(clock: Clock) -> str:
    """Return an id that sorts by time and is unique."""
    return f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


async def collect(config: LoadedConfig, plans: Plans, *, command: str, watch: Callable[[Event], None]) -> RunResult:
    """Run the plans into the configured output; drain on SIGINT and SIGTERM. Raises OutputError."""
    clock = SystemClock()
    run_id = new_run_id(clock)
    sink = open_sink(config.settings, run_id)
    stop = Stop()
    async with AsyncExitStack() as stack:
        stack.enter_context(draining(stop.request))
        transport = await stack.enter_async_context(open_transport(config.settings))
        offload = await stack.enter_async_context(WriterThread())
        log.info("run.started", command=command, run_id=run_id, orgs=len(plans.lanes), slices=plans.total)
        return await Run(
            run_id=run_id,
            command=command,
            plans=plans.lanes,
            limits=limits_of(config.settings),
            trust_zero_for=config.settings.trust_zero_for,
            restate_for=config.settings.schedule.restate_for,
            grace_s=config.settings.service.grace.total_seconds(),
            transport=transport,
            sink=sink,
            offload=offload,
            clock=clock,
            emit=watch,
            stop=stop,
        ).execute()


async def check_orgs(config: LoadedConfig, scope: Scope, *, deep: bool) -> list[OrgCheck]:
    """Ask every org in scope once, or a few times more with `deep`; asked again only a little."""
    limits = limits_of(config.settings)
    checker = Checker(
        clock=SystemClock(),
        limits=replace(limits, retry=_brief(limits.retry)),
        settle=config.settings.schedule.settle,
        transport=(transport := open_transport(config.settings)),
    )
    orgs = [org for org in scope.of(config.orgs) if org.populations]
    async with transport:
        return await checker.check(orgs, deep=deep)


def _brief(policy: RetryPolicy) -> RetryPolicy:
    """Return a policy for someone who waits at a terminal."""
    return replace(policy, attempts=min(policy.attempts, 3), budget_s=min(policy.budget_s, 30.0))
