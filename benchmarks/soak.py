"""The service for two days over thousands of orgs, in virtual time: nothing grows, and nothing is left over.

The real loop, runs, ledger, files, snapshots and metrics; a scripted API in memory in which requests fail,
answers are partial, some orgs are refused and credentials change. Resident memory, tasks and file handles
after the first hour against those at the end, in one process.

    python -m benchmarks.soak [--orgs 2000] [--hours 48]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from collector.adapters.heap import keep_giving_back
from collector.app.coverage import CoverageReader
from collector.config import LoadedConfig
from collector.core.ledger_entries import RemovedOrg
from collector.core.org_coverage import OrgCoverage
from collector.core.response import Reply
from collector.errors import Failure
from collector.events import Event
from collector.fetch import Limits, RateLimit
from collector.ledger import SqlLedger
from collector.model import ApiRequest, BasicCredential, Org
from collector.service.loop import Loop
from collector.service.view import RunView
from collector.service.viewer import Viewer
from tests.flow.service_world import ServiceWorld
from tests.flow.world import NOON
from tests.support.fake_api import RESET, FakeApi, answer, status
from tests.support.orgs import make_org

ALLOWED = 1.10
_REFUSED = "wrong"


@dataclass
class ForgetfulApi(FakeApi):
    """Keeps no book, so that only the service's own memory is measured."""

    rng: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311
    requests: int = 0

    async def fetch(self, org: Org, request: ApiRequest, *, on_sent: Callable[[], None]) -> Reply | Failure:
        self.requests += 1
        on_sent()
        await asyncio.sleep(0.2)
        assert isinstance(org.credential, BasicCredential)
        chance = self.rng.random()
        if org.credential.access_key == _REFUSED:
            return status(401)
        if chance < 0.02:
            return status(500) if chance < 0.01 else RESET
        return answer(org, request, partial=True if chance < 0.03 else None)


@dataclass(frozen=True)
class Held:
    """What the process holds."""

    rss_mb: float
    tasks: int
    handles: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        rss_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        return cls(rss_mb, len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")))  # noqa: PTH208


class Listeners(list[Event]):
    """Keeps no event, and tells the viewer of each, as the service does."""

    viewer: Viewer | None = None

    def append(self, event: Event) -> None:
        if self.viewer is not None:
            self.viewer.note(event)


@dataclass
class Soak(ServiceWorld):
    """A service whose snapshots are read, too."""

    held: list[Held] = field(default_factory=list)
    listeners: Listeners = field(default_factory=Listeners)
    reading: SqlLedger | None = None

    async def coverage(
        self, config: LoadedConfig, reader: CoverageReader, names: Iterable[str]
    ) -> Mapping[str, OrgCoverage]:
        del config
        if self.reading is None:  # it stays open, as in the service
            self.reading = SqlLedger.open(self.ledger_url, command="serve", now=self.clock.now, durable=False)
        return reader.read(self.reading, names, self.clock.now())

    async def runs_beside(self, config: LoadedConfig) -> Sequence[RunView]:
        del config
        return ()

    async def removed(self, config: LoadedConfig) -> Sequence[RemovedOrg]:
        del config
        return ()

    def soak(self, hours: int) -> None:
        async def look(loop: Loop) -> None:
            viewer = Viewer(
                self, config=lambda: loop.config, observed=loop.observed, quarantine=loop.quarantine, clock=self.clock
            )
            self.listeners.viewer = viewer
            beside = [asyncio.create_task(one) for one in (viewer.run(), self._scrape(), keep_giving_back())]
            for hour in range(1, hours + 1):
                await asyncio.sleep(3600)
                if hour % 6 == 0:
                    self._renew(hour)
                if hour in (1, hours):
                    self.held.append(Held.now())
                    print(f"after {hour:>2} h: {self.held[-1]}", flush=True)
            for task in beside:
                task.cancel()

        self.serve(NOON, timedelta(hours=hours, minutes=1), look)
        if self.reading is not None:
            self.reading.close()

    async def _scrape(self) -> None:
        while True:
            await asyncio.sleep(60)
            self.metrics.text()

    def _renew(self, hour: int) -> None:
        """Some credentials become wrong, and others right again."""
        for n in range(0, len(self.orgs), 100):
            key = _REFUSED if (n // 100 + hour // 6) % 2 else f"key-{hour}"
            credential = BasicCredential(username=f"{self.orgs[n].name}@example.test", access_key=key)
            self.orgs[n] = replace(self.orgs[n], credential=credential)
        self.version += 1


def soak(directory: Path, *, orgs: int, hours: int) -> Soak:
    """Let a service of so many orgs live for so many hours."""
    fast = Limits(concurrency=64, rate=RateLimit(100_000, 1.0), org_rate=RateLimit(100, 1.0))
    world = Soak(
        directory,
        orgs=[make_org(f"org-{n}") for n in range(orgs)],
        api=ForgetfulApi(),
        limits=fast,
        schedule={"cron": "20 * * * *", "jitter": "60s", "lookback": "2d"},
    )
    world.events = world.listeners
    world.soak(hours)
    return world


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, default=2000)
    parser.add_argument("--hours", type=int, default=48)
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        world = soak(Path(name), orgs=args.orgs, hours=args.hours)
    first, last = world.held
    assert isinstance(world.api, ForgetfulApi)
    print(
        f"{args.orgs} orgs, {args.hours} simulated hours in {time.monotonic() - began:.0f} s: {len(world.ended)} runs, "
        f"{world.api.requests} requests; memory {last.rss_mb / first.rss_mb:.3f} times that after the first hour, "
        f"allowed are {ALLOWED}; tasks {first.tasks} and {last.tasks}, file handles {first.handles} and {last.handles}"
    )
    same = (first.tasks, first.handles) == (last.tasks, last.handles)
    return 0 if same and last.rss_mb <= first.rss_mb * ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
