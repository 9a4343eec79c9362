"""One run: plan → fetch → normalise → deliver.

Reads top to bottom: the dispatch asks and the writer writes, side by side; then what is
there is sealed, and last of all the manifest says what the run came to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from signal import Signals

from collector.core.exit_codes import CAME_TO_ITS_END, ExitCode
from collector.core.plan import LanePlan
from collector.core.summary import RunSummary
from collector.deliver.write_queue import WriteQueue
from collector.deliver.writer import Rules, Writer
from collector.errors import CollectorError, Rejected
from collector.fetch import RELOADED, STOPPED, Dispatcher, Event, Limits
from collector.model import SliceState
from collector.ports import Clock, Offload, SealedFile, Sink, Transport
from collector.run.leasing import Claims
from collector.run.manifest import RunResult, manifest
from collector.run.org_task import Memory

_GATHER_S = 1.0  # for how long ends of slices are gathered into one commit
OUTPUT_GRACE_S = 5.0  # behind the grace of the requests: for what they brought to be written


@dataclass(slots=True)
class Stop:
    """A request to end early: by a signal, or because the config changed. The run hears of it through the listeners."""

    signal: Signals | None = None
    reloaded: bool = False
    on_signal: Callable[[], None] | None = None
    on_reload: Callable[[], None] | None = None

    def request(self, signal_: Signals) -> None:
        """Ask the run to drain and end: nothing more is sent."""
        if self.signal is None:
            self.signal = signal_
            if self.on_signal is not None:
                self.on_signal()

    def reload(self) -> None:
        """Ask the run to bring what it has begun to its end, and to begin nothing more."""
        if not self.reloaded:
            self.reloaded = True
            if self.on_reload is not None:
                self.on_reload()


@dataclass(slots=True, kw_only=True)
class Run:
    """Everything one run needs."""

    run_id: str
    command: str
    plans: Sequence[LanePlan]
    limits: Limits
    trust_zero_for: timedelta
    restate_for: timedelta
    grace_s: float
    transport: Transport
    sink: Sink
    offload: Offload
    clock: Clock
    emit: Callable[[Event], None]
    rng: random.Random = field(default_factory=random.SystemRandom)
    stop: Stop = field(default_factory=Stop)
    _abandoned: bool = field(init=False, default=False)
    memory: Memory | None = None  # without one, `plans` is asked as it is

    async def execute(self) -> RunResult:
        """Run to the end, whatever the API does; only a defect of ours raises."""
        started_at = self.clock.now()
        summary = RunSummary.of(self.plans)
        books = self._books()
        writer = WriteQueue(
            books,
            offload=self.offload,
            summary=summary,
            on_failure=lambda: dispatcher.stop(0.0),
            emit=self.emit,
            gather_s=_GATHER_S if self.memory else 0.0,
        )
        claims = self._claims(writer, summary)
        dispatcher = Dispatcher(
            [work.plan for work in self.memory.works] if self.memory else self.plans,
            limits=self.limits,
            transport=self.transport,
            clock=self.clock,
            deliver=writer.put,
            emit=self.emit,
            rng=self.rng,
            identities=claims.binding if claims else None,
            on_idle=claims.on_idle if claims else None,
        )

        timers: list[asyncio.TimerHandle] = []

        def drain() -> None:
            dispatcher.stop(self.grace_s)
            timers.append(asyncio.get_running_loop().call_later(self.grace_s + OUTPUT_GRACE_S, self._abandon))

        self.stop.on_signal = drain
        self.stop.on_reload = lambda: dispatcher.wind_up(self.grace_s)
        if self.stop.signal is not None:
            drain()
        if self.stop.reloaded:
            dispatcher.wind_up(self.grace_s)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.run())
            feeding = tasks.create_task(_feed(claims, dispatcher))
            await dispatcher.run()
            await feeding
            await writer.close()
        failure = await self._seal(books, writer.failure)
        for timer in timers:
            timer.cancel()
        writer.settle()
        _close_summary(
            summary, dispatcher, failure, RELOADED if self.stop.reloaded and self.stop.signal is None else STOPPED
        )
        busy = bool(claims and claims.busy)
        result = self._result(started_at, summary, tuple(books.sealed), failure, busy=busy)
        try:
            # One that a new config cut short is made up for, like one that was killed.
            booked = None if self.stop.reloaded and result.exit_code in CAME_TO_ITS_END else result.exit_code
            await self.offload(lambda: books.finish(manifest(result), booked))
        except CollectorError as error:
            return replace(result, exit_code=ExitCode.OUTPUT, output_error=failure or error)
        return result

    def _books(self) -> Writer:
        memory = self.memory
        keys = {work.org.name: work for work in memory.works} if memory else {}
        return Writer(
            self.sink,
            clock=self.clock,
            rules=Rules(
                run_id=self.run_id,
                trust_zero_for=self.trust_zero_for,
                restate_for=self.restate_for,
                directory=memory.directory if memory else "",
                place=memory.place if memory else None,
            ),
            ledger=memory.ledger if memory else None,
            key_of=lambda org: keys[org.name].key if keys else 0,
        )

    def _claims(self, writer: WriteQueue, summary: RunSummary) -> Claims | None:
        if self.memory is None:
            return None
        for work in self.memory.works:
            summary.org(work.org)
        return Claims(
            self.memory,
            offload=self.offload,
            flush=writer.flush,
            fail=writer.fail,
            summary=summary,
            emit=self.emit,
            permits=self.limits.concurrency,
        )

    def _abandon(self) -> None:
        self._abandoned = True
        self.sink.abandon()

    async def _seal(self, books: Writer, failure: CollectorError | None) -> CollectorError | None:
        """Seal what was written, or give up what a failing output left; return why, if so."""
        if failure is None:
            try:
                await self.offload(books.seal)
            except CollectorError as error:
                failure = error
        if failure is not None:
            with suppress(CollectorError):  # why it is given up is told
                await self.offload(books.give_up)
        return failure

    def _result(
        self,
        started_at: datetime,
        summary: RunSummary,
        files: tuple[SealedFile, ...],
        failure: CollectorError | None,
        *,
        busy: bool,
    ) -> RunResult:
        code = summary.exit_code
        if self._abandoned:
            failure = None  # the output was given up because the run had to end
        if busy and code is not ExitCode.REFUSED:
            code = ExitCode.BUSY
        if failure is not None:
            code = ExitCode.OUTPUT
        elif self.stop.signal is not None:
            code = ExitCode(128 + self.stop.signal)
        return RunResult(
            run_id=self.run_id,
            command=self.command,
            started_at=started_at,
            ended_at=self.clock.now(),
            summary=summary,
            files=files,
            exit_code=code,
            output_error=failure,
            recovered=tuple(self.memory.recovered) if self.memory else (),
        )


async def _feed(claims: Claims | None, dispatcher: Dispatcher) -> None:
    if claims is not None:
        claims.attach(dispatcher)
        await claims.run()


def _close_summary(summary: RunSummary, dispatcher: Dispatcher, failure: CollectorError | None, why: Rejected) -> None:
    """Account for the slices that no outcome was written of, by why their lane ended."""
    for lane in dispatcher.lanes:
        unissued = lane.plan.unissued
        for name, population in summary.orgs[lane.org.name].populations.items():
            windows = unissued.get(name, ())
            if failure is not None:  # of some of them it isn't known whether they were delivered
                population.close(SliceState.NOT_ASKED, "output", "the output failed before it was delivered")
            elif lane.end is not None:
                population.close(lane.end.state, lane.end.failure.code, lane.end.failure.message, windows)
            else:
                population.close(SliceState.NOT_ASKED, why.code, why.message, windows)
