"""The service's loop in virtual time: real runs, ledger and files behind it; config, clock and API by script."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from signal import SIGTERM

from collector.app.command import Command
from collector.config import LoadedConfig
from collector.errors import ConfigError, LedgerAwayError
from collector.events import Event
from collector.ledger import SqlLedger
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from collector.service.loop import Loop
from collector.service.metrics import ServiceMetrics
from collector.service.run_views import past_view
from collector.service.view import RunView
from collector.service.watcher import Fingerprint
from tests.flow.world import World
from tests.support.fake_api import FakeClock
from tests.support.virtual_time import run_virtual

During = Callable[[Loop], Awaitable[None]]


class JumpingClock(FakeClock):
    """A wall clock that goes with the loop, and that a test may set."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class ServiceWorld(World):
    """Fits `collector.service.host.Host`. `began` is when each run began, and over which orgs."""

    refused: ConfigError | None = None  # what is wrong with the config's files now
    away: bool = False  # the ledger, while a config is loaded
    why_away: str = "the server is away"
    version: int = 0  # of the files: a test changes it
    loads: list[float] = field(default_factory=list)  # when the config was loaded
    fails: Callable[[int], Exception | None] = lambda _n: None  # what the n-th run ends with
    began: list[tuple[datetime, tuple[str, ...]]] = field(default_factory=list)
    ended: list[RunView] = field(default_factory=list)
    clock: JumpingClock = field(init=False)
    metrics: ServiceMetrics = field(init=False)

    async def load(self) -> LoadedConfig:
        self.loads.append(asyncio.get_running_loop().time())
        if self.refused is not None:
            raise self.refused
        return self.config

    async def accept(self, config: LoadedConfig) -> None:
        del config
        if self.away:
            raise LedgerAwayError(f"the ledger can't be used: {self.why_away}")

    async def look(self, config: LoadedConfig) -> Fingerprint:
        del config
        return (self.version,)

    async def recent_runs(self, config: LoadedConfig) -> Sequence[RunView]:
        del config
        ledger = SqlLedger.open(self.ledger_url, command="serve", now=self.clock.now, durable=False)
        try:
            runs = [past_view(run, name) for name in ("serve", "reconcile") for run in ledger.ended_runs(name, 50)]
            return sorted(runs, key=lambda run: run.started_at, reverse=True)
        finally:
            ledger.close()

    async def run(  # type: ignore[override]
        self, config: LoadedConfig, command: Command, *, run_id: str, stop: Stop, watch: Callable[[Event], None]
    ) -> RunResult:
        del config
        self.began.append((self.clock.now(), command.scope.orgs))
        if (error := self.fails(len(self.began))) is not None:
            raise error
        return await super().run(command, run_id=run_id, clock=self.clock, stop=stop, emit=watch)

    def serve(self, start: datetime, lasting: timedelta, during: During | None = None) -> Loop:
        """Let the service live for that long, beside `during`; then SIGTERM."""

        async def main() -> Loop:
            self.clock = JumpingClock(start)
            loop = Loop(
                self,
                self.config,
                clock=self.clock,
                new_run_id=self._next_run_id,
                rng=random.Random(1),
            )
            metrics = self.metrics = ServiceMetrics(loop.observed)

            def on_run(run: RunView) -> None:
                self.ended.append(run)
                metrics.run_ended(run)

            loop.on_run = on_run
            loop.on_event = self.events.append
            asyncio.get_running_loop().call_later(lasting.total_seconds(), loop.stop, SIGTERM)
            async with asyncio.TaskGroup() as tasks:
                if during is not None:
                    tasks.create_task(_run(during, loop))
                await loop.run()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return loop

        return run_virtual(main())

    def _next_run_id(self) -> str:
        self.runs += 1
        return f"{self.runs:05}"


async def _run(during: During, loop: Loop) -> None:
    await during(loop)
