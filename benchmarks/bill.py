"""The bill of a nightly run, by `collect` and by `serve`: CPU, peak memory and requests, for 100 and for 5,000 orgs.

Runs the real command over loopback with a ledger, limits raised so that it ends soon. A night asks three
days of each org and population: the new one, and those to be rechecked after 1 and 3 days. Days before those
are put into the ledger first (`--history`), by a backfill that isn't measured. `serve` is scraped all the while,
and goes on until its page shows what the run has brought.

    python -m benchmarks.bill [--orgs 100 5000] [--history 7]

What deploy/kubernetes asks for follows from the row with the largest peak: memory requested is that peak and a
quarter, the limit twice that peak, each up to the next 64 MiB; CPU requested is what a run needs that takes as
long as the default limits make it take, and no CPU limit, as throttling would only stretch a drain.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.config import Settings
from tests.support.commands import COLLECTOR, SimulatedApi, environment, simulated_api
from tests.support.needs import free_port
from tests.support.servers import get
from tests.support.waiting import wait_until

NIGHT_DAYS = 3
FAST = {
    "COLLECTOR_API__CONCURRENCY": "64",
    "COLLECTOR_API__RATE_LIMIT__REQUESTS": "100000",
    "COLLECTOR_API__ORG_RATE_LIMIT__REQUESTS": "100000",
}


@dataclass(frozen=True)
class Bill:
    command: str
    orgs: int
    requests: int
    records: int
    cpu_s: float
    peak_mb: float
    ledger_mb: float
    output_mb: float

    @property
    def usual_s(self) -> float:
        """How long it takes at the default limits: that of all orgs, or that of each."""
        api = Settings().api
        each = self.requests / self.orgs / api.org_rate_limit.requests * api.org_rate_limit.period.total_seconds()
        every = self.requests / api.rate_limit.requests * api.rate_limit.period.total_seconds()
        return max(each, every)


def run(api: SimulatedApi, directory: Path, *args: str) -> resource.struct_rusage:
    """Run a command to its end and return what the kernel counted for it."""
    env = environment(COLLECTOR_STATE__URL=f"sqlite:///{directory}/ledger.db", **FAST)
    pid = os.posix_spawn(sys.executable, [*COLLECTOR, *args, "-q", "-c", str(api.config)], env)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{args[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return usage


def serve(api: SimulatedApi, directory: Path) -> resource.struct_rusage:
    """Run the service through one run and return what the kernel counted for it."""
    port = free_port()
    env = environment(
        COLLECTOR_STATE__URL=f"sqlite:///{directory}/ledger.db",
        COLLECTOR_SCHEDULE__CRON="* * * * *",
        COLLECTOR_SCHEDULE__JITTER="0",
        COLLECTOR_SERVICE__PORT=str(port),
        **FAST,
    )
    args = ["serve", "--log-level", "error", "-c", str(api.config), "-o", str(directory / "usage")]
    pid = os.posix_spawn(sys.executable, [*COLLECTOR, *args], env)
    try:
        wait_until(lambda: bool(_scraped(port)), "a scrape")
        wait_until(
            lambda: _scraped(port) and bool(list((directory / "usage").glob("run-*.json"))),
            "the end of a run",
            bound_s=600,
        )
        wait_until(lambda: 'collector_orgs_lacking{state="missing"} 0.0' in _scraped(port), "a page with all of it")
    finally:
        os.kill(pid, signal.SIGTERM)
        _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"serve ended with {os.waitstatus_to_exitcode(status)}")
    return usage


def _scraped(port: int) -> str:
    time.sleep(1)
    try:
        return get(f"http://127.0.0.1:{port}/metrics").decode()
    except OSError:
        return ""


def collect(api: SimulatedApi, directory: Path) -> resource.struct_rusage:
    """Run `collect` and return what the kernel counted for it."""
    return run(api, directory, "collect", "-o", str(directory / "usage"))


COMMANDS = {"collect": collect, "serve": serve}


def night(command: str, orgs: int, history: int) -> Bill:
    with tempfile.TemporaryDirectory() as name, simulated_api(Path(name), orgs=orgs) as api:
        directory = Path(name)
        last = datetime.now(UTC).date() - timedelta(days=NIGHT_DAYS + 2)  # noqa: TID251 - a benchmark has no port for the clock
        first = last - timedelta(days=history - 1)
        run(api, directory, "backfill", "--from", str(first), "--to", str(last), "-o", str(directory / "usage"))
        for file in (directory / "usage").glob("[ru]*"):  # records and manifests: somebody has loaded and removed them
            file.unlink()
        asked = api.stats["total"]["asked"]
        usage = COMMANDS[command](api, directory)
        return Bill(
            command=command,
            orgs=orgs,
            requests=api.stats["total"]["asked"] - asked,
            records=sum(json.loads(run.read_text())["records"] for run in (directory / "usage").glob("run-*.json")),
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_mb=usage.ru_maxrss / 1024,
            ledger_mb=sum(file.stat().st_size for file in directory.glob("ledger.db*") if file.is_file()) / 1e6,
            output_mb=sum(file.stat().st_size for file in (directory / "usage").iterdir()) / 1e6,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, nargs="+", default=(100, 5000))
    parser.add_argument("--history", type=int, default=7, help="days in the ledger before")
    args = parser.parse_args()
    print(
        "| command | orgs | requests | records | CPU | per request | peak memory "
        "| ledger | output | at default limits |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    bills = []
    for command in COMMANDS:
        for orgs in args.orgs:
            bill = night(command, orgs, args.history)
            bills.append(bill)
            print(
                f"| `{bill.command}` | {bill.orgs:,} | {bill.requests:,} | {bill.records:,} | {bill.cpu_s:.1f} s "
                f"| {bill.cpu_s / bill.requests * 1e3:.2f} ms | {bill.peak_mb:.0f} MiB | {bill.ledger_mb:.0f} MB "
                f"| {bill.output_mb:.0f} MB | {bill.usual_s / 60:.0f} min |",
                flush=True,
            )
    most = max(bills, key=lambda bill: bill.peak_mb)
    request, limit = (math.ceil(most.peak_mb * factor / 64) * 64 for factor in (1.25, 2))
    print(f"\nso: requests {{cpu: {math.ceil(most.cpu_s / most.usual_s * 20) * 50}m, memory: {request}Mi}}, ", end="")
    print(f"limits {{memory: {limit}Mi}}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
