"""Two runs at once on one ledger, in virtual time: each gets every org after a batch of the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from collector.app.command import Command
from collector.app.scope import Scope
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Between, Moment
from collector.core.retry import RetryPolicy
from collector.events import Event, SliceCommitted, SliceOutcome
from collector.fetch import RateLimit
from collector.model import ApiRequest, Org, SliceState
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.flow.world import DAY, NOON, World
from tests.support.breadth import some_of
from tests.support.fake_api import RESET, FakeApi, FakeClock, Step
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual

pytestmark = pytest.mark.usefixtures("untraced")
SLOWLY = replace(FAST, org_rate=RateLimit(50, 1.0))
DAYS = 500
LAST = NOON - 60 * DAY


@dataclass
class Shared:
    """One run of several: what it was called for, and what came of it."""

    command: Command
    begins_at: float = 0.0
    ended_at: float = 0.0
    outcomes: list[SliceOutcome] = field(default_factory=list)
    committed: list[float] = field(default_factory=list)  # when its slices were committed
    result: RunResult | None = None

    async def run(self, world: World, run_id: str) -> None:
        await asyncio.sleep(self.begins_at)
        self.result = await world.run(self.command, run_id=run_id, clock=FakeClock(NOON), stop=Stop(), emit=self._hear)
        self.ended_at = asyncio.get_running_loop().time()

    def _hear(self, event: Event) -> None:
        match event:
            case SliceOutcome():
                self.outcomes.append(event)
            case SliceCommitted():
                self.committed.append(asyncio.get_running_loop().time())
            case _:
                pass

    @property
    def took_s(self) -> float:
        return self.ended_at - self.begins_at


def backfill(days: int = DAYS, *, until: int = 0, wait_s: float = 300.0, orgs: tuple[str, ...] = ()) -> Command:
    """A backfill of so many days, the last of which was so many days before `LAST`."""
    last = LAST - until * DAY
    range_ = Between(Moment((last - (days - 1) * DAY).date()), Moment(last.date()))
    return Command(name="backfill", range_=range_, wait=timedelta(seconds=wait_s), scope=Scope(orgs=orgs))


COLLECT = Command(name="collect", range_=None)


def world_of(tmp_path: Path, orgs: int) -> World:
    return World(tmp_path, orgs=[make_org(f"org-{n}") for n in range(orgs)], limits=SLOWLY)


def run_all(world: World, *runs: Shared) -> None:
    """Run them beside each other, and hold them against what every run promises."""

    async def live() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, run in enumerate(runs):
                tasks.create_task(run.run(world, f"{number + 1:04}"))

    run_virtual(live())
    for run in runs:
        assert run.result is not None
        ends = Counter(
            (outcome.slice.org.name, outcome.slice.population, outcome.slice.window) for outcome in run.outcomes
        )
        assert set(ends.values()) <= {1}, "a slice ended twice"
        summary = run.result.summary
        assert summary.planned == sum(summary.count(state) for state in SliceState)
        assert min(summary.count(state) for state in SliceState) >= 0
    records = Counter((record["record_id"], record["revision"]) for record in world.records)
    assert set(records.values()) == {1}


@pytest.mark.parametrize("orgs", some_of([1, 5, 20], 2))
def test_a_collect_beside_a_long_backfill_gets_every_org_long_before_that_ends(tmp_path: Path, orgs: int) -> None:
    """The backfill released and acquired its orgs in one pass: a `collect` that waited never found one free."""
    long, collect = Shared(backfill()), Shared(COLLECT, begins_at=1.0)
    run_all(world_of(tmp_path, orgs), long, collect)
    assert long.result is not None
    assert collect.result is not None
    assert (long.result.exit_code, collect.result.exit_code) == (ExitCode.OK, ExitCode.OK)
    assert (long.result.summary.planned, collect.result.summary.planned) == (orgs * 2 * DAYS, orgs * 2 * 3)
    assert collect.took_s < long.took_s / 2


def test_two_backfills_side_by_side_both_progress(tmp_path: Path) -> None:
    one, other = Shared(backfill()), Shared(backfill(until=DAYS), begins_at=1.0)
    run_all(world_of(tmp_path, 3), one, other)
    assert len(one.committed) == len(other.committed) == 3 * 2 * DAYS
    half = (one.ended_at + other.ended_at) / 4
    for run in (one, other):
        assert sum(at < half for at in run.committed) > 3 * 2 * DAYS / 4
        assert max(after - at for at, after in zip(run.committed, run.committed[1:], strict=False)) < 10.0


def test_two_backfills_of_one_range_fetch_each_slice_once_although_some_wait_for_retries(tmp_path: Path) -> None:
    """A slice that waits for its retry ends before its org is released: no other process completes it meanwhile."""
    asked: Counter[tuple[str, str, str]] = Counter()

    def failing_at_first(org: Org, request: ApiRequest, _n: int) -> Step:
        key = (org.name, request.population.value, request.from_)
        asked[key] += 1
        return RESET if int(request.from_[8:10]) % 5 == 0 and asked[key] < 4 else None

    world = world_of(tmp_path, 2)
    world.api = FakeApi(failing_at_first)
    one, other = Shared(backfill()), Shared(backfill(), begins_at=0.5)
    run_all(world, one, other)
    assert one.result is not None
    assert other.result is not None
    assert (one.result.exit_code, other.result.exit_code) == (ExitCode.OK, ExitCode.OK)
    complete = [run.result.summary.count(SliceState.COMPLETE) for run in (one, other) if run.result is not None]
    assert sum(complete) == 2 * 2 * DAYS
    assert min(complete) > DAYS / 2
    assert {key[2][8:10] for key, n in asked.items() if n > 1} == {"05", "10", "15", "20", "25", "30"}
    assert set(asked.values()) == {1, 4}


def test_what_another_run_completes_long_after_this_one_began_is_not_fetched_again(tmp_path: Path) -> None:
    """Ten minutes after its start, a run took all later completions for those of a clock that was ahead."""
    world = world_of(tmp_path, 1)
    world.limits = replace(SLOWLY, org_rate=RateLimit(1, 1.0))
    one, other = Shared(backfill()), Shared(backfill(), begins_at=0.5)
    run_all(world, one, other)
    assert min(one.took_s, other.took_s) > 900.0
    assert len(one.committed) + len(other.committed) == len(world.api.asked) == 2 * DAYS


def test_a_backfill_that_leaves_its_org_to_a_collect_is_not_ended_by_that(tmp_path: Path) -> None:
    """With `--wait 0` it gave up the org that it had just left free."""
    world = world_of(tmp_path, 1)
    long, collect = Shared(backfill(wait_s=0.0)), Shared(COLLECT, begins_at=1.0)
    world.api = FakeApi(latency_s=lambda _org: 1.0)
    run_all(world, long, collect)
    assert long.result is not None
    assert (long.result.exit_code, long.result.summary.count(SliceState.COMPLETE)) == (ExitCode.OK, 2 * DAYS)


def test_a_run_beside_another_that_waits_for_none_of_its_orgs_is_as_fast_as_alone(tmp_path: Path) -> None:
    alone = Shared(backfill(orgs=("org-0",)))
    run_all(world_of(tmp_path / "alone", 2), alone)
    beside = Shared(backfill(orgs=("org-0",)))
    run_all(world_of(tmp_path / "beside", 2), beside, Shared(backfill(orgs=("org-1",))))
    assert beside.took_s == pytest.approx(alone.took_s, rel=0.01)


def test_one_slice_that_is_retried_for_long_delays_no_later_batch_if_nobody_waits(tmp_path: Path) -> None:
    first = f"{(LAST - (DAYS - 1) * DAY).date()}"
    world = world_of(tmp_path, 1)
    world.limits = replace(SLOWLY, retry=RetryPolicy(attempts=8, base_delay_s=50.0, max_delay_s=60.0))
    world.api = FakeApi(lambda _org, request, n: RESET if n > 0 and request.from_[:10] == first else None)
    long = Shared(backfill())
    run_all(world, long)
    assert long.result is not None
    assert long.result.summary.count(SliceState.FAILED) == 1
    assert len(long.committed) == 2 * DAYS
    assert sorted(long.committed)[-2] < 90.0 < max(long.committed)
