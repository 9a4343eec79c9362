"""One run: plan → fetch → normalise → deliver.

Reads top to bottom: the dispatch asks and the writer writes, side by side; then what is
there is sealed, and last of all the manifest says what the run came to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from signal import Signals

from collector.core.plan import LanePlan
from collector.core.summary import RunSummary
from collector.deliver import RecordRules, Writer
from collector.dispatch import STOPPED, Dispatcher, Event, Limits
from collector.errors import OutputError
from collector.exitcodes import ExitCode
from collector.model import SliceState
from collector.ports import Clock, SealedFile, Sink, Transport
from collector.result import RunResult, manifest


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
    grace_s: float
    transport: Transport
    sink: Sink
    clock: Clock
    emit: Callable[[Event], None]
    rng: random.Random = field(default_factory=random.SystemRandom)
    stop: Stop = field(default_factory=Stop)

    async def execute(self) -> RunResult:
        """Run to the end, whatever the API does; only a defect of ours raises."""
        started_at = self.clock.now()
        summary = RunSummary.of(self.plans)
        writer = Writer(
            self.sink,
            clock=self.clock,
            rules=RecordRules(run_id=self.run_id, trust_zero_for=self.trust_zero_for),
            summary=summary,
            on_failure=lambda: dispatcher.stop(0.0),
        )
        dispatcher = Dispatcher(
            self.plans,
            limits=self.limits,
            transport=self.transport,
            clock=self.clock,
            deliver=writer.put,
            emit=self.emit,
            rng=self.rng,
        )
        self.stop.listener = lambda: dispatcher.stop(self.grace_s)
        if self.stop.signal is not None:
            dispatcher.stop(self.grace_s)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.run())
            await dispatcher.run()
            await writer.close()
        _close_summary(summary, dispatcher, writer.failure)
        return await self._seal(started_at, summary, writer.failure)

    async def _seal(self, started_at: datetime, summary: RunSummary, failure: OutputError | None) -> RunResult:
        files: tuple[SealedFile, ...] = ()
        try:
            if failure is not None:
                await self.sink.abandon()
            files = await self.sink.seal()
            result = self._result(started_at, summary, files, failure)
            await self.sink.finish(manifest(result))
        except OutputError as error:
            await self.sink.abandon()
            return self._result(started_at, summary, files, failure or error)
        return result

    def _result(
        self,
        started_at: datetime,
        summary: RunSummary,
        files: tuple[SealedFile, ...],
        failure: OutputError | None,
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


def _close_summary(summary: RunSummary, dispatcher: Dispatcher, failure: OutputError | None) -> None:
    """Account for the slices that no outcome was written of, by why their lane ended."""
    for lane in dispatcher.lanes:
        for population in summary.orgs[lane.org.name].populations.values():
            if failure is not None:
                population.close(SliceState.NOT_ASKED, "output", "the output failed before it was delivered")
            elif lane.end is not None:
                population.close(lane.end.state, lane.end.failure.code, lane.end.failure.message)
            else:
                population.close(SliceState.NOT_ASKED, STOPPED.code, STOPPED.message)
