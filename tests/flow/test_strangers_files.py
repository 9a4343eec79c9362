"""Files in the output directory that the ledger doesn't know: of runs before a restore, or of runs without a ledger."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector.adapters.sinks import DirectorySink
from collector.app.command import Command
from collector.app.prepare import prepare
from collector.app.wiring import run_config
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Last
from collector.errors import ConfigError
from collector.ledger import NoLedger
from collector.run.manifest import RunResult
from collector.run.run import Run
from collector.run.stop import Stop
from tests.flow.test_restored_ledger import HOUR, back_up, restore
from tests.flow.test_unlisted_files import killed
from tests.flow.world import DAY, NOON, World, counting, inline
from tests.support.fake_api import FakeApi, FakeClock
from tests.support.virtual_time import run_virtual


def warnings(logs: list[Any]) -> list[tuple[str, str]]:
    return [(Path(log["file"]).name, log["message"]) for log in logs if log["event"] == "file.unsealed"]


def test_a_run_names_each_unsealed_file_of_a_run_that_its_restored_ledger_does_not_know(world: World) -> None:
    world.collect(NOON)
    backup = back_up(world)
    killed(world, NOON + DAY, "2026-06-01", "2026-06-10")
    restore(world, backup)
    (hidden,) = (world.directory / "out").glob(".usage-*")
    for _ in range(2):
        with capture_logs() as logs:
            assert world.collect(NOON + DAY).exit_code == ExitCode.OK
        ((name, message),) = warnings(logs)
        assert name == hidden.name
        assert "emove" in message
    hidden.unlink()
    with capture_logs() as logs:
        world.collect(NOON + DAY)
    assert not warnings(logs)


def test_a_run_says_nothing_of_unsealed_files_that_the_ledger_knows(world: World) -> None:
    world.collect(NOON)
    killed(world, NOON + DAY, "2026-06-01", "2026-06-10")
    with capture_logs() as logs:
        world.collect(NOON + DAY)
    assert not warnings(logs)


def without_ledger(world: World, run_id: str, now: datetime) -> RunResult:
    """Make a run of `state: none`."""
    config, clock = world.config, FakeClock(now)
    command = Command(name="collect", range_=Last(5 * DAY))
    with closing(DirectorySink.open(world.directory / "out", run_id=run_id, seal_at=10**8)) as sink:
        session = prepare(NoLedger(), config, command, run_id, clock)
        run = Run(
            config=replace(run_config(config.settings, command, run_id), limits=world.limits),
            session=session,
            transport=world.api,
            sink=sink,
            offload=inline,
            clock=clock,
            emit=world.events.append,
            stop=Stop(),
        )
        return run_virtual(run.execute())


def test_runs_without_a_ledger_are_no_restored_ledger_and_no_record_comes_twice_under_one_revision(
    world: World,
) -> None:
    for n in (1, 2):
        world.api = FakeApi(script=counting(10 * n))
        without_ledger(world, f"000{n}-noledger", NOON + n * HOUR)
    before = {(record["record_id"], record["revision"]) for record in world.records}
    with capture_logs() as logs:
        result = world.collect(NOON + 3 * HOUR, Last(5 * DAY))
    events = [log["event"] for log in logs]
    assert (result.adopted, "ledger.behind" in events, events.count("records.without_ledger")) == (None, False, 1)
    assert result.summary.records == 0  # the newest of what was emitted before is what came now
    world.api = FakeApi(script=counting(30))
    again = world.backfill(NOON + 4 * HOUR, "2026-06-19", "2026-06-23", force=True)
    assert {record["revision"] for record in world.records_of_run(again)} == {2}
    assert not before & {(r["record_id"], r["revision"]) for r in world.records_of_run(again)}


def test_a_run_without_a_ledger_into_the_directory_of_a_ledger_is_refused(world: World) -> None:
    world.collect(NOON)
    with pytest.raises(ConfigError, match="Name another directory"):
        without_ledger(world, "0002-noledger", NOON + HOUR)
    with capture_logs() as logs:
        assert world.collect(NOON + DAY).adopted is None
    assert "ledger.behind" not in [log["event"] for log in logs]
