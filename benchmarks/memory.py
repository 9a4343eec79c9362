"""Memory doesn't grow with the length of the backfill: peak RSS of 200,000 slices against that of 2,000.

Runs the real command twice against one simulated API over loopback, same orgs, ranges of 10
and of 1,000 days, and compares the peak resident set sizes that the kernel reports.

    python -m benchmarks.memory [--orgs 100] [--days 10 1000] [--ledger]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.commands import COLLECTOR, environment, manifest_in, simulated_api

ALLOWED_MB = 20.0


@dataclass(frozen=True)
class Measured:
    slices: int
    seconds: float
    peak_mb: float
    cpu_s: float


def measure(config: Path, days: int, directory: Path, *, ledger: bool) -> Measured:
    """Collect so many days into a directory, as a child whose resources the kernel counts for itself."""
    output = directory / f"out-{days}"
    last = datetime.now(UTC).date() - timedelta(days=2)  # noqa: TID251 - a benchmark has no port for the clock
    first = last - timedelta(days=days - 1)
    env = environment(
        COLLECTOR_STATE__URL=f"sqlite:///{directory}/ledger-{days}.db" if ledger else "none",
        COLLECTOR_API__CONCURRENCY="64",
        COLLECTOR_API__RATE_LIMIT__REQUESTS="100000",
        COLLECTOR_API__ORG_RATE_LIMIT__REQUESTS="100000",
    )
    command = [*COLLECTOR, "backfill", "-q", "-c", str(config), "--from", str(first), "--to", str(last)]
    command += ["-o", str(output)]
    began = time.monotonic()
    pid = os.posix_spawn(sys.executable, command, env)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    if status:
        raise SystemExit(f"the run of {days} days ended with {os.waitstatus_to_exitcode(status)}")
    complete = manifest_in(output)["slices"]["complete"]
    return Measured(complete, seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, default=100)
    parser.add_argument("--days", type=int, nargs=2, default=(10, 1000))
    parser.add_argument("--ledger", action="store_true", help="with a ledger; without one the stream alone")
    args = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as name, simulated_api(Path(name), orgs=args.orgs) as api:
        for days in args.days:
            run = measure(api.config, days, Path(name), ledger=args.ledger)
            runs.append(run)
            print(
                f"{run.slices:>8} slices  {run.seconds:7.1f} s  {run.slices / run.seconds:6.0f} slices/s  "
                f"{run.cpu_s / run.slices * 1e3:5.2f} ms CPU/slice  peak RSS {run.peak_mb:6.1f} MB",
                flush=True,
            )
    grown = runs[1].peak_mb - runs[0].peak_mb
    print(f"the longer run's peak is {grown:+.1f} MB; allowed are {ALLOWED_MB:.0f} MB")
    return 0 if grown <= ALLOWED_MB else 1


if __name__ == "__main__":
    sys.exit(main())
