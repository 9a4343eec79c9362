"""A site to look at: what a fleet's ledger holds, served over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from collector.app.coverage import CoverageReader
from collector.core.org_coverage import OrgCoverage
from collector.model import SliceState
from collector.service.view import Observed, RunView
from collector.service.web.guard import Guarding
from collector.service.web.server import make_app, serving
from tests.support.fleets import NOW, Fleet


def views_of(fleet: Fleet, now: datetime = NOW) -> dict[str, OrgCoverage]:
    """What the ledger says of each org, as the service reads it."""
    reader = CoverageReader(fleet.config)
    ledger = fleet.open()
    try:
        return reader.read(ledger, reader.stale(now), now)
    finally:
        ledger.close()


def observed_of(fleet: Fleet, **more: Any) -> Observed:
    values: dict[str, Any] = {
        "version": "0.0.0",
        "started_at": NOW - timedelta(days=12),
        "config_path": "/etc/collector/collector.yaml",
        "config_loaded_at": NOW - timedelta(days=2),
        "cron": "20 * * * *",
        "next_run": NOW + timedelta(minutes=50),
        "runs": [run_view(n, 3 if n % 7 == 3 else 0) for n in range(24)],
        "orgs": views_of(fleet),
        "snapshot_at": NOW - timedelta(seconds=12),
    }
    return Observed(**(values | more))


def run_view(hours_ago: int, exit_code: int | None) -> RunView:
    started = NOW.replace(minute=20) - timedelta(hours=hours_ago)
    words = {
        0: "every planned slice is complete",
        3: "some slices are partial, failed or in doubt",
        4: "an org was refused",
    }
    return RunView(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-4be1f0",
        command="serve",
        started_at=started,
        ended_at=started + timedelta(seconds=95),
        exit_code=exit_code,
        why=words.get(exit_code if exit_code is not None else -1, "it was interrupted"),
        planned=4000,
        states={SliceState.COMPLETE: 4000 if exit_code == 0 else 3988},
        records=24_000,
        requests=4021,
    )


@dataclass
class FakeSite:
    """A service that stands still, until a test changes what is seen of it."""

    seen: Observed
    at: datetime = NOW
    sick: str | None = None
    unfit: str | None = None
    report: tuple[str, ...] = ()  # options of `collector report`

    def now(self) -> datetime:
        return self.at

    def observed(self) -> Observed:
        return self.seen

    def unhealthy(self) -> str | None:
        return self.sick

    def unready(self) -> str | None:
        return self.unfit

    def report_options(self) -> list[str]:
        return list(self.report)

    def metrics(self) -> bytes:
        return b"# HELP collector_up It is\n# TYPE collector_up gauge\ncollector_up 1.0\n"


@contextmanager
def served(site: FakeSite, guarding: Guarding | Callable[[], Guarding] | None = None) -> Iterator[str]:
    """Serve a site from a thread of its own; gives the address."""
    started, addresses = threading.Event(), []
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with serving(make_app(site, guarding or Guarding()), host="127.0.0.1", port=0) as port:
            addresses.append(f"http://127.0.0.1:{port}")
            started.set()
            await ended.wait()

    def main() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=main)
    thread.start()
    assert started.wait(120)
    try:
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(120)
