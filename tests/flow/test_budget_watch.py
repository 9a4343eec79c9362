"""Budgets in a service are read piecewise, beside everything else: after runs, at most so often, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.shards import Shard
from collector.errors import LedgerError
from collector.ledger import SqlLedger
from collector.run.progress import Progress
from collector.service.budgets import BudgetWatch
from collector.service.view import CurrentRun, Observed
from tests.support.budgets import budget
from tests.support.fake_api import FakeClock
from tests.support.fleets import HEALTHY, NOW, Fleet, make_fleet, numbered
from tests.support.sites import run_view
from tests.support.views import observed
from tests.support.virtual_time import run_virtual

T = TypeVar("T")
ALL = budget(amount="1000000")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return make_fleet(tmp_path_factory.mktemp("fleet"), numbered(8), lambda _: HEALTHY)


@dataclass
class Reads:
    """The reader's thread: it counts its calls, and may fail."""

    fleet: Fleet
    ledger: SqlLedger
    error: Exception | None = None
    calls: int = 0

    async def read(self, config: LoadedConfig, work: Callable[[SqlLedger], T]) -> T:
        del config
        self.calls += 1
        if self.error is not None:
            raise self.error
        return work(self.ledger)

    def open_again(self) -> None:
        self.ledger.close()
        self.ledger = self.fleet.open()


@dataclass
class World:
    reads: Reads
    seen: Observed
    config: LoadedConfig
    clock: FakeClock

    def ended(self, hours_ago: int) -> None:
        self.seen.runs = [run_view(hours_ago, 0), *self.seen.runs]


def watch(fleet: Fleet, during: Callable[[World], Awaitable[None]], scope: Scope | None = None, **more: Any) -> World:
    config = replace(fleet.config, budgets=(ALL,))
    world = World(Reads(fleet, fleet.open()), observed(**({"runs": [run_view(9, 0)]} | more)), config, FakeClock(NOW))

    async def main() -> None:
        watching = BudgetWatch(
            world.reads, config=lambda: world.config, observed=world.seen, clock=world.clock, scope=scope or Scope()
        )
        task = asyncio.create_task(watching.run())
        await asyncio.sleep(30)
        await during(world)
        task.cancel()

    run_virtual(main())
    world.reads.ledger.close()
    return world


async def nothing(_: World) -> None:
    pass


def test_budgets_are_read_in_pieces_as_soon_as_the_ledger_was_read(fleet: Fleet) -> None:
    world = watch(fleet, nothing)
    (found,) = world.seen.budgets
    assert (found.budget, found.orgs, found.unknown, found.windows) == (ALL, 8, 0, 8 * 2 * 23)
    assert world.seen.budgets_read_at == NOW
    assert world.reads.calls > 8 * 2 * 29 / 200
    assert watch(fleet, nothing, snapshot_at=None).reads.calls == 0


def test_they_are_read_again_after_a_run_ended_and_at_most_once_a_minute(fleet: Fleet) -> None:
    async def during(world: World) -> None:
        once = world.reads.calls
        await asyncio.sleep(600)
        assert world.reads.calls == once, "nothing happened"
        for hours_ago in (8, 7, 6, 5):
            world.ended(hours_ago)
            await asyncio.sleep(10)
        assert world.reads.calls == 2 * once
        await asyncio.sleep(60)
        assert world.reads.calls == 3 * once

    watch(fleet, during)


def test_they_are_read_every_hour_and_a_run_under_way_is_not_waited_for_then(fleet: Fleet) -> None:
    async def during(world: World) -> None:
        once = world.reads.calls
        world.seen.current = CurrentRun(run_id="1", started_at=NOW, progress=Progress())
        world.ended(8)
        await asyncio.sleep(3400)
        assert world.reads.calls == once
        await asyncio.sleep(300)
        assert world.reads.calls == 2 * once

    watch(fleet, during)


def test_another_config_is_read_at_once_and_without_budgets_none_are_shown(fleet: Fleet) -> None:
    async def during(world: World) -> None:
        world.config = replace(world.config, budgets=(budget("one", org=fleet.orgs[0].name), ALL))
        await asyncio.sleep(20)
        assert [one.orgs for one in world.seen.budgets] == [1, 8]
        world.config = replace(world.config, budgets=())
        await asyncio.sleep(20)
        assert (world.seen.budgets, world.seen.budgets_read_at) == ((), None)

    watch(fleet, during)


def test_a_ledger_that_fails_is_reported_once_and_what_was_seen_stays(fleet: Fleet) -> None:
    async def during(world: World) -> None:
        before = world.seen.budgets
        world.reads.error = LedgerError("the disk is gone")
        world.ended(8)
        await asyncio.sleep(600)
        assert world.seen.budgets is before
        world.reads.error = None
        await asyncio.sleep(120)
        assert world.seen.budgets is not before

    with capture_logs() as logs:
        watch(fleet, during)
    assert [(one["event"], one["message"]) for one in logs] == [("budgets.not_read", "the disk is gone")]


def test_a_defect_ends_no_service(fleet: Fleet) -> None:
    async def during(world: World) -> None:
        world.reads.error = KeyError("x")
        world.ended(8)
        await asyncio.sleep(100)
        world.reads.error = None
        await asyncio.sleep(100)
        assert len(world.seen.budgets) == 1

    with capture_logs() as logs:
        watch(fleet, during)
    (line,) = logs
    assert line["event"] == "budgets.not_read"
    assert line["message"].startswith("a defect of the collector: KeyError at ")


def test_a_ledger_that_is_opened_again_in_mid_pass_begins_it_anew(fleet: Fleet) -> None:
    async def during(world: World) -> None:
        before, reads = world.seen.budgets, world.reads
        real, pieces = reads.read, 0

        async def reopening(config: LoadedConfig, work: Callable[[SqlLedger], T]) -> T:
            nonlocal pieces
            pieces += 1
            if pieces == 3:
                reads.open_again()
            return await real(config, work)

        reads.read = reopening  # type: ignore[method-assign]
        world.ended(8)
        await asyncio.sleep(120)
        assert world.seen.budgets == before
        assert world.seen.budgets is not before

    with capture_logs() as logs:
        watch(fleet, during)
    assert logs == []


def test_a_misspelt_product_of_a_budget_is_logged_once_and_again_when_it_is_another(fleet: Fleet) -> None:
    async def during(world: World) -> None:
        for product in ("automaton", "automaton", "automation", "automaton"):
            world.config = replace(world.config, budgets=(budget("auto", products=(product,)),))
            await asyncio.sleep(20)

    with capture_logs() as logs:
        watch(fleet, during)
    assert [(one["event"], one["log_level"], one["budget"]) for one in logs] == [
        ("budgets.product_not_counted", "warning", "auto")
    ] * 2
    assert logs[0]["message"].startswith("the budget auto: no window has the product automaton: ")


def test_a_shard_shows_its_own_orgs(fleet: Fleet) -> None:
    shown = [watch(fleet, nothing, Scope(shard=Shard(n, 2))).seen.budgets[0].orgs for n in range(2)]
    assert sum(shown) == 8
    assert min(shown) > 0


def test_each_piece_is_followed_by_a_pause_of_nine_times_its_length(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.service.budgets.time.thread_time", iter(range(10_000)).__next__)

    async def during(world: World) -> None:
        assert world.seen.budgets == ()  # four pieces, a second each
        await asyncio.sleep(50)
        assert len(world.seen.budgets) == 1

    watch(fleet, during)
