"""A service sees what another process commits to its ledger, and the runs of other commands, within seconds."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from collector.app.command import Command
from collector.app.coverage import CoverageReader
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Last
from collector.ledger import open_reader
from collector.run.stop import Stop
from collector.service.loop import Loop
from collector.service.viewer import Viewer
from tests.flow.service_world import ServiceWorld
from tests.flow.test_refused_orgs import Reads, Refusing, refuse
from tests.flow.world import DAY, NOON, World
from tests.support.fake_api import UNAUTHORIZED

SOON_S = 5.0  # with the ten seconds that a page may be kept, that makes fifteen


def test_what_another_process_commits_is_seen_soon_and_its_run_is_listed(tmp_path: Path) -> None:
    world = ServiceWorld(tmp_path, schedule={"cron": "0 12 * * *", "jitter": "0"}, api=Refusing())
    backfill = Command(name="backfill", range_=Last(20 * DAY))

    async def watch(loop: Loop) -> None:
        config = loop.config
        viewer = Viewer(
            Reads(world), config=lambda: config, observed=loop.observed, quarantine=loop.quarantine, clock=world.clock
        )
        task = asyncio.create_task(viewer.run())
        await asyncio.sleep(600)
        before = loop.observed.orgs
        assert not any(org.incomplete for org in before.values())
        refuse(world, a=UNAUTHORIZED)
        await World.run(world, backfill, run_id="beside", clock=world.clock, stop=Stop())
        await asyncio.sleep(SOON_S)
        after = loop.observed.orgs
        assert (after["a"].refused, after["a"].incomplete > 0) == (True, True)
        assert after["b"].populations[0].windows > before["b"].populations[0].windows
        assert after["b"].incomplete == 0
        runs = [(run.command, run.run_id, run.exit_code) for run in loop.observed.all_runs]
        assert runs == [("backfill", "beside", ExitCode.REFUSED), ("serve", "00001", ExitCode.OK)]
        task.cancel()

    world.serve(NOON, timedelta(hours=1), watch)


def test_only_orgs_that_changed_are_read_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.collect(NOON)
    reader, ledger = CoverageReader(world.config), open_reader(world.ledger_url)
    assert ledger is not None
    reader.read(ledger, reader.names, NOON)
    for _ in range(2):
        reader.read(ledger, [], NOON)
        assert reader.changed() == set()
    world.orgs = world.orgs[:1]
    world.backfill_last(NOON, 10)
    reader.read(ledger, [], NOON)
    assert reader.changed() == {"a"}
    reader.read(ledger, ["a"], NOON)
    reader.read(ledger, [], NOON)
    assert reader.changed() == set()
    ledger.close()
