"""Files in the output directory that the ledger doesn't know: of runs before a restore, or of runs without a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from collector.core.exit_codes import ExitCode
from tests.flow.test_restored_ledger import back_up, restore
from tests.flow.test_unlisted_files import killed
from tests.flow.world import DAY, NOON, World


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
