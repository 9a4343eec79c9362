"""The service reconciles by itself, and no run of all orgs ever waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from collector.core.exit_codes import ExitCode
from collector.errors import LedgerError
from collector.model import Population
from collector.service.loop import Loop
from collector.service.view import RunView
from tests.flow.service_world import ServiceWorld
from tests.flow.world import DAY
from tests.support.fake_api import FakeApi
from tests.support.orgs import make_org
from tests.support.spans import SpanApi

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SATURDAY = datetime(2026, 6, 27, 23, tzinfo=UTC)
SUNDAY = SATURDAY + HOUR
AT = SUNDAY + 4 * HOUR + 40 * MINUTE


@pytest.fixture
def world(tmp_path: Path) -> ServiceWorld:
    return ServiceWorld(tmp_path, schedule={"cron": "20 * * * *", "jitter": "0"})


def reconciles(world: ServiceWorld) -> list[RunView]:
    return [run for run in world.ended if run.command == "reconcile"]


def usage() -> SpanApi:
    days = [SATURDAY - timedelta(hours=11) - n * DAY for n in range(30)]
    return SpanApi({population: dict.fromkeys(days, 7) for population in Population})


def test_it_reconciles_on_sunday_and_restates_what_came_late(world: ServiceWorld) -> None:
    api = usage()
    world.schedule |= {"lookback": "20d", "recheck": []}
    world.api = FakeApi(api.script)

    async def late(_: Loop) -> None:
        await asyncio.sleep((AT - SATURDAY).total_seconds() - 60)
        api.usage[Population.ACCOUNT_USER][SATURDAY - 9 * DAY] = 5

    loop = world.serve(SATURDAY, 8 * HOUR, late)
    (run,) = reconciles(world)
    assert run.started_at == AT
    assert (run.exit_code, run.planned) == (ExitCode.INCOMPLETE, 2 * 2 * 20)
    assert run.requests <= 2 * 2 + 2 * 8
    assert {record["revision"] for record in world.records if record["run_id"] == run.run_id} == {2}
    assert loop.observed.reconcile_cron == "40 4 * * 0"
    assert 'collector_last_run_exit_code{command="reconcile"} 3.0' in world.metrics.text().decode()


def test_the_next_reconcile_is_shown_and_none_if_it_is_switched_off(world: ServiceWorld) -> None:
    shown = []

    async def look(loop: Loop) -> None:
        await asyncio.sleep(60)
        shown.append(loop.observed.next_reconcile)
        world.schedule["reconcile"] = None
        world.version += 1
        await asyncio.sleep(30)
        shown.append(loop.observed.next_reconcile)

    world.serve(SATURDAY, 8 * HOUR, look)
    assert shown == [AT, None]
    assert reconciles(world) == []


def test_a_new_service_reconciles_at_the_next_time_and_one_that_missed_it_at_once(world: ServiceWorld) -> None:
    world.serve(AT + HOUR, HOUR)
    assert reconciles(world) == []
    world.serve(AT + 7 * DAY - HOUR, 2 * HOUR)
    world.serve(AT + 14 * DAY - 3 * HOUR, HOUR)
    (first,) = reconciles(world)
    assert first.started_at == AT + 7 * DAY
    world.serve(AT + 15 * DAY, HOUR)
    assert [run.started_at for run in reconciles(world)[1:]] == [pytest.approx(AT + 15 * DAY, abs=MINUTE)]


def test_a_run_that_is_due_goes_first_and_the_rest_is_reconciled_after_it(world: ServiceWorld) -> None:
    world.orgs = [make_org(f"org-{n}") for n in range(40)]
    world.limits = replace(world.limits, concurrency=1)
    world.schedule |= {"recheck": []}

    async def slow_down(_: Loop) -> None:
        await asyncio.sleep((AT - SATURDAY).total_seconds() - 60)
        world.api.latency_s = lambda _org: 45.0

    world.api = FakeApi(usage().script)
    world.serve(SATURDAY, 7 * HOUR, slow_down)

    collects = [at for at, _ in began(world, "serve")]
    assert all(later - earlier <= HOUR + 2 * MINUTE for earlier, later in pairwise(collects))
    parts = reconciles(world)
    assert len(parts) >= 2
    assert parts[-1].exit_code in (ExitCode.OK, ExitCode.INCOMPLETE)
    assert all("went first" in run.why for run in parts[:-1])
    asked = [orgs for _, orgs in began(world, "reconcile")]
    assert all({*later} < {*earlier} for earlier, later in pairwise(asked))  # what is done is not compared again
    assert len(asked[0]) == 40


def began(world: ServiceWorld, command: str) -> list[tuple[datetime, tuple[str, ...]]]:
    commands = [run.command for run in world.ended]
    return [one for one, name in zip(world.began, commands, strict=True) if name == command]


def test_a_reconcile_that_fails_is_repeated_after_a_pause_and_delays_no_run(world: ServiceWorld) -> None:
    world.schedule |= {"recheck": []}
    world.api = FakeApi(usage().script)
    failures = [LedgerError("the disk is full"), LedgerError("the disk is full")]
    world.fails = lambda _: failures.pop() if failures and world.clock.now() >= AT else None
    world.serve(SATURDAY, 7 * HOUR)
    runs = reconciles(world)
    assert [run.exit_code for run in runs] == [None, None, ExitCode.OK]
    collects = [at for at, _ in began(world, "serve")]
    assert all(later - earlier <= HOUR + MINUTE for earlier, later in pairwise(collects))


def test_a_new_config_ends_a_reconcile_and_it_goes_on_after_the_run(world: ServiceWorld) -> None:
    world.orgs = [make_org(f"org-{n}") for n in range(10)]
    world.schedule |= {"recheck": []}
    world.limits = replace(world.limits, concurrency=1)
    world.api = FakeApi(usage().script)

    async def change(_: Loop) -> None:
        await asyncio.sleep((AT - SATURDAY).total_seconds() - 60)
        world.api.latency_s = lambda _org: 30.0
        await asyncio.sleep(120)
        world.orgs = [*world.orgs, make_org("new")]
        world.version += 1

    world.serve(SATURDAY, 8 * HOUR, change)
    first, *rest = reconciles(world)
    assert "config changed" in first.why
    assert rest[-1].exit_code in (ExitCode.OK, ExitCode.INCOMPLETE)
    assert ("new",) in [orgs for _, orgs in world.began]
