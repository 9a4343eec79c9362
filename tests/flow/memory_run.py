"""One whole run in virtual time, into an output in memory that fails when a test says so."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from signal import SIGTERM, Signals
from typing import Any, TypeVar

from collector.adapters.sinks.jsonl import to_lines
from collector.core.identities import Identities
from collector.core.ledger_entries import Standing
from collector.core.ranges import Between, Moment
from collector.core.wanted import BackfillWanted, Since
from collector.errors import OutputError
from collector.events import Event
from collector.fetch import Limits
from collector.ledger import NoLedger
from collector.model import Org, Record, SliceState
from collector.ports import Clock, Ledger, SealedFile
from collector.run.manifest import RunResult
from collector.run.run import Run, RunConfig
from collector.run.session import LedgerSession
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.support.fake_api import FakeApi, FakeClock
from tests.support.orgs import START, make_org
from tests.support.virtual_time import run_virtual

T = TypeVar("T")
FULL = OutputError("the disk is full")
DAY = timedelta(days=1)


@dataclass
class MemorySink:
    """Keeps the port's promises in memory; `fails` is asked before each call, by method and how often called."""

    fails: Callable[[str, int], bool] = lambda _method, _n: False
    seal_every: int = 10**9  # records
    takes_s: float = 0.0  # each piece of the writer's work
    stuck: bool = False  # as stdout is, whose reader takes nothing: what is written waits until it is abandoned
    abandoned: bool = False
    calls: list[tuple[float, str]] = field(default_factory=list)
    unsealed: list[Record] = field(default_factory=list)
    ended: list[Record] = field(default_factory=list)
    sealed: list[Record] = field(default_factory=list)
    files: list[SealedFile] = field(default_factory=list)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    coverage: list[dict[str, Any]] = field(default_factory=list)

    async def offload(self, work: Callable[[], T], /) -> T:
        """Stand in for the writer's thread."""
        await asyncio.sleep(self.takes_s)
        while self.stuck and not self.abandoned:
            await asyncio.sleep(0.25)
            assert asyncio.get_running_loop().time() < 3600, "still waiting for the reader an hour later"
        return work()

    @property
    def written(self) -> tuple[int, int]:
        return len(to_lines(self.unsealed)), len(self.unsealed)

    @property
    def full(self) -> bool:
        return len(self.unsealed) >= self.seal_every

    def next_name(self) -> str | None:
        return None if self.unsealed else f"usage-{len(self.files) + 1:04}"

    def append(self, records: Sequence[Record]) -> None:
        self._call("append")
        if self.abandoned:
            raise FULL
        self.unsealed += records

    def close(self) -> None:
        self._call("close")

    def sync(self) -> None:
        self._call("sync")

    def committed(self) -> None:
        self._call("committed")

    def take_lines(self) -> bytes:
        return b""

    def close_file(self, kept: Iterable[bytes] = ()) -> Sequence[SealedFile]:
        del kept
        if not self.unsealed:
            return ()
        self._call("close_file")
        self.ended, self.unsealed = self.unsealed, []
        lines, name = to_lines(self.ended), f"usage-{len(self.files) + 1:04}"
        sha256 = hashlib.sha256(lines).hexdigest()
        return [SealedFile(name=name, records=len(self.ended), bytes=len(lines), sha256=sha256)]

    @property
    def along(self) -> None:
        return None

    def publish(self, files: Sequence[SealedFile]) -> None:
        self._call("publish")
        self.sealed += self.ended
        self.ended = []
        self.files += files

    def append_coverage(self, lines: bytes, count: int) -> None:
        self._call("append_coverage")
        self.coverage += [json.loads(line) for line in lines.splitlines()]
        assert count <= len(self.coverage)

    def seal_coverage(self) -> SealedFile | None:
        if not self.coverage:
            return None
        self._call("seal_coverage")
        return SealedFile(name="coverage", records=len(self.coverage), bytes=0, sha256="")

    def write_manifest(self, manifest: bytes) -> None:
        self._call("write_manifest")
        self.manifests.append(json.loads(manifest))

    def discard(self) -> None:
        self._call("discard")
        self.unsealed.clear()

    def abandon(self) -> None:
        self.abandoned = True

    def _call(self, method: str) -> None:
        self.calls.append((asyncio.get_running_loop().time(), method))
        if self.fails(method, sum(name == method for _, name in self.calls)):
            raise FULL


@dataclass
class Ran:
    result: RunResult
    sink: MemorySink
    api: FakeApi
    ended_at: float

    @property
    def states(self) -> dict[SliceState, int]:
        summary = self.result.summary
        return {state: n for state in SliceState if (n := summary.count(state))}

    @property
    def manifest(self) -> dict[str, Any]:
        (manifest,) = self.sink.manifests
        return manifest


@dataclass(frozen=True)
class Days:
    """So many days of some orgs: what a run is asked for."""

    orgs: list[Org]
    days: int

    @property
    def slices(self) -> int:
        return self.days * sum(len(org.populations) for org in self.orgs)


def session_of(asked: Days, ledger: Ledger, now: datetime) -> LedgerSession:
    """Prepare a run over past days, as a command does."""
    standings = ledger.register(asked.orgs, wanted_from=dict.fromkeys((org.name for org in asked.orgs), START), now=now)
    known = {name: standing for name, standing in standings.items() if isinstance(standing, Standing)}
    last = START.date() + max(0, asked.days - 1) * DAY
    since = {name: Since(wanted_from=standing.wanted_from) for name, standing in known.items()}
    return LedgerSession(
        ledger=ledger,
        orgs=asked.orgs,
        standings=known,
        wanted=BackfillWanted(
            now=START + 400 * DAY if asked.days else START,  # no window has ended at the very start
            settle=timedelta(0),
            range_=Between(Moment(START.date()), Moment(last)),
            since=since,
        ),
        identities=Identities(),
        wait_s=1.0,
    )


def run(
    asked: Days,
    api: FakeApi | None = None,
    sink: MemorySink | None = None,
    *,
    stop_at: float | None = None,
    signal: Signals = SIGTERM,
    clock: Clock | None = None,
    limits: Limits = FAST,
    grace_s: float = 20.0,
    ledger: Ledger | None = None,
) -> Ran:
    """Run to the end; a signal comes `stop_at` seconds after the start, or before it if that is negative."""
    clock, ledger = clock or FakeClock(), ledger or NoLedger()
    api, sink, stop = api or FakeApi(), sink or MemorySink(), Stop()
    events: list[Event] = []

    async def main() -> Ran:
        loop = asyncio.get_running_loop()
        if stop_at is not None and stop_at < 0:
            stop.request(signal)
        elif stop_at is not None:
            loop.call_later(stop_at, stop.request, signal)
        result = await Run(
            config=RunConfig(
                run_id="run-1",
                command="collect",
                limits=limits,
                trust_zero_for=timedelta(days=60),
                restate_for=timedelta(days=30),
                grace_s=grace_s,
            ),
            session=session_of(asked, ledger, clock.now()),
            transport=api,
            sink=sink,
            offload=sink.offload,
            clock=clock,
            emit=events.append,
            rng=random.Random(1),
            stop=stop,
        ).execute()
        return Ran(result, sink, api, loop.time())

    return run_virtual(main())


def orgs(n: int, days: int = 5) -> Days:
    return Days([make_org(f"org-{i}") for i in range(n)], days)


def fails_at(method: str, n: int) -> MemorySink:
    """An output of small files whose n-th such call fails, and every one after it."""
    return MemorySink(fails=lambda name, count: name == method and count >= n, seal_every=100, takes_s=0.05)
