"""The composition root of the service: wires its loop to threads, files and ledger handles.

There are two threads: the writer, for runs, and the reader, for the config and for reading the
ledger. So reading a large config or ledger delays neither the event loop nor a run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from collector.adapters.clock import SystemClock
from collector.adapters.heap import keep_giving_back
from collector.adapters.signals import draining, hearing_hangup
from collector.adapters.thread import WorkerThread
from collector.adapters.token_file import TokenFile, read_token
from collector.app.command import Command, Permits, has_ledger
from collector.app.coverage import CoverageReader
from collector.app.ledgers import create_no_second_ledger, is_file, ledger_look, open_ledger
from collector.app.outputs import check_output
from collector.app.places import files_of, output_look
from collector.app.prepare import register
from collector.app.scope import Scope
from collector.app.wiring import new_run_id, run_once
from collector.config import LoadedConfig, files_now
from collector.config.sections import State
from collector.core.ledger_entries import RECONCILE, RemovedOrg
from collector.core.org_coverage import OrgCoverage
from collector.errors import ConfigError, LedgerError, place_of
from collector.events import Listener, all_of
from collector.ledger import SqlLedger
from collector.ports import Clock
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from collector.service.budgets import BudgetWatch
from collector.service.loop import COMMAND, Loop
from collector.service.metrics import ServiceMetrics, wanted_of
from collector.service.otlp import check_otlp, keep_sending
from collector.service.readiness import Readiness
from collector.service.run_views import past_view
from collector.service.site import ServiceSite
from collector.service.view import RUNS_SHOWN, Part, RunView
from collector.service.viewer import Viewer
from collector.service.watcher import Fingerprint, fingerprint
from collector.service.web.connections import raise_file_limit
from collector.service.web.guard import Guarding
from collector.service.web.server import make_app, serving

T = TypeVar("T")
log = structlog.get_logger("collector")
_AGAIN_S = 10.0
NEEDS_LEDGER = "serve needs a ledger: `state.url` is none, so it can't know what is complete and what is missing"


class ServiceHost:
    """Gives the loop access to files, threads and the ledger (implements `collector.service.host.Host`)."""

    def __init__(
        self,
        load: Callable[[], LoadedConfig],
        *,
        scope: Scope,
        permits: Permits,
        clock: Clock,
        writer: WorkerThread,
        reader: WorkerThread,
    ) -> None:
        self._load = load
        self._scope = scope
        self._permits = permits
        self._clock = clock
        self._writer = writer
        self._reader = reader
        self._ledger: SqlLedger | None = None
        self._state: State | None = None  # with which the ledger was opened
        self._output: tuple[State, str] | None = None  # the ledger and its output that were accepted last

    async def load(self) -> LoadedConfig:
        """Read the config again. Raises ConfigError with all problems."""
        config = await self._reader(self._load)
        refuse_unfit(config)
        return config

    async def accept(self, config: LoadedConfig) -> None:
        """Register a config's orgs in the ledger, if its output is the ledger's: that is checked where it is new.

        An output that is replaced later is no fault of the config: the run fails. Raises ConfigError for an output that
        isn't the ledger's, OutputError and LedgerError.
        """
        settings, orgs = config.settings, self._scope.of(config.orgs)
        output = settings.state, settings.output.path

        def work(ledger: SqlLedger) -> None:
            if output != self._output:
                command = Command(name=COMMAND, range_=None, scope=self._scope, permits=self._permits)
                with files_of(settings) as files:
                    check_output(ledger, settings, command, files)
            register(ledger, config, orgs, self._clock.now())
            self._output = output

        await self.read(config, work)

    async def look(self, config: LoadedConfig) -> Fingerprint:
        """Return the fingerprint of a config's files, including those that its patterns match now."""
        return await self._reader(lambda: fingerprint(files_now(config)))

    async def run(
        self, config: LoadedConfig, command: Command, *, run_id: str, stop: Stop, watch: Listener
    ) -> RunResult:
        """Execute one run. Raises the exception that ended it, if any."""
        command = replace(command, permits=self._permits)
        return await run_once(
            config, command, run_id=run_id, offload=self._writer, stop=stop, watch=watch, create=False
        )

    async def recent_runs(self, config: LoadedConfig) -> Sequence[RunView]:
        """Return the service's ended runs that are in the ledger, newest first. Raises LedgerError."""

        def work(ledger: SqlLedger) -> list[RunView]:
            return [
                past_view(run, name)
                for name in (COMMAND, RECONCILE)
                for run in ledger.ended_runs(Command(name=name, range_=None, scope=self._scope).label, RUNS_SHOWN)
            ]

        return sorted(await self.read(config, work), key=lambda run: run.started_at, reverse=True)

    async def runs_beside(self, config: LoadedConfig) -> Sequence[RunView]:
        """Return the ended runs of other commands that are in the ledger, newest first. Raises LedgerError."""
        ours = Command(name=COMMAND, range_=None, scope=self._scope).label
        runs = await self.read(config, lambda ledger: ledger.ended_beside(ours, RUNS_SHOWN))
        return [past_view(run, run.command) for run in runs]

    async def removed(self, config: LoadedConfig) -> Sequence[RemovedOrg]:
        """Return the orgs that the config no longer has, by name. Raises LedgerError."""
        names = [org.name for org in config.orgs]
        return await self.read(config, lambda ledger: ledger.removed(names))

    async def coverage(
        self, config: LoadedConfig, reader: CoverageReader, names: Iterable[str]
    ) -> Mapping[str, OrgCoverage]:
        """Return orgs as the ledger has them now. Raises LedgerError."""
        return await self.read(config, lambda ledger: reader.read(ledger, names, self._clock.now()))

    async def read(self, config: LoadedConfig, work: Callable[[SqlLedger], T]) -> T:
        """Call `work` with the reader's ledger handle, on the reader's thread. Raises LedgerError."""

        def on_thread() -> T:
            try:
                return work(self._handle(config))
            except LedgerError:
                if config.settings.state == self._state:
                    self._forget()  # the next call opens it again
                raise

        return await self._reader(on_thread)

    async def close(self) -> None:
        """Close the ledger."""
        await self._reader(self._forget)

    def _handle(self, config: LoadedConfig) -> SqlLedger:
        state = config.settings.state
        if self._ledger is None or self._state != state:
            # First: the one in use stays if this fails. One that was in use and is gone is not created anew.
            is_new = self._state != state
            if is_new:
                create_no_second_ledger(config.settings, self._permits)
            opened = open_ledger(config.settings, COMMAND, self._clock, create=is_new)
            self._forget()
            self._ledger, self._state = opened, state
        return self._ledger

    def _forget(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None


def refuse_unfit(config: LoadedConfig) -> None:
    """Raise ConfigError for a config that a service can't use."""
    if not has_ledger(config):
        raise ConfigError(NEEDS_LEDGER)
    check_otlp(config.settings)
    if (token_file := config.settings.service.token_file) is not None:
        read_token(token_file)


async def serve(
    config: LoadedConfig, *, load: Callable[[], LoadedConfig], scope: Scope, permits: Permits, watch: Listener
) -> None:
    """Run the service until SIGTERM or SIGINT. Raises ConfigError, OutputError and LedgerError if it can't start."""
    refuse_unfit(config)
    raise_file_limit()
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(WorkerThread("writer"))
        reader = await stack.enter_async_context(WorkerThread("reader"))
        host = ServiceHost(load, scope=scope, permits=permits, clock=clock, writer=writer, reader=reader)
        stack.push_async_callback(host.close)
        loop = Loop(host, config, clock=clock, new_run_id=lambda: new_run_id(clock), scope=scope)
        metrics = ServiceMetrics(loop.observed, lambda: wanted_of(loop.config.settings))
        viewer = Viewer(
            host,
            config=lambda: loop.config,
            observed=loop.observed,
            quarantine=loop.quarantine,
            clock=clock,
            scope=scope,
        )
        budgets = BudgetWatch(host, config=lambda: loop.config, observed=loop.observed, clock=clock, scope=scope)
        loop.on_event = all_of(watch, metrics.note, viewer.note)
        loop.on_run = metrics.run_ended

        def hung_s() -> dict[str, float]:
            now = asyncio.get_running_loop().time()
            return {"writer": writer.hung_s(now), "reader": reader.hung_s(now)}

        looking = partial(Readiness, begin=loop.accepted, observed=loop.observed, clock=clock, on_back=loop.retry)
        ledger = looking(Part.LEDGER, place=lambda: loop.config.settings.state, look_of=ledger_look)
        output = looking(Part.OUTPUT, place=lambda: loop.config.settings.output, look_of=output_look)
        site = ServiceSite(loop=loop, service_metrics=metrics, clock=clock, hung_s=hung_s, scope=scope)
        stack.enter_context(draining(loop.stop))
        stack.enter_context(hearing_hangup(loop.reload))
        service = config.settings.service
        app = make_app(site, guarding_by(lambda: loop.config))
        # A file that can't be used ends the service before it answers. A server may be back: the loop waits for it.
        first = partial(host.accept, config) if is_file(config.settings.state) else None
        port = await stack.enter_async_context(serving(app, host=service.host, port=service.port, first=first))
        log.info("service.listening", host=service.host, port=port)
        otlp = partial(
            keep_sending, lambda: loop.config.settings.push.otlp, metrics.families, shard=scope.shard, clock=clock
        )
        await stack.enter_async_context(
            running(viewer.run, budgets.run, ledger.run, output.run, metrics.loop_lag.measure, keep_giving_back, otlp)
        )
        await loop.run()
    log.info("service.ended", message="the service has ended: no run is under way, and the page is closed")


def guarding_by(config: Callable[[], LoadedConfig]) -> Callable[[], Guarding]:
    """Return a function that gives the access rules of the page, from the config in force."""
    file = TokenFile()

    def guarding() -> Guarding:
        service = config().settings.service
        path = service.token_file
        token = (lambda: None) if path is None else (lambda: file.token(path))
        return Guarding(token=token, allowed_hosts=service.allowed_hosts)

    return guarding


@asynccontextmanager
async def running(*endless: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run endless tasks during the block, and cancel them at its end. An exception of the block passes through."""
    tasks = [asyncio.create_task(_restarting(one)) for one in endless]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _restarting(endless: Callable[[], Awaitable[None]]) -> None:
    """Run an endless task, and start it again after a defect. Without that, the page would stop changing unnoticed."""
    while True:
        try:
            await endless()
        except Exception as error:  # noqa: BLE001 - the service outlives it
            log.error("task.crashed", exception=type(error).__name__, where=place_of(error))
        await asyncio.sleep(_AGAIN_S)
