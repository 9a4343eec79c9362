"""One run: plan → fetch → normalise → deliver.

Reads top to bottom: the dispatch asks and the writer writes, side by side; then what is
there is sealed, and last of all the manifest says what the run came to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from signal import Signals

from collector.books import Books, Rules
from collector.core.plan import LanePlan
from collector.core.summary import RunSummary
from collector.deliver import Writer
from collector.dispatch import STOPPED, Dispatcher, Event, Limits
from collector.errors import CollectorError
from collector.exitcodes import ExitCode
from collector.model import SliceState
from collector.ports import Clock, Offload, SealedFile, Sink, Transport
from collector.result import RunResult, manifest

_OUTPUT_GRACE_S = 5.0  # behind the grace of the requests: for what they brought to be written


@dataclass(slots=True)
class Stop:
    """A request to end early: by a signal, once; the run hears of it through `listener`."""

    signal: Signals | None = None
    listener: Callable[[], None] | None = None

    def request(self, signal_: Signals) -> None:
        """Ask the run to drain and end."""
        if self.signal is None:
            self.signal = signal_
            if self.listener is not None:
                self.listener()


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

    async def execute(self) -> RunResult:
        """Run to the end, whatever the API does; only a defect of ours raises."""
        started_at = self.clock.now()
        summary = RunSummary.of(self.plans)
        books = Books(
            self.sink,
            clock=self.clock,
            rules=Rules(run_id=self.run_id, trust_zero_for=self.trust_zero_for, restate_for=self.restate_for),
        )
        writer = Writer(books, offload=self.offload, summary=summary, on_failure=lambda: dispatcher.stop(0.0))
        dispatcher = Dispatcher(
            self.plans,
            limits=self.limits,
            transport=self.transport,
            clock=self.clock,
            deliver=writer.put,
            emit=self.emit,
            rng=self.rng,
        )

        timers: list[asyncio.TimerHandle] = []

        def drain() -> None:
            dispatcher.stop(self.grace_s)
            timer = asyncio.get_running_loop().call_later(self.grace_s + _OUTPUT_GRACE_S, self.sink.abandon)
            timers.append(timer)

        self.stop.listener = drain
        if self.stop.signal is not None:
            drain()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.run())
            await dispatcher.run()
            await writer.close()
        failure = await self._seal(books, writer.failure)
        for timer in timers:
            timer.cancel()
        writer.settle()
        _close_summary(summary, dispatcher, failure)
        files = tuple(books.sealed)
        result = self._result(started_at, summary, files, failure)
        try:
            await self.offload(lambda: books.finish(manifest(result), result.exit_code))
        except CollectorError as error:
            return self._result(started_at, summary, files, failure or error)
        return result

    async def _seal(self, books: Books, failure: CollectorError | None) -> CollectorError | None:
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
    ) -> RunResult:
        code = summary.exit_code
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
        )


def _close_summary(summary: RunSummary, dispatcher: Dispatcher, failure: CollectorError | None) -> None:
    """Account for the slices that no outcome was written of, by why their lane ended."""
    for lane in dispatcher.lanes:
        for population in summary.orgs[lane.org.name].populations.values():
            if failure is not None:
                population.close(SliceState.NOT_ASKED, "output", "the output failed before it was delivered")
            elif lane.end is not None:
                population.close(lane.end.state, lane.end.failure.code, lane.end.failure.message)
            else:
                population.close(SliceState.NOT_ASKED, STOPPED.code, STOPPED.message)
