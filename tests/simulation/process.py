"""One process: a command wired as `app.run_command` does it, with the world's disk, clock, API and misfortunes.

What runs on the writer's thread there runs in a greenlet here: each operation on disk or ledger takes its time
in virtual time, others go on meanwhile, and between any two of them the process may be killed. Once it is
dead, nothing that it still tries has an effect.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy.util import await_only, greenlet_spawn

from collector.adapters.sinks import DirectorySink
from collector.app.command import Command, Permits
from collector.app.prepare import prepare
from collector.app.scope import Scope
from collector.app.wiring import run_config
from collector.config import LoadedConfig
from collector.core.exit_codes import ExitCode
from collector.core.layout import Layout
from collector.core.ranges import Between, Moment, Range
from collector.errors import CollectorError, ConfigError, LedgerError, OutputError
from collector.events import ApiDown, Event, SliceOutcome
from collector.ledger import SqlLedger
from collector.run.manifest import RunResult
from collector.run.run import Run
from collector.run.stop import Stop
from tests.simulation.api import ApiTransport
from tests.simulation.disk import SimFiles
from tests.simulation.scenario import Ending, Launch, Trouble
from tests.simulation.trace import Broken

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
GRACE_S = 20.0


class Killed(BaseException):
    """The process is dead: raised wherever it would still do something."""


@dataclass(eq=False)
class Process:
    """A command from its call to its end, in whatever way it ends."""

    world: World
    run_id: str
    launch: Launch
    ending: Ending
    config: LoadedConfig
    rng: random.Random
    dead: bool = False
    began: float = 0.0
    ended: float | None = None
    exit_code: int | None = None  # None if it was killed
    result: RunResult | None = None
    error: BaseException | None = None
    failed_by: list[str] = field(default_factory=list)  # troubles of the machine that it met
    outcomes: list[SliceOutcome] = field(default_factory=list)
    down: bool = False  # whether it took the API for down
    signalled: bool = False
    operations: int = 0
    neighbours: set[str] = field(default_factory=set)  # the runs that went on beside it, and itself

    def __post_init__(self) -> None:
        self.ledger: SqlLedger | None = None
        self.stop = Stop()
        self._turn = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None

    # -- what disk and ledger need of it

    def point(self, what: str) -> None:
        self._expect_alive()
        self.world.trace(self.run_id, what)
        self.operations += self.ending.point is None or what.startswith(self.ending.point)
        if self.operations == self.ending.operation:
            self.world.crash(self, power=self.ending.power)
            raise Killed

    def wait(self, seconds: float) -> None:
        await_only(asyncio.sleep(seconds))
        self._expect_alive()

    def disk_refuses(self, operation: str) -> bool:
        troubles = {Trouble.SYNC_FAILS} if operation == "sync" else {Trouble.DISK_FULL}
        return self._meets(troubles, operation)

    def ledger_refuses(self, trouble: Trouble, operation: str) -> bool:
        return self._meets({trouble}, operation)

    def _meets(self, troubles: set[Trouble], operation: str) -> bool:
        now = self.world.now()
        for episode in self.world.scenario.machine:
            if (
                episode.trouble in troubles
                and episode.begins <= now < episode.ends
                and self.rng.random() < episode.share
            ):
                self.failed_by.append(f"{episode.trouble} at {operation}")
                self.world.trace(self.run_id, f"{episode.trouble} at {operation}")
                return True
        return False

    def _expect_alive(self) -> None:
        if self.dead:
            raise Killed

    def gone(self) -> bool:
        """Say whether it has ended."""
        return self.dead or self.ended is not None

    def alive(self) -> None:
        """Raise Killed if it isn't."""
        self._expect_alive()

    # -- its life

    async def offload(self, work: Callable[[], T], /) -> T:
        """Do the work as the writer's thread would: one after the other."""
        async with self._turn:
            self._expect_alive()
            return cast("T", await greenlet_spawn(work))

    def now(self) -> datetime:
        """Be the clock (`collector.ports.Clock`)."""
        return self.world.wall_clock()

    async def live(self) -> None:
        """Run to the end."""
        self.began = self.world.now()
        self.world.trace(self.run_id, f"begins: {self._words()}")
        try:
            self.result = await self._run()
            self.exit_code = int(self.result.exit_code)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is how the process ended
            if not self.dead:
                self._failed(error)
        self.ended = self.world.now()
        self.world.trace(self.run_id, f"ends: {'killed' if self.dead else self.exit_code}")

    async def _run(self) -> RunResult:
        config, command = self.config, self._command()
        ledger = await self.offload(self._open_ledger)
        try:
            handle = cast("SqlLedger", SimLedger(ledger, self))
            files = SimFiles(self.world.disk, self, self._disk_latency)
            session = await self.offload(lambda: prepare(handle, config, command, self.run_id, self, files=files))
            directory = Path(session.directory)
            sink = await self.offload(
                lambda: DirectorySink.open(
                    directory,
                    run_id=self.run_id,
                    seal_at=self.world.scenario.seal_at,
                    files=files,
                    layout=self._layout(),
                )
            )
            return await Run(
                config=replace(run_config(config.settings, command, self.run_id), grace_s=GRACE_S),
                session=session,
                transport=None if command.restates else ApiTransport(self.world.api, self.run_id, self.alive),
                sink=sink,
                offload=self.offload,
                clock=self,
                emit=self._hear,
                rng=self.rng,
                stop=self.stop,
            ).execute()
        finally:
            if not self.dead:
                await self.offload(lambda: self._close(ledger))

    def _layout(self) -> Layout:
        """Return the layout of the process's files; seeds of one layout draw nothing."""
        layouts = self.world.scenario.layouts
        return layouts[0] if len(layouts) == 1 else self.rng.choice(layouts)

    def _open_ledger(self) -> SqlLedger:
        self.point("open")
        self.ledger = self.world.open_ledger(f"{self.run_id}")
        self.point("opened")
        return self.ledger

    def _close(self, ledger: SqlLedger) -> None:
        self.point("close")
        ledger.close()
        self.ledger = None
        self.point("closed")

    def die(self) -> None:
        """Be killed: let go of everything as the kernel would."""
        self.dead = True
        if self.ledger is not None:
            self.ledger.abandon()
        if self.task is not None:
            self.task.cancel()

    def _failed(self, error: BaseException) -> None:
        """Translate what ended the process as `cli.main` does."""
        self.error = error
        for broken in _broken_in(error):
            self.world.broken(broken.invariant, str(broken))
        match error:
            case OutputError() | LedgerError():
                self.exit_code = int(ExitCode.OUTPUT)
            case ConfigError():
                self.exit_code = int(ExitCode.USAGE)
            case CollectorError():
                self.exit_code = int(ExitCode.DEFECT)
            case _:
                self.exit_code = int(ExitCode.DEFECT)

    def _command(self) -> Command:
        launch = self.launch
        range_: Range | None = None
        if launch.first_day is not None:
            range_ = Between(Moment(launch.first_day), Moment(launch.last_day) if launch.last_day else None)
        return Command(
            name=launch.command,
            range_=range_,
            force=launch.force,
            sparse=launch.sparse,
            scope=Scope(orgs=self.world.names(launch.only, self.config), shard=launch.shard),
            wait=timedelta(seconds=launch.wait),
            permits=Permits(elsewhere=True),  # processes of one machine have directories of their own
        )

    def _hear(self, event: Event) -> None:
        match event:
            case SliceOutcome():
                self.outcomes.append(event)
            case ApiDown():
                self.down = True
            case _:
                pass

    def _disk_latency(self) -> float:
        return self.rng.uniform(0.0002, 0.02)

    def _words(self) -> str:
        days = f" {self.launch.first_day} to {self.launch.last_day}" if self.launch.first_day else ""
        force = " --force" if self.launch.force else ""
        sparse = " --sparse" if self.launch.sparse else ""
        return f"{self.launch.command}{days}{force}{sparse} into {self.launch.directory}, {self.ending}"


class SimLedger:
    """The real ledger, each of whose methods takes time, may fail, and may be the last thing that a process does."""

    def __init__(self, ledger: SqlLedger, process: Process) -> None:
        self._ledger = ledger
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._ledger, name)
        process = self._process

        def step(*args: Any, **kwargs: Any) -> Any:
            process.point(f"ledger {name}")
            process.wait(process.rng.uniform(0.0001, 0.008))
            if process.ledger_refuses(Trouble.LEDGER_FAILS, name):
                raise LedgerError("the ledger can't be used: the simulated disk is full")
            result = method(*args, **kwargs)
            if name == "register":
                process.world.registered(args[0])
            if name == "lost" and not process.world.disk.tampered:
                raise Broken("lost", f"what was booked of file {args[0]} isn't there, and nobody touched it")
            if process.ledger_refuses(Trouble.LEDGER_DOUBTFUL, name):
                raise LedgerError("the ledger can't be used: the connection was lost, who knows when")
            process.point(f"ledger {name} done")
            return result

        return step


def _broken_in(error: BaseException) -> list[Broken]:
    if isinstance(error, Broken):
        return [error]
    if isinstance(error, BaseExceptionGroup):
        return [broken for one in error.exceptions for broken in _broken_in(one)]
    return []
