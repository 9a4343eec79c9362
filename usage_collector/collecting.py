"""`collect`: one run whose records go to the program that calls it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from collections.abc import Collection as AnyOf
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import structlog

from collector.adapters.clock import SystemClock
from collector.adapters.event_log import EventLog
from collector.adapters.thread import WorkerThread
from collector.app.command import Command, has_ledger
from collector.app.scope import Scope
from collector.app.wiring import new_run_id, run_once
from collector.config import LoadedConfig, find_config, load
from collector.core.ranges import Between, Last, Moment, Range
from collector.core.summary import RunSummary
from collector.model import Population, Record, SliceState
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from usage_collector.hand_over import HandOver


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run came to. The counts are of slices: one window of one population of one org."""

    run_id: str
    exit_code: int  # as `collector collect` would end
    meaning: str  # of the exit code, in words
    records: int
    planned: int
    complete: int
    partial: int
    failed: int
    refused: int
    not_asked: int

    @property
    def is_complete(self) -> bool:
        """Whether every planned slice is complete."""
        return self.exit_code == 0


class Collection:
    """The records of one run: iterate over it once, in the event loop that it is to run in.

    The run begins with the iteration, and waits while the loop's body works. A loop that is left early ends the run.
    """

    def __init__(self, config: LoadedConfig, command: Command) -> None:
        self._config = config
        self._command = command
        self._result: Result | None = None
        self._begun = False

    @property
    def result(self) -> Result:
        """What the run came to. Raises RuntimeError before the iteration has ended."""
        if self._result is None:
            raise RuntimeError("the run has not ended: iterate over all records first")
        return self._result

    async def __aiter__(self) -> AsyncIterator[Record]:
        """Run, and yield the records. Raises ConfigError, OutputError and LedgerError."""
        if self._begun:
            raise RuntimeError("a collection is one run, and can be iterated over once: call `collect` again")
        self._begun = True
        hand_over, stop = HandOver(), Stop()
        run = asyncio.create_task(self._run(hand_over, stop))
        try:
            async with aclosing(hand_over.records()) as records:
                async for record in records:
                    yield record
            self._result = _result_of(await run)
        finally:
            if not run.done():  # the reader left
                stop.request(signal.SIGTERM)
                hand_over.leave()
                await asyncio.wait([run])

    async def _run(self, hand_over: HandOver, stop: Stop) -> RunResult:
        try:
            async with WorkerThread() as offload:
                return await run_once(
                    self._config,
                    self._command,
                    run_id=new_run_id(SystemClock(), remembers=has_ledger(self._config)),
                    offload=offload,
                    stop=stop,
                    watch=EventLog(retries=True),
                    sink=hand_over,
                )
        finally:
            await hand_over.end()


def collect(
    config: str | Path | None = None,
    *,
    from_: str | date | datetime | None = None,
    to: str | date | datetime | None = None,
    last: timedelta | None = None,
    orgs: AnyOf[str] = (),
    labels: AnyOf[str] = (),
    populations: AnyOf[str] = (),
    state: str | None = "none",
) -> Collection:
    """Return the records of one run of `collector collect` with these options, to iterate over with `async for`.

    `config` is the path of a config; None is the one that the command would find. `from_` and `to` are dates or times,
    read in each org's zone; a date in `to` means through its end. `labels` are `key=value`.

    By default nothing is remembered: the windows of the range, or of the last days (`schedule.lookback`), are fetched
    each time. With `state=None` the config's ledger is used, and with a URL that one: then a run fetches what is due
    and was never fetched, and a record counts as delivered when the loop asks for the one after its batch.

    Raises ConfigError at once for a bad config. While it is iterated over it raises OutputError and LedgerError;
    what fails at the API is no exception: see `Collection.result`.
    """
    _log_to_the_standard_library()
    overrides = {
        "output": {"path": "-", "format": "jsonl", "compression": "none", "partition_by": []},
        "state": {"url": state},
    }
    loaded = load(
        find_config(None if config is None else Path(config), os.environ), environ=os.environ, overrides=overrides
    )
    scope = Scope(orgs=tuple(orgs), labels=tuple(labels), populations=tuple(map(Population, populations)))
    scope.of(loaded.orgs)  # raises for a name that isn't there
    return Collection(loaded, Command(name="collect", range_=range_of(from_, to, last), scope=scope))


def range_of(
    from_: str | date | datetime | None, to: str | date | datetime | None, last: timedelta | None
) -> Range | None:
    """Return the range of these options; None if there is none. Raises ValueError for options that contradict."""
    if last is not None:
        if from_ is not None or to is not None:
            raise ValueError("give either last, or from_ and to: not both")
        return Last(last)
    if from_ is None:
        if to is not None:
            raise ValueError("to needs from_: give the start of the range, too")
        return None
    return Between(_moment(from_), None if to is None else _moment(to))


def _moment(value: str | date | datetime) -> Moment:
    return Moment.parse(value if isinstance(value, str) else value.isoformat())


def _result_of(run: RunResult) -> Result:
    summary: RunSummary = run.summary
    if run.output_error is not None:
        raise run.output_error
    return Result(
        run_id=run.run_id,
        exit_code=int(run.exit_code),
        meaning=run.meaning,
        records=summary.records,
        planned=summary.planned,
        complete=summary.count(SliceState.COMPLETE),
        partial=summary.count(SliceState.PARTIAL),
        failed=summary.count(SliceState.FAILED),
        refused=summary.count(SliceState.REFUSED),
        not_asked=summary.count(SliceState.NOT_ASKED),
    )


def _log_to_the_standard_library() -> None:
    """Send what is logged to the standard library's logger `collector`, unless the program has set structlog up."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
