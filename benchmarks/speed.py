"""Speeds that are promised, each against its bound: CPU time, and how long the event loop is held up.

    python -m benchmarks.speed

The bounds are about ten times what an ordinary machine takes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from collector.adapters.sinks import StdoutSink
from collector.simulator.usage import Usage
from tests.adapters.ledger.support import T0, open_ledger
from tests.support.orgs import make_org
from tests.support.outputs import records

DAY_S = 86_400
MONDAY = int(datetime(2026, 6, 22, tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class Promise:
    """Something that takes no longer than that, in seconds."""

    what: str
    bound_s: float
    measure: Callable[[], float]


def query() -> float:
    """Ask the simulated API's usage for a day, in a zone whose days are no days of UTC."""
    usage, start = Usage(1), MONDAY + 19_800
    usage.totals("org-000", "account-user", start, start + DAY_S)
    began = time.process_time()
    for n in range(200):
        usage.totals(f"org-{n:03}", "account-user", start, start + DAY_S)
    return (time.process_time() - began) / 200


def registering() -> float:
    """Register 10,000 orgs in a new ledger, and again."""
    orgs = [make_org(f"org-{n}") for n in range(10_000)]
    wanted_from = dict.fromkeys((org.name for org in orgs), T0)
    with tempfile.TemporaryDirectory() as name:
        ledger = open_ledger(Path(name) / "ledger.db")
        began = time.process_time()
        for _ in range(2):
            ledger.register(orgs, wanted_from=wanted_from, now=T0)
        taken_s = time.process_time() - began
        ledger.close()
    return taken_s


def writing() -> float:
    """Write 100,000 records to a pipe, and return the longest time for which the event loop was away."""
    read_fd, write_fd = os.pipe()
    reader = threading.Thread(target=_read_all, args=(read_fd,))
    reader.start()
    try:
        return asyncio.run(_longest_gap(StdoutSink(write_fd)))
    finally:
        os.close(write_fd)
        reader.join()
        os.close(read_fd)


def _read_all(fd: int) -> None:
    while os.read(fd, 65536):
        pass


async def _longest_gap(sink: StdoutSink) -> float:
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            gaps.append(time.monotonic() - before)

    ticking, batch = asyncio.create_task(tick()), records(1250)
    for _ in range(80):
        await asyncio.to_thread(sink.append, batch)
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    return max(gaps)


PROMISES = (
    Promise("a query of the simulated API for a day", 500e-6, query),
    Promise("registering 10,000 orgs, twice", 4.0, registering),
    Promise("the event loop held up by 100,000 records to stdout, at most", 0.25, writing),
)


def main() -> int:
    broken = 0
    for promise in PROMISES:
        taken_s = promise.measure()
        broken += taken_s > promise.bound_s
        print(f"{promise.what}: {taken_s * 1000:.2f} ms; allowed are {promise.bound_s * 1000:g} ms")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
