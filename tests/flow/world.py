"""A whole collector in virtual time: real plans, dispatch, books, ledger and files; a scripted API and clock.

Each `collect` or `backfill` is a run of its own, as a process would make it: the ledger is
opened and closed, and the wall clock stands where the test puts it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from collector.adapters.sinks import DirectorySink
from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.reading import json_lines_of
from collector.app.command import NOTHING, Command, Permits
from collector.app.coverage import CoverageReader
from collector.app.outputs import check_output
from collector.app.prepare import prepare
from collector.app.wiring import run_config
from collector.config import LoadedConfig, Settings
from collector.core.org_coverage import OrgCoverage
from collector.core.ranges import Between, Last, Moment, Range
from collector.events import Event
from collector.fetch import Limits
from collector.ledger import SqlLedger
from collector.model import ApiRequest, Org
from collector.ports import Clock
from collector.run.manifest import RunResult
from collector.run.run import Run
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.support.fake_api import FakeApi, FakeClock, Script, answer
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual

T = TypeVar("T")
DAY = timedelta(days=1)
NOON = datetime(2026, 6, 24, 12, tzinfo=UTC)


async def inline(work: Callable[[], T], /) -> T:
    """What a thread would do, at once: virtual time knows no threads."""
    return work()


@dataclass
class World:
    """One directory with a ledger and an output, and the orgs that are collected into it."""

    directory: Path
    orgs: list[Org] = field(default_factory=lambda: [make_org("a"), make_org("b")])
    api: FakeApi = field(default_factory=FakeApi)
    limits: Limits = FAST
    schedule: dict[str, Any] = field(default_factory=dict)
    same_organization: str = "refuse"
    trust_zero_for: timedelta = timedelta(days=60)
    permits: Permits = NOTHING
    output: dict[str, Any] = field(default_factory=dict)
    runs: int = 0
    events: list[Event] = field(default_factory=list)

    def collect(self, now: datetime, range_: Range | None = None) -> RunResult:
        return self._run(Command(name="collect", range_=range_), now)

    def backfill(self, now: datetime, first: str, last: str, *, force: bool = False, sparse: bool = False) -> RunResult:
        range_ = Between(Moment.parse(first), Moment.parse(last))
        return self._run(Command(name="backfill", range_=range_, force=force, sparse=sparse), now)

    def relabel(self, now: datetime, first: str, last: str) -> RunResult:
        return self._run(Command(name="relabel", range_=Between(Moment.parse(first), Moment.parse(last))), now)

    def backfill_last(self, now: datetime, days: int) -> RunResult:
        return self._run(Command(name="backfill", range_=Last(days * DAY)), now)

    def reconcile(self, now: datetime, first: str, last: str) -> RunResult:
        return self._run(Command(name="reconcile", range_=Between(Moment.parse(first), Moment.parse(last))), now)

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.directory}/ledger.db"

    @property
    def config(self) -> LoadedConfig:
        values: dict[str, Any] = {
            "output": {"path": str(self.directory / "out"), **self.output},
            "state": {"url": self.ledger_url},
            "schedule": self.schedule,
            "same_organization": self.same_organization,
            "trust_zero_for": self.trust_zero_for,
        }
        return LoadedConfig(
            settings=Settings(**values), orgs=tuple(self.orgs), path=self.directory, files=(), warnings=()
        )

    @property
    def records(self) -> list[dict[str, Any]]:
        """All sealed records, in the order in which they were collected."""
        records = [
            json.loads(line)
            for file in sorted((self.directory / "out").rglob("usage-*"))
            for line in json_lines_of(file.name, file.read_bytes()).splitlines()
        ]
        return sorted(records, key=lambda record: (record["collected_at"], record["product"]))

    def records_of_run(self, result: RunResult) -> list[dict[str, Any]]:
        return [record for record in self.records if record["run_id"] == result.run_id]

    def manifest(self, result: RunResult) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / "out" / f"run-{result.run_id}.json").read_bytes())
        return found

    def page(self, now: datetime) -> dict[str, OrgCoverage]:
        """What the page shows of the orgs."""
        ledger = SqlLedger.open(self.ledger_url, command="status", now=lambda: now, durable=False)
        try:
            return CoverageReader(self.config).read_all(ledger, now)
        finally:
            ledger.close()

    def _run(self, command: Command, now: datetime) -> RunResult:
        self.runs += 1
        return run_virtual(self.run(command, run_id=f"{self.runs:04}", clock=FakeClock(now), stop=Stop()))

    async def run(
        self,
        command: Command,
        *,
        run_id: str,
        clock: Clock,
        stop: Stop,
        emit: Callable[[Event], None] | None = None,
    ) -> RunResult:
        """Make one run, as a process would: the ledger is opened and closed."""
        config = self.config
        command = replace(command, permits=self.permits)
        with ExitStack() as stack:
            ledger = SqlLedger.open(self.ledger_url, command=command.name, now=clock.now, durable=False)
            stack.callback(ledger.close)
            ledger_id = ledger.known_outputs().ledger_id
            check_output(ledger, config.settings, command, OsFiles())
            layout = config.settings.output.layout
            sink = DirectorySink.open(
                self.directory / "out", run_id=run_id, seal_at=10**8, ledger_id=ledger_id, layout=layout
            )
            stack.callback(sink.close)
            session = prepare(ledger, config, command, run_id, clock)
            return await Run(
                config=replace(run_config(config.settings, command, run_id), limits=self.limits),
                session=session,
                transport=None if command.restates else self.api,
                sink=sink,
                offload=inline,
                clock=clock,
                emit=emit or self.events.append,
                rng=random.Random(1),
                stop=stop,
            ).execute()


def counting(tests: int) -> Script:
    """Every day has that many tests."""
    return lambda org, request, _n: answer(
        org, request, products={"automation": {"totalTests": tests, "totalDuration": tests * 10}}
    )


def day_of(request: ApiRequest) -> str:
    return request.from_[:10]


def asked_days(world: World, before: int = 0) -> Counter[str]:
    return Counter(name for _, name in world.api.asked[before:])
