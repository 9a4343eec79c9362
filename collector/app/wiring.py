"""The composition root: from a config and a command's options to a run, everything wired.

Owns which adapter stands behind which port. Opens and closes everything; decides nothing about
how slices are fetched.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from collector.adapters.clock import SystemClock
from collector.adapters.http import HttpTransport
from collector.adapters.signals import draining
from collector.adapters.sinks import DirectorySink, OutboxSink, SingerSink, StdoutSink
from collector.adapters.sinks.files import OsFiles, OutputFiles
from collector.adapters.sinks.outbox import OutboxPlace
from collector.adapters.thread import WorkerThread
from collector.app.backfills import log_backfills, old_gaps
from collector.app.check import Checker, OrgCheck
from collector.app.command import Command, has_ledger
from collector.app.ledgers import ledger_of_run, open_ledger, require_ledger
from collector.app.leftovers import finish_leftovers, refuse_absent
from collector.app.outputs import check_output, directory_of, refuse_layout
from collector.app.places import open_place
from collector.app.prepare import prepare, recover_files
from collector.app.scope import Scope
from collector.app.singer import messages_of
from collector.config import LoadedConfig, Settings
from collector.core.delivered import WITHOUT_LEDGER
from collector.core.identities import Identities
from collector.core.layout import RecordFormat
from collector.core.request import RangeEnd
from collector.core.retry import RetryPolicy
from collector.errors import CollectorError, OutputError
from collector.events import Event
from collector.fetch import Limits, RateLimit
from collector.ports import Clock, Offload, Sink
from collector.run.manifest import RunResult
from collector.run.run import Run, RunConfig
from collector.run.stop import Stop
from collector.zone_rules import VERSION

log = structlog.get_logger("collector")


def limits_of(settings: Settings) -> Limits:
    """Return the limits of the fetching, as the config has them."""
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
    )


def open_transport(settings: Settings) -> HttpTransport:
    """Return the way to the API; enter it before use."""
    return HttpTransport(
        timeout_s=settings.api.timeout.total_seconds(),
        connections=settings.api.concurrency,
        ca_file=settings.api.ca_file,
    )


def open_sink(
    settings: Settings,
    run_id: str,
    ledger_id: str = "",
    place: OutboxPlace | None = None,
    *,
    messages: Callable[[], Sink] = SingerSink,
) -> Sink:
    """Return where the records go; an empty id is that of no ledger. `messages` makes the output for Singer's.

    Raises OutputError if that can't be written, and ConfigError if the config's formats can't.
    """
    refuse_layout(settings)
    if settings.output.path == "-":
        if sys.stdout is None:
            raise OutputError("stdout is closed: give a directory with --output, or open it")
        if settings.output.format is RecordFormat.SINGER:
            return messages()
        return StdoutSink(layout=settings.output.layout)
    if place is not None:
        place.ledger_id = ledger_id
        return OutboxSink(place, run_id=run_id, seal_at=settings.output.seal_at)
    return DirectorySink.open(
        Path(settings.output.path),
        run_id=run_id,
        seal_at=settings.output.seal_at,
        ledger_id=ledger_id or None,
        layout=settings.output.layout,
    )


def new_run_id(clock: Clock, *, remembers: bool = True) -> str:
    """Return an id that sorts by time and is unique. It shows a run that has no ledger."""
    return f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}{'' if remembers else WITHOUT_LEDGER}"


async def run_command(config: LoadedConfig, command: Command, *, watch: Callable[[Event], None]) -> RunResult:
    """Run once and end; drain on SIGINT and SIGTERM. Raises OutputError, LedgerError, ConfigError."""
    stop, clock = Stop(), SystemClock()
    async with WorkerThread() as offload:
        with draining(stop.request):
            run_id = new_run_id(clock, remembers=has_ledger(config))
            return await run_once(config, command, run_id=run_id, offload=offload, stop=stop, watch=watch)


async def run_once(
    config: LoadedConfig,
    command: Command,
    *,
    run_id: str,
    offload: Offload,
    stop: Stop,
    watch: Callable[[Event], None],
    create: bool = True,
    sink: Sink | None = None,
) -> RunResult:
    """Run into the configured output, or into a sink that is given. Without `create` the ledger must exist.

    Raises OutputError, LedgerError, ConfigError.
    """
    settings, clock = config.settings, SystemClock()
    async with AsyncExitStack() as stack:
        ledger = await offload(lambda: ledger_of_run(config, command, clock, create=create))
        stack.push_async_callback(offload, ledger.close)
        place = await offload(lambda: open_place(settings))
        if place is not None:
            stack.push_async_callback(offload, place.close)
        files: OutputFiles = OsFiles() if place is None else place.files
        own = await offload(lambda: check_output(ledger, settings, command, files))
        if sink is None:
            messages = partial(messages_of, ledger, config, command, clock)
            sink = await offload(lambda: open_sink(settings, run_id, own.known.ledger_id, place, messages=messages))
        stack.push_async_callback(offload, sink.close)
        session = await offload(lambda: prepare(ledger, config, command, run_id, clock, place=place))
        transport = None if command.restates else await stack.enter_async_context(open_transport(settings))
        shard = {"shard": str(command.scope.shard)} if command.scope.shard else {}
        log.info("run.started", command=command.name, run_id=run_id, orgs=len(session.orgs), tzdata=VERSION, **shard)
        result = await Run(
            config=run_config(settings, command, run_id),
            session=session,
            transport=transport,
            sink=sink,
            offload=offload,
            clock=clock,
            emit=watch,
            stop=stop,
        ).execute()
        if stop.signal is None and result.output_error is None:
            with suppress(CollectorError):  # the run is over and well; the next one reports it
                await offload(lambda: recover_files(ledger, settings, place=place))
        return result


def run_config(settings: Settings, command: Command, run_id: str) -> RunConfig:
    """Return what the config and the command say about a run."""
    return RunConfig(
        run_id=run_id,
        command=command.name,
        limits=limits_of(settings),
        trust_zero_for=settings.trust_zero_for,
        restate_for=settings.schedule.restate_for,
        grace_s=settings.service.grace.total_seconds(),
    )


def finish_left_files(config: LoadedConfig, *, directories: Sequence[Path], lost: Sequence[str]) -> bool:
    """Do what a person says about files that were left behind (`leftovers.finish_leftovers`)."""
    clock, directories = SystemClock(), [directory.resolve() for directory in directories]
    refuse_absent(directories)
    require_ledger(config.settings, "recover, and no file that may be lost")
    ledger = open_ledger(config.settings, "collect", clock, create=False)
    try:
        own = directory_of(config.settings)
        done = finish_leftovers(
            ledger,
            directories=directories,
            lost=lost,
            own=own,
            now=clock.now(),
            labels=config.settings.output.labels,
        )
        log_backfills(config, old_gaps(config, ledger, clock.now()))
        return done
    finally:
        ledger.close()


async def check_orgs(
    config: LoadedConfig, scope: Scope, *, identities: Identities, deep: bool, watch: Callable[[Event], None]
) -> list[OrgCheck]:
    """Send one request for every org in scope, or a few more with `deep`; retry only a little.

    `identities` are those by which a run would judge the answers.
    """
    limits = limits_of(config.settings)
    checker = Checker(
        clock=SystemClock(),
        limits=replace(limits, retry=_brief(limits.retry)),
        settle=config.settings.schedule.settle,
        transport=(transport := open_transport(config.settings)),
        identities=identities,
        emit=watch,
    )
    orgs = [org for org in scope.of(config.orgs) if org.populations]
    async with transport:
        return await checker.check(orgs, deep=deep)


def _brief(policy: RetryPolicy) -> RetryPolicy:
    """Return a retry policy for someone who waits at a terminal."""
    return replace(policy, attempts=min(policy.attempts, 3), budget_s=min(policy.budget_s, 30.0))
