"""A run waits no longer than it must, and exceeds no limit: real runs against a server that notes each arrival.

Cases: bound by latency (orgs of unequal length and speed), and by the limit for all orgs or for each, in periods of 1 s
and of 60 s. A run's time, from the first arrival to the last answer, is compared with the least that is possible. Every
sliding window of the period is checked on the server's side. Runs of a case are made beside each other, each with a
server of its own: on a busy machine the ratios grow, but no limit may be exceeded.

    python -m benchmarks.waiting [--runs 20] [--beside 4] [--only latency all-1s one-1s all-60s one-60s]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.stub_api import StubApi, stub_api
from tests.support.commands import COLLECTOR, environment

_UNLIMITED = (100_000, 1)
_LONGEST_S = 24.0  # with two requests at a time


@dataclass(frozen=True, kw_only=True)
class Case:
    """How many days each org has, how long its requests take, the limits (requests, seconds), and what is allowed."""

    days: Sequence[int]
    latencies_s: Sequence[float] = (0.02,)
    all_orgs: tuple[int, int] = _UNLIMITED
    each_org: tuple[int, int] = _UNLIMITED
    allowed: float = 1.05
    concurrency: int = 64

    def latency_s(self, org: int) -> float:
        """Return how long a request of an org takes."""
        return self.latencies_s[org % len(self.latencies_s)]

    @property
    def least_s(self) -> float:
        """The least time that a run can take."""
        slices = [2 * days for days in self.days]
        work_s = [n * self.latency_s(org) for org, n in enumerate(slices)]
        return max(
            sum(work_s) / self.concurrency,
            max(work_s) / 2,
            sum(slices) / self.all_orgs[0] * self.all_orgs[1],
            max(slices) / self.each_org[0] * self.each_org[1],
        )


def _unequal() -> Case:
    """Return 200 orgs: many short ones, and some for which the whole run is hardly long enough."""
    rng = random.Random(7)  # noqa: S311 - the same orgs each time
    latencies_s = [rng.uniform(0.02, 0.3) for _ in range(200)]
    days = [max(1, int(rng.paretovariate(1.0) * 8)) for _ in range(200)]
    return Case(
        days=[min(n, int(_LONGEST_S / latency_s)) for n, latency_s in zip(days, latencies_s, strict=True)],
        latencies_s=latencies_s,
    )


CASES = {
    "latency": _unequal(),
    "all-1s": Case(days=[12] * 100, all_orgs=(100, 1)),
    "one-1s": Case(days=[40] * 20, each_org=(4, 1)),
    "all-60s": Case(days=[14] * 50, all_orgs=(1200, 60), allowed=1.02),
    "one-60s": Case(days=[18] * 20, each_org=(30, 60), allowed=1.02),
}


@dataclass(frozen=True)
class Run:
    """What the server saw of a run. `over` is by how many requests a limit was exceeded, in the worst window."""

    ratio: float
    over: int  # by the kernel's time of arrival
    over_seen: int = field(default=0)  # by when the server's process came to read them


def run(case: Case, number: int) -> Run:
    """Make a run, and judge it by what arrived."""
    del number
    with tempfile.TemporaryDirectory() as name:
        with stub_api(case.latencies_s, notes=True) as api:
            collect(case, api, Path(name))
        arrivals = api.arrivals
    expected = sum(2 * days for days in case.days)
    if len(arrivals) != expected:
        raise SystemExit(f"{len(arrivals)} requests came instead of {expected}")
    ended_at = max(one.at + case.latency_s(one.org) for one in arrivals)
    took_s = ended_at - min(one.at for one in arrivals)
    return Run(
        ratio=took_s / case.least_s,
        over=exceeded(case, [(one.at, one.org) for one in arrivals]),
        over_seen=exceeded(case, [(one.seen_at, one.org) for one in arrivals]),
    )


def collect(case: Case, api: StubApi, directory: Path) -> None:
    """Run a backfill of what each org has, under the limits of the case."""
    last = datetime.now(UTC).date() - timedelta(days=2)  # noqa: TID251 - a benchmark has no port for the clock
    since = [last - timedelta(days=days - 1) for days in case.days]
    config = api.config(directory / "collector.yaml", since)
    env = environment(COLLECTOR_STATE__URL=f"sqlite:///{directory}/ledger.db", **_limits(case))
    command = [*COLLECTOR, "backfill", "-q", "-c", str(config), "--from", str(min(since)), "--to", str(last)]
    pid = os.posix_spawn(sys.executable, [*command, "-o", str(directory / "usage")], env)
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"the run ended with {os.waitstatus_to_exitcode(status)}")


def _limits(case: Case) -> dict[str, str]:
    limits = {"RATE_LIMIT": case.all_orgs, "ORG_RATE_LIMIT": case.each_org}
    env = {f"COLLECTOR_API__{name}__REQUESTS": str(requests) for name, (requests, _) in limits.items()}
    env |= {f"COLLECTOR_API__{name}__PERIOD": f"{period_s}s" for name, (_, period_s) in limits.items()}
    return env | {"COLLECTOR_API__CONCURRENCY": str(case.concurrency)}


def exceeded(case: Case, arrivals: Iterable[tuple[float, int]]) -> int:
    """Return by how many requests a limit was exceeded in the worst window; 0 or less if none was."""
    by_org: Mapping[int, list[float]] = defaultdict(list)
    every: list[float] = []
    for at, org in arrivals:
        by_org[org].append(at)
        every.append(at)
    return max(
        busiest(every, case.all_orgs[1]) - case.all_orgs[0],
        max(busiest(times, case.each_org[1]) for times in by_org.values()) - case.each_org[0],
    )


def busiest(times: Sequence[float], period_s: float) -> int:
    """Return the most arrivals in any half-open window of that length."""
    most, first, ordered = 0, 0, sorted(times)
    for n, at in enumerate(ordered):
        while ordered[first] <= at - period_s:
            first += 1
        most = max(most, n - first + 1)
    return most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--beside", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()
    failed = False
    print(f"{'case':10} {'runs':>4} {'least':>8} {'ratio: best':>12} {'worst':>7} {'allowed':>8} {'exceeded by':>12}")
    for name in args.only:
        case = CASES[name]
        with ThreadPoolExecutor(args.beside) as pool:
            runs = list(pool.map(partial(run, case), range(args.runs)))
        ratios = [one.ratio for one in runs]
        over, seen = max(one.over for one in runs), max(one.over_seen for one in runs)
        failed = failed or max(ratios) > case.allowed or over > 0
        print(
            f"{name:10} {len(runs):4} {case.least_s:6.1f} s {min(ratios):12.3f} {max(ratios):7.3f} {case.allowed:8.2f} "
            f"{max(0, over):12}  (as the server's process came to read them: {max(0, seen)})",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
