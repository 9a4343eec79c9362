"""Sealed files that no manifest names, because their run was killed or could not write one: the next manifest does."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from collector.adapters.sinks import DirectorySink
from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.reading import json_lines_of
from collector.app.command import Command
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Between, Moment
from collector.errors import OutputError
from collector.events import Event, SliceCommitted
from collector.run.stop import Stop
from tests.flow.world import NOON, World
from tests.support.fake_api import FakeClock
from tests.support.virtual_time import run_virtual

HOUR = timedelta(hours=1)
OUTPUTS: dict[str, dict[str, Any]] = {
    "jsonl": {},
    "csv.gz": {"format": "csv", "compression": "gzip"},
    "parquet by month and org": {"format": "parquet", "partition_by": ["month", "org"]},
}


@pytest.fixture(params=OUTPUTS)
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return World(tmp_path, output=OUTPUTS[request.param])


def killed(world: World, now: datetime, first: str, last: str) -> None:
    """Let a run end without a word when its first records are committed."""

    def die(event: Event) -> None:
        if isinstance(event, SliceCommitted):
            raise RuntimeError("killed")

    world.runs += 1
    command = Command(name="backfill", range_=Between(Moment.parse(first), Moment.parse(last)))
    running = world.run(command, run_id=f"{world.runs:04}", clock=FakeClock(now), stop=Stop(), emit=die)
    with pytest.raises(ExceptionGroup):
        run_virtual(running)


def recovered(world: World) -> list[dict[str, Any]]:
    manifest = json.loads((world.directory / "out" / f"run-{world.runs:04}.json").read_text())
    files: list[dict[str, Any]] = manifest["recovered"]
    return files


def as_they_are(world: World, *runs: int) -> list[dict[str, Any]]:
    """Return what a manifest has of the sealed files of runs."""
    out = world.directory / "out"
    found = {str(path.relative_to(out)): path for run in runs for path in out.rglob(f"usage-{run:04}-*")}
    assert found
    return [
        {
            "name": name,
            "run_id": found[name].name.split("-")[1],
            "records": json_lines_of(name, content).count(b"\n"),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for name in sorted(found)
        for content in [found[name].read_bytes()]
    ]


def test_files_recovered_by_a_run_that_was_killed_too_are_in_the_next_manifest(world: World) -> None:
    killed(world, NOON, "2026-06-01", "2026-06-03")
    killed(world, NOON + HOUR, "2026-06-01", "2026-06-05")
    killed(world, NOON + 2 * HOUR, "2026-06-01", "2026-06-07")
    assert world.backfill(NOON + 3 * HOUR, "2026-06-01", "2026-06-09").exit_code == ExitCode.OK
    assert recovered(world) == as_they_are(world, 1, 2, 3)
    world.backfill(NOON + 4 * HOUR, "2026-06-01", "2026-06-12")
    assert recovered(world) == []


def test_files_of_killed_runs_are_in_the_next_manifest_also_after_the_clock_was_set_back(world: World) -> None:
    """The newest manifest was of a run that began later, by the clock of before."""
    assert world.backfill(NOON + 6 * HOUR, "2026-06-01", "2026-06-02").exit_code == ExitCode.OK
    killed(world, NOON, "2026-06-01", "2026-06-04")
    killed(world, NOON + HOUR, "2026-06-01", "2026-06-05")
    assert world.backfill(NOON + 2 * HOUR, "2026-06-01", "2026-06-06").exit_code == ExitCode.OK
    assert recovered(world) == as_they_are(world, 2, 3)


def test_files_of_a_run_that_could_not_write_its_manifest_are_in_the_next_one(world: World) -> None:
    with patch.object(DirectorySink, "write_manifest", side_effect=OutputError("the disk is full")):
        assert world.backfill(NOON, "2026-06-01", "2026-06-03").exit_code == ExitCode.OUTPUT
    world.backfill(NOON + HOUR, "2026-06-01", "2026-06-05")
    assert recovered(world) == as_they_are(world, 1)
    world.backfill(NOON + 2 * HOUR, "2026-06-01", "2026-06-06")
    assert recovered(world) == []


def test_a_recovered_file_that_a_reader_has_moved_away_is_listed_as_the_ledger_has_it(world: World) -> None:
    killed(world, NOON, "2026-06-01", "2026-06-03")
    out = world.directory / "out"
    (hidden,) = out.glob(".usage-*")
    records, size = hidden.read_bytes().count(b"\n"), hidden.stat().st_size

    def moved_away(files: OsFiles, path: Path) -> bytes | None:
        return None if path.name.startswith("usage-") else read(files, path)

    read = OsFiles.read
    with patch.object(OsFiles, "read", moved_away):
        world.backfill(NOON + HOUR, "2026-06-01", "2026-06-03")
    (file,) = recovered(world)
    is_plain = not world.output
    assert (file["records"], file["bytes"], file["sha256"]) == (records, size if is_plain else None, None)
