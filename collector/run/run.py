"""One run: plan → fetch → normalise → deliver.

Three tasks, joined by queues: the leasing plans batches of orgs, the fetching fetches them, the writing
writes and commits what came. Then the last file is sealed, and last of all the manifest.

    leasing ──batches──► fetching ──outcomes──► writing
       ▲───────idle────────┘  ▲──────failure──────┘
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from collector.core.exit_codes import CAME_TO_ITS_END, ExitCode
from collector.core.summary import RunSummary
from collector.core.wanted import ReconcileWanted
from collector.deliver.write_queue import WriteQueue
from collector.deliver.writer import Rules, Writer
from collector.errors import ClockError, CollectorError, LedgerError
from collector.events import Event
from collector.fetch import CLOCK, Backlog, Batches, Dispatcher, Limits, lanes_of
from collector.model import SliceState
from collector.ports import Clock, Offload, Sink, Transport
from collector.run.coverage_file import Coverage, CoverageWriting
from collector.run.identity import IdentityCheck
from collector.run.leasing import Leasing
from collector.run.manifest import RunResult, manifest
from collector.run.org_task import OrgTask, OrgTasks
from collector.run.planning import Planning
from collector.run.restating import Restating
from collector.run.session import LedgerSession
from collector.run.stop import Stop

_GATHER_S = 1.0  # for which ends of slices are gathered into one commit
_NOT_DELIVERED = "requested, but the output or the ledger failed: it is not known that these slices were delivered"
_NOT_REQUESTED = "the output or the ledger failed before these slices were requested"
OUTPUT_GRACE_S = 5.0  # behind the grace of the requests: for writing what they brought


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What the config and the command say about a run. Durations with `_s` are in seconds."""

    run_id: str
    command: str
    limits: Limits
    trust_zero_for: timedelta
    restate_for: timedelta
    grace_s: float  # for requests under way when the run is stopped


@dataclass(slots=True, kw_only=True)
class Run:
    """Everything one run needs. Call `execute` once, in an event loop."""

    config: RunConfig
    session: LedgerSession
    transport: Transport | None  # None: nothing is fetched, and what the ledger has is restated
    sink: Sink
    offload: Offload
    clock: Clock
    emit: Callable[[Event], None]
    stop: Stop
    rng: random.Random = field(default_factory=random.SystemRandom)
    _summary: RunSummary = field(init=False)
    _writer: Writer = field(init=False)
    _writing: WriteQueue = field(init=False)
    _tasks: OrgTasks = field(init=False)
    _planning: Planning = field(init=False)
    _leasing: Leasing = field(init=False)
    _fetching: Dispatcher | Restating = field(init=False)
    _abandoned: bool = field(init=False, default=False)

    async def execute(self) -> RunResult:
        """Run to the end, whatever the API does; only a defect of ours raises."""
        started_at = self.clock.now()
        self._wire()
        async with asyncio.TaskGroup() as tasks:
            watches = [
                tasks.create_task(watch()) for watch in (self._drain_on_signal, self._wind_up, self._end_on_failure)
            ]
            failure = await self._fetch_and_write()
            for watch in watches:
                watch.cancel()
        await self._close_summary(failure)
        coverage = None
        if failure is None and self.transport is not None:
            coverage, failure = await self._write_coverage()
        return await self._finish(self._result(started_at, failure, coverage))

    async def _fetch_and_write(self) -> CollectorError | None:
        """Run the three tasks to their ends, and seal what they wrote; return what made the output fail, if it did."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writing.run())
            leasing = tasks.create_task(self._lease())
            await self._fetching.run()
            await leasing
            await self._writing.close()
        return await self._seal()

    def _wire(self) -> None:
        """Make the three tasks and the queues between them."""
        self._summary = self._new_summary()
        self._tasks = tasks = self._org_tasks()
        batches: Batches = asyncio.Queue()
        backlog = Backlog(self.config.limits)
        self._wire_writing(tasks)
        self._planning = Planning(
            self.session, offload=self.offload, clock=self.clock, summary=self._summary, emit=self.emit
        )
        self._leasing = Leasing(
            self.session,
            tasks,
            batches,
            planning=self._planning,
            backlog=backlog,
            offload=self.offload,
            flush=self._writing.flush,
            emit=self.emit,
            permits=self.config.limits.concurrency,
            clock=self.clock,
        )
        self._wire_fetching(tasks, batches, backlog)

    def _new_summary(self) -> RunSummary:
        """Return the summary of a run that has only begun. It names the organizations that the ledger knows."""
        summary = RunSummary.of(self.session.orgs, compares=isinstance(self.session.wanted, ReconcileWanted))
        for name, org in summary.orgs.items():
            standing = self.session.standings[name]
            org.org_id, org.org_name = standing.org_id, standing.org_name
        return summary

    def _org_tasks(self) -> OrgTasks:
        tasks = []
        for lane in lanes_of(self.session.orgs, self.config.limits):
            standing = self.session.standings[lane.org.name]
            tasks.append(OrgTask(lane=lane, key=standing.key, identified=standing.org_id is not None))
        return OrgTasks(tasks)

    def _wire_writing(self, tasks: OrgTasks) -> None:
        config, session = self.config, self.session
        rules = Rules(
            run_id=config.run_id,
            trust_zero_for=config.trust_zero_for,
            restate_for=config.restate_for,
            directory=session.directory,
            directory_id=session.directory_id,
            unread=session.unread,
        )
        self._writer = Writer(
            self.sink, ledger=session.ledger, key_of=lambda org: tasks[org.name].key, clock=self.clock, rules=rules
        )
        self._writing = WriteQueue(
            self._writer,
            offload=self.offload,
            summary=self._summary,
            emit=self.emit,
            gather_s=_GATHER_S if session.ledger.remembers else 0.0,
        )

    def _wire_fetching(self, tasks: OrgTasks, batches: Batches, backlog: Backlog) -> None:
        lanes = [task.lane for task in tasks]
        if self.transport is None:
            self._fetching = Restating(
                lanes,
                batches,
                organizations=self.session.organizations,
                deliver=self._writing.put,
                on_idle=self._leasing.wake,
                emit=self.emit,
            )
            return
        identity = IdentityCheck(self.session, tasks, offload=self.offload, fail=self._writing.fail)
        self._fetching = Dispatcher(
            lanes,
            batches,
            limits=self.config.limits,
            backlog=backlog,
            transport=self.transport,
            clock=self.clock,
            verify=identity.verify,
            deliver=self._writing.put,
            on_idle=self._leasing.wake,
            emit=self.emit,
            rng=self.rng,
        )

    async def _lease(self) -> None:
        try:
            await self._leasing.run()
        except LedgerError as error:
            self._writing.fail(error)

    # -- ending early

    async def _drain_on_signal(self) -> None:
        """After a signal: send nothing more, and wait for what is under way only so long."""
        await self.stop.signalled.wait()
        self._send_nothing_more()
        await asyncio.sleep(self.config.grace_s)
        self._fetching.cut()
        await asyncio.sleep(OUTPUT_GRACE_S)
        self._abandoned = True
        self.sink.abandon()

    async def _wind_up(self) -> None:
        """When the run should end soon: finish what was begun, retries included, and wait for it only so long."""
        await self.stop.wound_up.wait()
        self._fetching.wind_up()
        self._leasing.wind_up()
        await asyncio.sleep(self.config.grace_s)
        self._send_nothing_more()
        await asyncio.sleep(self.config.grace_s)
        self._fetching.cut()

    async def _end_on_failure(self) -> None:
        """After a failure of output or ledger: what is under way can't be delivered."""
        await self._writing.failed.wait()
        self._send_nothing_more()
        self._fetching.cut()

    def _send_nothing_more(self) -> None:
        self._fetching.stop()
        self._leasing.stop()

    # -- the end

    async def _seal(self) -> CollectorError | None:
        """Seal what was written, or give up what a failing output left; return why, if so."""
        failure = self._writing.failure
        if failure is None:
            try:
                await self.offload(self._writer.seal)
            except CollectorError as error:
                failure = error
        if failure is not None:
            if self._writer.loses(failure):
                self._summary.roll_back()
            with suppress(CollectorError):  # why it is given up is reported
                await self.offload(self._writer.give_up)
        return failure

    async def _close_summary(self, failure: CollectorError | None) -> None:
        """Account for the slices that no outcome was written of, by why their lane ended."""
        if not isinstance(failure, LedgerError):
            await self._planning.count_rest(self._tasks)
            await self._planning.count_in_doubt(self._tasks, self.session.awaited)
        why = self.stop.reason
        for lane in self._fetching.lanes:
            unissued, org = lane.plan.unissued, self._summary.org(lane.org)
            nothing_planned = not org.planned
            for name, population in org.populations.items():
                population.requests += lane.besides[name]
                for one in lane.plan.compared(name):
                    population.compare(one)
                windows = unissued.spans.get(name, ())
                if failure is not None:
                    population.close(SliceState.FAILED, "output", _NOT_DELIVERED, but=unissued.counts[name])
                    population.close(SliceState.NOT_ASKED, "output", _NOT_REQUESTED, windows)
                elif lane.end is not None:
                    population.close(lane.end.state, lane.end.failure.code, lane.end.failure.message, windows)
                    if nothing_planned and lane.end.refused:
                        population.refuse(lane.end.state, lane.end.failure.code, lane.end.failure.message)
                else:
                    population.close(SliceState.NOT_ASKED, why.code, why.message, windows)

    async def _write_coverage(self) -> tuple[Coverage | None, CollectorError | None]:
        """Write what the run's windows are; return also what made it fail, if it did."""
        writing = CoverageWriting(
            session=self.session,
            run_id=self.config.run_id,
            since=self._writer.since,
            summary=self._summary,
            sink=self.sink,
            offload=self.offload,
            clock=self.clock,
            stop=self.stop,
        )
        try:
            return await writing.write(list(self._tasks)), None
        except CollectorError as error:
            return None, error

    def _result(self, started_at: datetime, failure: CollectorError | None, coverage: Coverage | None) -> RunResult:
        code = self._summary.exit_code
        if self._abandoned:
            failure = None  # the output was given up because the run had to end
        failure = failure or self._clock_error()
        if self._leasing.busy and code is not ExitCode.REFUSED:
            code = ExitCode.BUSY
        if failure is not None:
            code = ExitCode.OUTPUT
        elif self.stop.signal is not None:
            code = ExitCode(128 + self.stop.signal)
        return RunResult(
            run_id=self.config.run_id,
            command=self.config.command,
            started_at=started_at,
            ended_at=self._writer.ended_at(),
            summary=self._summary,
            files=tuple(self._writer.sealed),
            exit_code=code,
            output_error=failure,
            recovered=tuple(self.session.recovered),
            adopted=self.session.adopted,
            ranges=self.session.ranges,
            coverage=coverage,
        )

    def _clock_error(self) -> ClockError | None:
        """Return that a host's clock and ours differ too much, if one does."""
        ends = [lane.end.failure for lane in self._fetching.lanes if lane.end is not None]
        return next((ClockError(failure.message) for failure in ends if failure.code == CLOCK), None)

    async def _finish(self, result: RunResult) -> RunResult:
        """Seal the manifest and commit the end of the run."""
        # A run that was cut short for a new config or another run is made up for, like one that was killed.
        cut_short = self.stop.wound_up.is_set() and result.exit_code in CAME_TO_ITS_END
        code = None if cut_short else result.exit_code
        try:
            await self.offload(lambda: self._writer.finish(manifest(result), code))
        except CollectorError as error:
            return replace(result, exit_code=ExitCode.OUTPUT, output_error=result.output_error or error)
        return result
