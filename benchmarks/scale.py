"""What 10,000 orgs cost in one process, against 100 with as many slices: CPU per slice, peak memory, and the commands.

Runs the real command over loopback with a ledger, in turns: few orgs with many windows, and many orgs with few. Then
the same slices once more into a ledger that is small and into one that has all of the above. Then, of the many orgs:
how long `plan`, `status`, a service's `/metrics` and `/api/status` take, and the start until the first request.

    python -m benchmarks.scale [--orgs 100 10000] [--days 30] [--turns 1]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.bill import FAST
from benchmarks.stub_api import StubApi, stub_api
from tests.support.commands import COLLECTOR, environment
from tests.support.needs import free_port
from tests.support.servers import get
from tests.support.waiting import wait_until

ALLOWED_MB = 200.0
ALLOWED_RATIO = 1.10
_MORE_SLICES = 20_000  # that go into a small and into a large ledger


@dataclass(frozen=True)
class Cost:
    """A command that ended."""

    seconds: float
    cpu_s: float
    peak_mb: float

    def per_slice_ms(self, slices: int) -> float:
        return self.cpu_s / slices * 1000


@dataclass(frozen=True)
class Fleet:
    """So many orgs, and the ledger and files that are theirs."""

    api: StubApi
    directory: Path
    orgs: int

    @property
    def config(self) -> Path:
        return self.directory / "collector.yaml"

    @property
    def env(self) -> dict[str, str]:
        return environment(COLLECTOR_STATE__URL=f"sqlite:///{self.directory}/ledger.db", **FAST)

    def run(self, *args: str) -> Cost:
        """Run a command to its end, as a child whose resources the kernel counts for itself."""
        command = [*COLLECTOR, *args, "-c", str(self.config)]
        to_nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        began = time.monotonic()
        pid = os.posix_spawn(sys.executable, command, self.env, file_actions=to_nowhere)
        _, status, usage = os.wait4(pid, 0)
        if os.waitstatus_to_exitcode(status) not in (0, 3):  # of `status`: windows are missing
            raise SystemExit(f"{args[0]} ended with {os.waitstatus_to_exitcode(status)}")
        return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def backfill(self, days: int, *, before: int = 0) -> Cost:
        """Fetch so many days of each org, which end so many days before the newest."""
        last = _newest() - timedelta(days=before)
        first = last - timedelta(days=days - 1)
        output = str(self.directory / "usage")
        return self.run("backfill", "-q", "--from", str(first), "--to", str(last), "-o", output)


def _newest() -> date:
    return datetime.now(UTC).date() - timedelta(days=2)  # noqa: TID251 - a benchmark has no port for the clock


def fleet(api: StubApi, directory: Path, orgs: int) -> Fleet:
    directory.mkdir()
    api.config(directory / "collector.yaml", [None] * orgs)
    return Fleet(api, directory, orgs)


@dataclass(frozen=True)
class Shown:
    """What a service of many orgs shows: seconds and bytes of an answer, and its own peak memory."""

    first_request_s: float
    answers: dict[str, tuple[float, int]]
    peak_mb: float


def serve(fleet: Fleet) -> Shown:
    """Run the service through one run, and look at it when that is over."""
    port, log = free_port(), fleet.directory / "serve.log"
    env = fleet.env | {
        "COLLECTOR_SCHEDULE__CRON": "0 0 1 1 *",
        "COLLECTOR_SCHEDULE__JITTER": "0",
        "COLLECTOR_SERVICE__PORT": str(port),
    }
    command = [*COLLECTOR, "serve", "-c", str(fleet.config), "-o", str(fleet.directory / "usage"), "--log-level"]
    before, began = fleet.api.requests, time.monotonic()
    with log.open("w") as file, subprocess.Popen([*command, "info"], env=env, stderr=file) as process:
        try:
            wait_until(lambda: fleet.api.requests > before, "the first request", bound_s=600)
            first_s = time.monotonic() - began
            wait_until(lambda: '"run.finished"' in log.read_text(), "the end of the run", bound_s=3600)
            answers = {path: _timed(f"http://127.0.0.1:{port}{path}") for path in ("/metrics", "/api/status", "/")}
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak_mb = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
        finally:
            process.send_signal(signal.SIGTERM)
    return Shown(first_s, answers, peak_mb)


def _timed(url: str) -> tuple[float, int]:
    began = time.monotonic()
    size = len(get(url))
    return time.monotonic() - began, size


def in_turns(root: Path, api: StubApi, orgs: Sequence[int], days: int, turns: int) -> tuple[list[float], float, Fleet]:
    """Fetch as many slices of few orgs and of many; return the least CPU of each, the peak, and the last fleet."""
    slices = max(orgs) * 2 * days
    least, peak_mb, last = [float("inf")] * len(orgs), 0.0, None
    for turn in range(turns):
        for n, number in enumerate(orgs):
            if last is not None and turn:
                shutil.rmtree(root / f"{number}-{turn - 1}")
            last = fleet(api, root / f"{number}-{turn}", number)
            cost = last.backfill(slices // 2 // number)
            least[n] = min(least[n], cost.per_slice_ms(slices))
            peak_mb = max(peak_mb, cost.peak_mb)
            _show(f"{number:,} orgs, {slices // 2 // number:,} days", slices, cost)
    assert last is not None
    return least, peak_mb, last


def into_ledgers(large: Fleet, root: Path, *, before: int) -> tuple[float, float]:
    """Fetch more slices of as many orgs into a new ledger and into one that is large; return the CPU of each."""
    small = fleet(large.api, root / "small", large.orgs)
    days = max(1, _MORE_SLICES // 2 // large.orgs)
    slices = large.orgs * 2 * days
    costs = []
    for one, title in ((small, "small"), (large, "large")):
        cost = one.backfill(days, before=before)
        _show(f"{title} ledger ({(one.directory / 'ledger.db').stat().st_size / 1e6:.0f} MB)", slices, cost)
        costs.append(cost.per_slice_ms(slices))
    return costs[0], costs[1]


def commands(large: Fleet) -> None:
    """Show what the commands and the pages cost."""
    for args in (["plan", "--last", "3d"], ["status"], ["status", "--json", "--all"]):
        cost = large.run(*args)
        print(f"{' '.join(args):24} {cost.seconds:7.1f} s  CPU {cost.cpu_s:6.1f} s  peak {cost.peak_mb:6.1f} MB")
    shown = serve(large)
    print(f"serve: first request after {shown.first_request_s:.1f} s, peak {shown.peak_mb:.1f} MB")
    for path, (seconds, size) in shown.answers.items():
        print(f"{path:24} {seconds:7.2f} s  {size / 1e6:.1f} MB", flush=True)


def _show(what: str, slices: int, cost: Cost) -> None:
    print(
        f"{what:28} {slices:>9,} slices  {cost.seconds:7.1f} s  {cost.per_slice_ms(slices):6.3f} ms CPU/slice  "
        f"peak {cost.peak_mb:6.1f} MB",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, nargs=2, default=(100, 10_000))
    parser.add_argument("--days", type=int, default=30, help="of each of the many orgs")
    parser.add_argument("--turns", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, stub_api() as api:
        least, peak_mb, large = in_turns(Path(name), api, args.orgs, args.days, args.turns)
        small_ms, large_ms = into_ledgers(large, Path(name), before=args.days)
        commands(large)
    ratio, of_ledgers = least[1] / least[0], large_ms / small_ms
    print(f"many orgs against few: {ratio:.3f}; a large ledger against a small one: {of_ledgers:.3f}; ", end="")
    print(f"allowed is {ALLOWED_RATIO:.2f}. Peak {peak_mb:.0f} MB; allowed are {ALLOWED_MB:.0f} MB")
    return 0 if ratio <= ALLOWED_RATIO and of_ledgers <= ALLOWED_RATIO and peak_mb <= ALLOWED_MB else 1


if __name__ == "__main__":
    sys.exit(main())
