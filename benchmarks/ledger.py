"""What a ledger of 1,000,000 slices costs: its size, committing, and a `collect` that finds nothing to ask.

Writer 1,000 orgs x 2 populations x 500 days, then runs the real `collector collect` over them (nothing is
due, so no request is sent) and over a ledger of a tenth of the days, in one run of the benchmark. The first
decision is the first org that is planned, timed from the start of the process, with the interpreter and all
imports; a process that does nothing but `--version` is measured beside it.

    python -m benchmarks.ledger [--orgs 1000] [--days 500]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.config import load
from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import SliceCommit, SliceKey, Standing
from collector.ledger import SqlLedger
from collector.model import Population, ProductUsage, Quality, SliceState
from tests.support.commands import COLLECTOR, environment

ALLOWED_S = 2.0
_BATCH = 500
_DAY = timedelta(days=1)
_PRODUCTS = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice")


@dataclass(frozen=True)
class Noop:
    """A collect that had nothing to ask."""

    first_decision_s: float
    whole_s: float
    peak_mb: float


def emission(n: int, now: datetime) -> Emission:
    """As an org of middling size has it."""
    products = {
        name: Emitted(
            revision=1,
            quality=Quality.MEASURED,
            usage=ProductUsage(total_tests=(n * 7919) % 9000, total_duration=(n * 104_729) % 30_000_000),
        )
        for name in _PRODUCTS
    }
    screenshots = ProductUsage(total_screenshots=n % 400)
    products["smartui"] = Emitted(revision=1, quality=Quality.MEASURED, usage=screenshots)
    return Emission(emitted_at=now, users=n % 40, products=products)


def commits(keys: list[int], days: int, until: datetime, now: datetime) -> Iterator[SliceCommit]:
    for n in range(days):
        start = until - (days - n) * _DAY
        for key in keys:
            for population in Population:
                yield SliceCommit(
                    slice=SliceKey(key=key, population=population, start=start),
                    end=start + _DAY,
                    state=SliceState.COMPLETE,
                    code=None,
                    asked_at=now,
                    complete_at=now,
                    emission=emission(n * 31 + key, now),
                )


def fill(config: Path, url: str, days: int) -> float:
    """Book the days; return milliseconds per 500 slices."""
    now = datetime.now(UTC)  # noqa: TID251 - a benchmark has no port for the clock
    until = now.replace(hour=0, minute=0, second=0, microsecond=0)
    orgs = load(config, environ={}).orgs
    ledger = SqlLedger.open(url, command="benchmark", now=lambda: now)
    try:
        begin = {org.name: until - days * _DAY for org in orgs}
        standings = ledger.register(orgs, wanted_from=begin, now=now).values()
        keys = [standing.key for standing in standings if isinstance(standing, Standing)]
        began, booked, batch = time.monotonic(), 0, []
        for commit in commits(keys, days, until, now):
            batch.append(commit)
            if len(batch) == _BATCH:
                ledger.commit(batch, None)
                booked += len(batch)
                batch = []
        ledger.commit(batch, None)
        return (time.monotonic() - began) / max(1, booked) * _BATCH * 1000
    finally:
        ledger.close()


def noop(config: Path, url: str, directory: Path) -> Noop:
    """Run a collect that has nothing to ask."""
    log = directory / "log"
    env = environment(COLLECTOR_STATE__URL=url, COLLECTOR_SCHEDULE__SETTLE="0")
    command = [*COLLECTOR, "collect", "-c", str(config), "-o", str(directory / "out"), "--log-level", "debug"]
    began_at, began = time.time(), time.monotonic()  # noqa: TID251
    with log.open("w") as file:
        pid = os.posix_spawn(sys.executable, command, env, file_actions=[(os.POSIX_SPAWN_DUP2, file.fileno(), 2)])
        _, status, usage = os.wait4(pid, 0)
    whole_s = time.monotonic() - began
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    if status or any(event["event"] == "request.ended" for event in events):
        raise SystemExit(f"the collect was no no-op: it ended with {os.waitstatus_to_exitcode(status)}\n{events[-3:]}")
    first = next(event["timestamp"] for event in events if event["event"] == "org.planned")
    return Noop(datetime.fromisoformat(first).timestamp() - began_at, whole_s, usage.ru_maxrss / 1024)


def start_s() -> float:
    """How long a process takes that does nothing."""
    began = time.monotonic()
    os.waitpid(os.posix_spawn(sys.executable, [*COLLECTOR, "--version"], environment()), 0)
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, default=1000)
    parser.add_argument("--days", type=int, default=500)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        config = directory / "orgs.yaml"
        entries = "".join(f"- {{name: org-{n}, token: t{n}, timezone: UTC}}\n" for n in range(args.orgs))
        config.write_text(f"api: {{base_url: http://127.0.0.1:9}}\norgs:\n{entries}")
        config.chmod(0o600)
        runs = []
        for days in (args.days // 10, args.days):
            ledger = directory / f"ledger-{days}.db"
            per_batch_ms = fill(config, f"sqlite:///{ledger}", days)
            one = noop(config, f"sqlite:///{ledger}", directory)
            runs.append(one)
            print(
                f"{args.orgs * 2 * days:>9} slices  {ledger.stat().st_size / 1e6:6.1f} MB on disk  "
                f"{per_batch_ms:5.1f} ms per 500 booked  no-op collect: first decision {one.first_decision_s:4.2f} s, "
                f"whole {one.whole_s:5.2f} s, peak RSS {one.peak_mb:6.1f} MB",
                flush=True,
            )
        print(f"a process that does nothing takes {start_s():.2f} s of that")
        print(f"first decision: {runs[1].first_decision_s:.2f} s; allowed are {ALLOWED_S:.0f} s")
        return 0 if runs[1].first_decision_s <= ALLOWED_S else 1


if __name__ == "__main__":
    sys.exit(main())
