"""Two runs at once on one ledger, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from collector.app.command import Command
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Between, Moment
from collector.fetch import RateLimit
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.flow.world import NOON, World
from tests.support.fake_api import FakeApi, FakeClock
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual


@pytest.mark.parametrize("orgs", [1, 5])
def test_a_collect_beside_a_long_backfill_gets_every_org_long_before_that_ends(tmp_path: Path, orgs: int) -> None:
    """The backfill released and acquired its orgs in one pass: a `collect` that waited never found one free."""
    world = World(tmp_path, orgs=[make_org(f"org-{n}") for n in range(orgs)], api=FakeApi())
    world.limits = FAST if orgs > 1 else FAST.__class__(org_rate=RateLimit(50, 1.0), rate=RateLimit(1000, 1.0))
    long_ago = Between(Moment.parse("2024-01-01"), Moment.parse("2026-04-30"))

    async def both() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        backfill = asyncio.create_task(
            world.run(Command(name="backfill", range_=long_ago), run_id="1", clock=FakeClock(NOON), stop=Stop())
        )
        await asyncio.sleep(1)
        collect = await world.run(Command(name="collect", range_=None), run_id="2", clock=FakeClock(NOON), stop=Stop())
        collected_at = loop.time()
        assert collect.exit_code == ExitCode.OK
        assert collect.summary.planned == orgs * 2 * 3
        assert (await backfill).exit_code == ExitCode.OK
        return collected_at, loop.time()

    collected_at, backfilled_at = run_virtual(both())
    assert collected_at < backfilled_at / 2
