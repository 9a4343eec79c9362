"""Records go where those of their ledger are: a directory is known by its id, and belongs to one ledger."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector.adapters.sinks.directory_id import ID_FILE
from collector.app.command import Permits
from collector.app.leftovers import finish_leftovers
from collector.core.exit_codes import ExitCode
from collector.errors import OutputError
from collector.ledger import SqlLedger
from tests.flow.test_unlisted_files import killed
from tests.flow.world import DAY, NOON, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "one").mkdir()
    return World(tmp_path / "one")


def empty(out: Path) -> None:
    shutil.rmtree(out)
    out.mkdir()


def remove(out: Path) -> None:
    shutil.rmtree(out)


def replace(out: Path) -> None:
    empty(out)
    (out / ID_FILE).write_text("f" * 32 + "\n")


@pytest.mark.parametrize("how", [empty, remove, replace])
def test_a_directory_that_is_not_the_one_that_was_there_gets_no_record(
    world: World, how: Callable[[Path], None]
) -> None:
    """As if its disk were not mounted: the records went to the disk below, and were complete."""
    world.collect(NOON)
    how(world.directory / "out")
    before, asked = sorted((world.directory / "out").glob("*")), len(world.api.asked)
    with pytest.raises(OutputError, match=r"isn't the one that this ledger's records are in.*mounted"):
        world.collect(NOON + DAY)
    assert (sorted((world.directory / "out").glob("*")), len(world.api.asked)) == (before, asked)
    world.permits = Permits(elsewhere=True)
    assert world.collect(NOON + DAY).exit_code == ExitCode.OK
    world.permits = Permits()
    assert world.collect(NOON + 2 * DAY).exit_code == ExitCode.OK  # it is known by now


def test_a_directory_belongs_to_one_ledger_until_another_one_adopts_it(world: World) -> None:
    """The ledger was lost, or a relative path began elsewhere: a new one began beside a full output."""
    world.collect(NOON)
    asked = len(world.api.asked)
    other = World(world.directory.parent / "two", api=world.api, runs=10)
    other.directory.mkdir()
    (other.directory / "out").symlink_to(world.directory / "out")
    with pytest.raises(OutputError, match=r"belongs to another ledger.*--adopt"):
        other.collect(NOON + DAY)
    assert len(world.api.asked) == asked
    other.permits = Permits(adopt=True)
    taken = other.collect(NOON + DAY)
    assert taken.adopted is not None
    assert taken.adopted.runs == 1
    ids = [(record["record_id"], record["revision"]) for record in world.records]
    assert len(ids) == len(set(ids))
    other.permits = Permits()
    assert other.collect(NOON + DAY).exit_code == ExitCode.OK
    with pytest.raises(OutputError, match="belongs to another ledger"):
        world.collect(NOON + DAY)


def test_adopting_holds_although_the_run_had_nothing_to_deliver(world: World) -> None:
    world.collect(NOON)
    other = World(world.directory.parent / "two", api=world.api, runs=10, permits=Permits(adopt=True))
    other.directory.mkdir()
    (other.directory / "out").symlink_to(world.directory / "out")
    assert other.collect(NOON).summary.records == 0
    other.permits = Permits()
    assert other.collect(NOON + DAY).exit_code == ExitCode.OK


def test_a_copy_of_ledger_and_output_is_recovered_in_itself_and_the_original_is_left_alone(world: World) -> None:
    """The ledger knows the path of the unsealed file: the copy's run sealed the original's, and lost it for its own."""
    killed(world, NOON, "2026-06-01", "2026-06-03")
    copy = World(world.directory.parent / "two", api=world.api, runs=world.runs)
    shutil.copytree(world.directory, copy.directory)
    original = sorted(path.name for path in (world.directory / "out").iterdir())
    with capture_logs() as logs:
        assert copy.backfill(NOON + DAY, "2026-06-01", "2026-06-03").exit_code == ExitCode.OK
    (told,) = [log for log in logs if log["event"] == "file.recovered"]
    assert told["directory"] == str(copy.directory / "out")
    assert len(copy.records) == len({record["record_id"] for record in copy.records}) == 2 * 2 * 3 * 2
    assert sorted(path.name for path in (world.directory / "out").iterdir()) == original
    assert world.backfill(NOON + DAY, "2026-06-01", "2026-06-03").exit_code == ExitCode.OK
    assert {record["record_id"] for record in world.records} == {record["record_id"] for record in copy.records}


def test_recover_seals_the_file_of_a_copy_in_the_directory_that_is_named(world: World) -> None:
    killed(world, NOON, "2026-06-01", "2026-06-03")
    copy = World(world.directory.parent / "two", api=world.api, runs=world.runs)
    shutil.copytree(world.directory, copy.directory)
    ledger = SqlLedger.open(copy.ledger_url, command="test", now=lambda: NOON, durable=False)
    with closing(ledger):
        assert finish_leftovers(ledger, directories=[copy.directory / "out"], lost=(), own=None, now=NOON)
    assert len(copy.records) > 0
    assert world.records == []


def test_a_directory_that_was_moved_is_known_by_its_id(world: World) -> None:
    world.collect(NOON)
    moved = World(world.directory.parent / "two", api=world.api, runs=world.runs)
    world.directory.rename(moved.directory)
    with capture_logs() as logs:
        assert moved.collect(NOON + DAY).exit_code == ExitCode.OK
    assert not [log for log in logs if log["event"].startswith(("ledger.", "file."))]
