"""A run waits no longer than it must: long lanes go first, and short ones hardly wait for them. In virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from collector.fetch import Limits, RateLimit
from collector.model import Population
from tests.flow.harness import COMPLETE, dispatch
from tests.flow.world import DAY, NOON, World
from tests.support.breadth import some_of
from tests.support.fake_api import FakeApi
from tests.support.orgs import make_org, plan_days

T = TypeVar("T")
HUMANS = (Population.ACCOUNT_USER,)
MANY = Limits(concurrency=64, rate=RateLimit(100_000, 1.0), org_concurrency=2, org_rate=RateLimit(100_000, 1.0))
FEW = Limits(concurrency=16, rate=RateLimit(100_000, 1.0), org_concurrency=2, org_rate=RateLimit(100_000, 1.0))


def unequal(orgs: int, longest_s: float, seed: int) -> tuple[dict[str, int], dict[str, float]]:
    """Slices and latencies by org: many orgs are short, some take about as long as the whole run."""
    rng = random.Random(seed)
    latencies_s = {f"org-{n}": rng.uniform(0.02, 0.3) for n in range(orgs)}
    slices = {name: max(1, int(rng.paretovariate(1.0) * 16)) for name in latencies_s}
    return {name: min(n, int(2 * longest_s / latencies_s[name])) for name, n in slices.items()}, latencies_s


def least_s(slices: dict[str, int], latencies_s: dict[str, float], limits: Limits) -> float:
    work_s = [n * latencies_s[name] for name, n in slices.items()]
    return max(sum(work_s) / limits.concurrency, max(work_s) / limits.org_concurrency)


@pytest.mark.parametrize("seed", some_of(range(3), 1))
def test_orgs_of_unequal_length_end_within_a_twentieth_of_the_least_time(seed: int) -> None:
    slices, latencies_s = unequal(200, 24.0, seed)
    batches = [plan_days(make_org(name, populations=HUMANS), n) for name, n in slices.items()]
    result = dispatch(batches, FakeApi(latency_s=lambda org: latencies_s[org.name]), MANY)
    assert result.states() == {COMPLETE: sum(slices.values())}
    assert result.ended_at <= 1.05 * least_s(slices, latencies_s, MANY)


def test_short_orgs_hardly_wait_for_long_ones() -> None:
    """All short ones end in at most 1.5 times the time that they take without the long ones."""
    slices = {f"org-{n}": 400 if n % 25 == 0 else 4 for n in range(200)}
    short = {name: n for name, n in slices.items() if n == 4}
    ends = []
    for these in (short, slices):
        result = dispatch(
            [plan_days(make_org(name, populations=HUMANS), n) for name, n in these.items()], FakeApi(), MANY
        )
        ends.append(max(result.finished_at(name) for name in short))
    assert ends[1] <= 1.5 * ends[0]


def test_a_run_leases_long_orgs_first_and_ends_within_a_twentieth_of_the_least_time(tmp_path: Path) -> None:
    """More orgs than are leased at once: the last one of the config has as much to fetch as the run's time allows."""
    first = (NOON - 260 * DAY).date()
    days = {f"org-{n:02}": 250 if n == 89 else 11 for n in range(90)}
    orgs = [
        make_org(name, populations=HUMANS, since=None if n == 250 else (NOON - (n + 1) * DAY).date())
        for name, n in days.items()
    ]
    world = World(tmp_path, orgs=orgs, limits=FEW, api=FakeApi(latency_s=lambda _org: 1.0))
    world.backfill(NOON, str(first), str((NOON - DAY).date()))
    times = [at for at, _ in world.api.asked]
    slices = {name: world.api.count[name] for name in days}
    least = least_s(slices, dict.fromkeys(days, 1.0), FEW)
    assert max(times) + 1.0 <= 1.05 * least


@pytest.mark.parametrize("latency_s", [0.2, 1.0])  # a batch is over before its lease is old, and after that
def test_an_org_goes_on_with_its_next_batch_before_the_last_one_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latency_s: float
) -> None:
    """Between two batches it once waited for the last slice, and for the lease to be released and acquired.

    While a batch is planned the last one goes on: none of its slices is fetched or counted twice.
    """
    monkeypatch.setattr("tests.flow.world.inline", slowly)
    api = FakeApi(latency_s=lambda _org: latency_s)
    api.connect_s = lambda _now: latency_s / 2 if api.count["a"] == 2 else 0.0  # from then on it sends by turns
    world = World(tmp_path, orgs=[make_org("a", populations=HUMANS)], limits=FEW, api=api)
    result = world.backfill(NOON, str((NOON - 400 * DAY).date()), str((NOON - DAY).date()))
    times = api.times("a")
    assert len(times) == result.summary.planned == result.summary.count(COMPLETE) == 400
    assert max(after - before for before, after in pairwise(times[4:])) < latency_s


async def slowly(work: Callable[[], T], /) -> T:
    """Work as a thread does, in the time of some requests."""
    result = work()
    await asyncio.sleep(0.15)
    return result
