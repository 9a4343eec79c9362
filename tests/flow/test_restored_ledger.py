"""A ledger that is restored from a backup: no revision has two contents, and the newest one is the newest truth."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from collector.adapters.sinks.directory import JOURNAL
from collector.adapters.sinks.directory_id import ID_FILE
from collector.adapters.sinks.files import OsFiles
from collector.app.command import Permits
from collector.app.coverage import CoverageReader
from collector.app.leftovers import finish_leftovers
from collector.core.exit_codes import ExitCode
from collector.fetch import RateLimit
from collector.ledger import SqlLedger
from collector.model import ApiRequest, Org
from collector.run.manifest import RunResult
from tests.flow.harness import FAST
from tests.flow.world import DAY, NOON, World, counting
from tests.support.fake_api import FakeApi, Step, answer
from tests.support.orgs import make_org

HOUR = timedelta(hours=1)
Record = dict[str, Any]


OUTPUTS: dict[str, dict[str, Any]] = {
    "jsonl": {},
    "csv.zst": {"format": "csv", "compression": "zstd"},
    "parquet by month and population": {"format": "parquet", "partition_by": ["month", "population"]},
}


@pytest.fixture(params=OUTPUTS)
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """What is true of one format is true of all."""
    return World(tmp_path, output=OUTPUTS[request.param])


def back_up(world: World) -> Path:
    """Copy the ledger as a backup does: consistently, also while a run writes to it."""
    path = world.directory / "backup.db"
    with closing(sqlite3.connect(world.directory / "ledger.db")) as ledger, closing(sqlite3.connect(path)) as backup:
        ledger.backup(backup)
    return path


def restore(world: World, backup: Path) -> None:
    for file in world.directory.glob("ledger.db*"):
        if file.is_file():
            file.unlink()
    backup.rename(world.directory / "ledger.db")


def delivered(world: World, *moved: Path) -> dict[str, list[Record]]:
    """Return every record ever sealed, by its id, in the order of revisions; each revision once, and rising in time."""
    world_of = [replace(world, directory=directory) for directory in (world.directory, *moved)]
    by_id: dict[str, list[Record]] = defaultdict(list)
    for one in world_of:
        for record in one.records:
            by_id[record["record_id"]].append(record)
    for records in by_id.values():
        records.sort(key=lambda record: record["revision"])
        revisions = [record["revision"] for record in records]
        assert len(set(revisions)) == len(revisions), records
        times = [record["collected_at"] for record in records]
        assert times == sorted(set(times)), records
    return by_id


def newest_tests(world: World, *moved: Path) -> set[int]:
    return {records[-1]["total_tests"] for records in delivered(world, *moved).values()}


def backed_up_at(world: World, n: int) -> Callable[[Org, ApiRequest, int], Step]:
    """Take the backup when an org is requested the n-th time."""

    def script(org: Org, request: ApiRequest, sent: int) -> Step:
        if org.name == "b" and sent == n:
            back_up(world)
        return counting(10)(org, request, sent)

    return script


def test_a_backup_of_mid_run_takes_the_file_that_was_sealed_since_for_sealed(world: World) -> None:
    """It once counted as lost: 240 records were emitted again under the same revisions."""
    world.limits = replace(FAST, org_rate=RateLimit(4, 1.0))
    world.api = FakeApi(script=backed_up_at(world, 40))
    assert world.backfill(NOON, "2026-05-01", "2026-05-30").exit_code == ExitCode.OK
    restore(world, world.directory / "backup.db")
    world.api = FakeApi(script=counting(10))
    with capture_logs() as logs:
        again = world.backfill(NOON - HOUR, "2026-05-01", "2026-05-30")
    assert again.exit_code == ExitCode.OK
    assert again.summary.records == 0
    assert len(delivered(world)) == 2 * 2 * 30
    assert not [log for log in logs if log["event"] in ("file.lost", "run.interrupted")]
    assert again.adopted is not None
    files = len(list((world.directory / "out").rglob("usage-*")))
    assert (again.adopted.runs, again.adopted.files, again.adopted.unread) == (0, files, ())
    (told,) = [log for log in logs if log["event"] == "ledger.behind"]
    assert told["slices"] == again.adopted.slices == 2 * 2 * 30
    assert world.collect(NOON).adopted is None  # and it is known from then on


def test_a_backup_that_lacks_only_a_seal_is_logged_as_that_and_not_with_zeros(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    intend_seal = SqlLedger.intend_seal

    def backing_up_before(ledger: SqlLedger, file_id: int) -> None:
        back_up(world)
        intend_seal(ledger, file_id)

    with monkeypatch.context() as patched:
        patched.setattr(SqlLedger, "intend_seal", backing_up_before)
        world.collect(NOON)
    restore(world, world.directory / "backup.db")
    with capture_logs() as logs:
        again = world.collect(NOON)
    assert again.adopted is not None
    assert again.adopted.only_seals
    (told,) = [log for log in logs if log["event"] == "ledger.behind"]
    assert "nothing had to be taken over" in told["message"]
    assert not {"runs", "files", "slices"} & told.keys()


def test_a_backup_of_before_some_runs_goes_on_from_the_revisions_of_their_files(world: World) -> None:
    world.api = FakeApi(script=counting(10))
    world.collect(NOON)
    backup = back_up(world)
    world.api = FakeApi(script=counting(20))
    world.collect(NOON + DAY)
    world.backfill(NOON + DAY, "2026-06-10", "2026-06-24", force=True)
    restore(world, backup)
    world.api = FakeApi(script=counting(20))
    same = world.backfill(NOON + DAY - HOUR, "2026-06-10", "2026-06-24")
    assert (same.summary.records, same.exit_code) == (0, ExitCode.OK)
    assert newest_tests(world) == {20}
    world.api = FakeApi(script=counting(30))
    other = world.backfill(NOON + DAY - HOUR, "2026-06-10", "2026-06-24", force=True)
    assert other.summary.records == len(delivered(world))
    assert newest_tests(world) == {30}


def test_a_worse_answer_does_not_replace_what_only_the_files_have(world: World) -> None:
    world.collect(NOON)
    backup = back_up(world)
    world.api = FakeApi(script=counting(20))
    world.backfill(NOON, "2026-06-10", "2026-06-12")
    restore(world, backup)
    world.api = FakeApi(script=counting(0))  # the API has deleted it meanwhile
    later = world.backfill(NOON + 90 * DAY, "2026-06-10", "2026-06-12")
    assert (later.summary.records, later.exit_code) == (0, ExitCode.OK)


@pytest.mark.parametrize("moved", ["the files", "some files"])
def test_files_that_were_moved_away_are_known_by_their_manifests(world: World, moved: str) -> None:
    world.api = FakeApi(script=counting(10))
    world.collect(NOON)
    backup = back_up(world)
    world.api = FakeApi(script=counting(20))
    world.backfill(NOON + DAY, "2026-06-18", "2026-06-24", force=True)
    world.api = FakeApi(script=counting(10))
    world.backfill(NOON + DAY, "2026-06-18", "2026-06-24", force=True)
    warehouse = world.directory / "warehouse"
    (warehouse / "out").mkdir(parents=True)
    names = sorted({file.name for file in (world.directory / "out").rglob("usage-*")})
    for file in list((world.directory / "out").rglob("usage-*")):
        if moved == "the files" or file.name in names[:2]:
            there = warehouse / file.relative_to(world.directory)
            there.parent.mkdir(parents=True, exist_ok=True)
            file.rename(there)
    restore(world, backup)
    world.api = FakeApi(script=counting(10))
    again = world.backfill(NOON + DAY - HOUR, "2026-06-18", "2026-06-24", force=True)
    assert again.adopted is not None
    assert (again.adopted.runs, len(again.adopted.unread)) == (2, 2 if moved == "the files" else 1)
    assert newest_tests(world, warehouse) == {10}
    world.api = FakeApi(script=counting(30))
    world.backfill(NOON + DAY - HOUR, "2026-06-18", "2026-06-24", force=True)
    assert newest_tests(world, warehouse) == {30}
    world.api = FakeApi(script=counting(40))
    world.collect(NOON + 3 * DAY)
    days = [records for records in delivered(world, warehouse).values() if records[0]["window_start"] > "2026-06-26"]
    assert days
    assert {record["revision"] for records in days for record in records} == {1}  # newer windows begin at 1


def test_an_org_that_was_added_after_the_backup_goes_on_from_its_files(world: World) -> None:
    world.collect(NOON)
    backup = back_up(world)
    world.orgs = [*world.orgs, make_org("c")]
    world.collect(NOON + HOUR)
    restore(world, backup)
    world.orgs = [*world.orgs[:2], make_org("c-renamed", org_id="id-c")]
    users = lambda org, request, _n: answer(org, request, org_id=org.org_id, users=7)  # noqa: E731
    world.api = FakeApi(script=users)
    world.backfill(NOON + 2 * HOUR, "2026-06-21", "2026-06-23", force=True)
    of_c = [records for records in delivered(world).values() if records[0]["org_id"] == "id-c"]
    assert {tuple(record["revision"] for record in records) for records in of_c} == {(1, 2)}
    ledger = SqlLedger.open(world.ledger_url, command="test", now=lambda: NOON, durable=False)
    with closing(ledger):
        assert sorted(row.name for row in ledger.organizations()) == ["a", "b", "c-renamed"]


def test_recover_takes_over_the_files_of_another_directory(world: World) -> None:
    world.collect(NOON)
    backup = back_up(world)
    world.backfill(NOON, "2026-06-10", "2026-06-12")
    restore(world, backup)
    (world.directory / "out").rename(world.directory / "other")
    world.permits = Permits(elsewhere=True)
    ledger = SqlLedger.open(world.ledger_url, command="test", now=lambda: NOON, durable=False)
    with closing(ledger):
        directory = world.directory / "other"
        assert finish_leftovers(ledger, directories=[directory], lost=(), own=None, now=NOON)
    again = world.backfill(NOON, "2026-06-10", "2026-06-12")
    assert (again.summary.records, again.summary.planned) == (0, 2 * 2 * 3)


@pytest.mark.parametrize("moved", [False, True])
def test_a_backfill_that_ran_after_the_backup_is_wanted_again_with_the_commands_until_it_is_done(
    world: World, moved: bool
) -> None:
    """Its windows were fetched by nothing, and `status` said that all is complete."""
    world.collect(NOON)
    backup = back_up(world)
    world.backfill(NOON, "2026-01-05", "2026-01-09")
    if moved:
        files = list((world.directory / "out").rglob("usage-0002-*"))
        assert files
        for file in files:
            file.unlink()
    restore(world, backup)
    with capture_logs() as logs:
        again = world.collect(NOON + HOUR)
    command = f"collector backfill -c {world.directory} --state {world.ledger_url} -o {world.directory}/out"
    command += " --org a --org b --from 2026-01-05 --to 2026-01-09"
    (needed,) = [log for log in logs if log["event"] == "ledger.backfill_needed"]
    assert needed["commands"] == [command]
    assert again.adopted is not None
    assert [(one.org, one.start.date().isoformat()) for one in again.adopted.ranges] == [
        ("a", "2026-01-05"),
        ("b", "2026-01-05"),
    ]
    assert missing(world) == {"a": 2 * 5, "b": 2 * 5}
    with capture_logs() as logs:
        world.backfill(NOON + 2 * HOUR, "2026-01-05", "2026-01-09")
    assert missing(world) == {"a": 0, "b": 0}
    assert not [log for log in logs if log["event"].startswith("ledger.")]
    delivered(world)


def test_a_restored_ledger_skips_revisions_of_runs_of_which_only_a_note_is_left(world: World) -> None:
    """Readers had moved files and manifests away: it emitted revision 1 again, with other numbers."""
    world.api = FakeApi(script=counting(10))
    world.collect(NOON)
    backup = back_up(world)
    for n in (1, 2):
        world.api = FakeApi(script=counting(10 + n))
        world.backfill(NOON + n * HOUR, "2026-06-10", "2026-06-12", force=True)
    read = world.directory / "read"
    (read / "out").mkdir(parents=True)
    for file in (world.directory / "out").glob("[!.]*"):
        file.rename(read / "out" / file.name)
    restore(world, backup)
    world.api = FakeApi(script=counting(20))
    with capture_logs() as logs:
        world.backfill(NOON + 3 * HOUR, "2026-06-10", "2026-06-12")
    (told,) = [log for log in logs if log["event"] == "ledger.behind"]
    assert (told["runs"], told["unread"]) == (2, ["0002", "0003"])
    assert {record["revision"] for record in world.records} == {3}
    delivered(world, read)


def missing(world: World) -> dict[str, int]:
    """Return what `status` says is not complete."""
    ledger = SqlLedger.open(world.ledger_url, command="test", now=lambda: NOON, durable=False)
    with closing(ledger):
        found = CoverageReader(world.config, days=None).read_all(ledger, NOON + HOUR)
    return {name: org.incomplete for name, org in found.items()}


@pytest.mark.parametrize("tests", [10, 20])
def test_what_a_restored_ledger_emitted_again_elsewhere_is_named_when_the_old_directory_is_recovered(
    world: World, tests: int
) -> None:
    world.api = FakeApi(script=counting(10))
    world.collect(NOON)
    backup = back_up(world)
    world.backfill(NOON, "2026-06-10", "2026-06-12")
    restore(world, backup)
    old, new = world.directory / "old", world.directory / "out"
    new.rename(old)
    world.permits = Permits(elsewhere=True)
    world.api = FakeApi(script=counting(tests))
    emitted = world.backfill(NOON + HOUR, "2026-06-10", "2026-06-14").summary.records
    ledger = SqlLedger.open(world.ledger_url, command="test", now=lambda: NOON + HOUR, durable=False)
    with closing(ledger), capture_logs() as logs:
        assert finish_leftovers(ledger, directories=[old], lost=(), own=new, now=NOON + HOUR)
    (told,) = [log for log in logs if log["event"] == "records.doubled"]
    assert (told["records"], told["different"]) == (emitted * 3 // 5, emitted * 3 // 5 if tests == 20 else 0)
    assert told["first"][0].endswith(" revision 1")
    ledger = SqlLedger.open(world.ledger_url, command="test", now=lambda: NOON + HOUR, durable=False)
    with closing(ledger), capture_logs() as logs:
        assert finish_leftovers(ledger, directories=[old], lost=(), own=new, now=NOON + HOUR)
    assert not [log for log in logs if log["event"] in ("records.doubled", "ledger.behind")]
    world.api = FakeApi(script=counting(30))
    world.backfill(NOON + 2 * HOUR, "2026-06-10", "2026-06-14", force=True)
    newest = {record["revision"] for record in world.records if record["total_tests"] == 30}
    assert newest == {2}


def test_a_run_reads_nothing_of_a_directory_whose_runs_it_knows(world: World) -> None:
    results: list[RunResult] = [world.collect(NOON + n * HOUR) for n in range(3)]
    (world.directory / "out" / "usage-notes.jsonl").write_text("no file of ours")
    with patch.object(OsFiles, "read", autospec=True, side_effect=OsFiles.read) as read:
        results.append(world.collect(NOON + 4 * HOUR))
    assert {call.args[1].name for call in read.call_args_list} == {ID_FILE, JOURNAL}
    assert [result.adopted for result in results] == [None] * 4
