"""Records in a directory: what readers see and when, and what remains after a disk error."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from collector.adapters.sinks import DirectorySink
from collector.adapters.sinks.directory import JOURNAL
from collector.adapters.sinks.directory_id import ID_FILE, ensure_id
from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.jsonl import to_lines
from collector.core.layout import Layout, PartitionKey, RecordFormat
from tests.support.outputs import LINE, RUN_ID, Output, names, open_sink, records

# --- what a reader sees ---------------------------------------------------------------------


def test_a_file_is_visible_only_when_it_is_sealed_and_complete(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    assert names(tmp_path) == []
    for day in range(3):
        sink.write(records(10, day))
        assert names(tmp_path) == [f".usage-{RUN_ID}-0001.jsonl.unsealed"]
    (sealed,) = sink.seal()
    assert names(tmp_path) == [sealed.name] == [f"usage-{RUN_ID}-0001.jsonl"]
    expected = to_lines([record for day in range(3) for record in records(10, day)])
    assert (tmp_path / sealed.name).read_bytes() == expected
    sink.finish(b"{}")


def test_a_missing_directory_is_created_with_its_parents(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a" / "b")
    sink.write(records(1))
    sink.seal()
    sink.finish(b"{}")
    assert names(tmp_path / "a" / "b") == [f"run-{RUN_ID}.json", f"usage-{RUN_ID}-0001.jsonl"]


@pytest.mark.parametrize(("mask", "directory", "file"), [(0, 0o750, 0o640), (0o077, 0o700, 0o600)])
def test_what_is_created_is_for_the_user_and_at_most_readable_for_the_group(
    tmp_path: Path, mask: int, directory: int, file: int
) -> None:
    """The records have the names of customers. A umask may take more away."""
    before = os.umask(mask)
    try:
        sink = DirectorySink.open(tmp_path / "a" / "b", run_id=RUN_ID, seal_at=1, ledger_id="5" * 32)
        ensure_id(OsFiles(), sink.directory)
        output = Output(sink)
        sink.append(records(1))
        hidden = stat.S_IMODE((sink.directory / f".usage-{RUN_ID}-0001.jsonl.unsealed").stat().st_mode)
        output.seal()
        output.finish(b"{}")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {modes.pop("a"), modes.pop("b")} == {directory}
    assert modes.keys() == {JOURNAL, ID_FILE, f"run-{RUN_ID}.json", f"usage-{RUN_ID}-0001.jsonl"}
    assert {hidden, *modes.values()} == {file}


def test_so_are_the_directories_and_files_of_partitions_also_while_they_are_staged(tmp_path: Path) -> None:
    layout = Layout(format=RecordFormat.CSV, partition_by=(PartitionKey.MONTH, PartitionKey.ORG))
    output = open_sink(tmp_path / "out", layout=layout)
    output.sink.append(records(2))
    files = output.sink.close_file()
    staged = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    output.sink.publish(files)
    assert staged == {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("usage-*")} == {0o640}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*=*")} == {0o750}
    assert [file.name for file in files] == [f"month=2026-06/org=acme/usage-{RUN_ID}-0001.csv"]


def test_lines_about_windows_are_sealed_like_a_manifest(tmp_path: Path) -> None:
    sink = DirectorySink.open(tmp_path, run_id=RUN_ID, seal_at=10**9)
    assert sink.seal_coverage() is None
    sink.append_coverage(b"1\n2\n", 2)
    sink.append_coverage(b"3\n", 1)
    assert names(tmp_path) == [f".coverage-{RUN_ID}.jsonl.unsealed"]
    file = sink.seal_coverage()
    assert file is not None
    assert (file.name, file.records, file.bytes) == (f"coverage-{RUN_ID}.jsonl", 3, 6)
    assert file.sha256 == hashlib.sha256((tmp_path / file.name).read_bytes()).hexdigest()
    assert names(tmp_path) == [file.name]


def test_lines_about_windows_that_a_killed_run_left_are_removed_by_the_next_one(tmp_path: Path) -> None:
    sink = DirectorySink.open(tmp_path, run_id=RUN_ID, seal_at=10**9)
    sink.append_coverage(b"1\n", 1)
    DirectorySink.open(tmp_path, run_id="beside", seal_at=10**9)
    assert names(tmp_path) == [f".coverage-{RUN_ID}.jsonl.unsealed"]  # it is being written
    sink.close()
    DirectorySink.open(tmp_path, run_id="next", seal_at=10**9)
    assert names(tmp_path) == []


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o2775)
    open_sink(out).write(records(1))
    assert stat.S_IMODE(out.stat().st_mode) == 0o2775


def test_files_are_sealed_at_the_set_size_and_match_their_description(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, seal_at=10 * LINE)
    for day in range(9):
        sink.write(records(7, day))
    sealed = sink.seal()
    assert [file.name for file in sealed] == [f"usage-{RUN_ID}-{n:04}.jsonl" for n in range(1, len(sealed) + 1)]
    assert len(sealed) >= 4
    everything = b""
    for file in sealed:
        content = (tmp_path / file.name).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert file.records == content.count(b"\n") == len([json.loads(line) for line in content.splitlines()])
        everything += content
    assert all(file.bytes >= 10 * LINE for file in sealed[:-1])
    assert everything == to_lines([record for day in range(9) for record in records(7, day)])
    sink.finish(b"{}")


def test_readers_may_move_sealed_files_away_during_a_run(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    out = tmp_path / "out"
    sink = open_sink(out, seal_at=1)
    for day in range(3):
        sink.write(records(2, day))
        (name,) = names(out)
        os.replace(out / name, moved / name)  # noqa: PTH105 -- as another process would
    sealed = sink.seal()
    sink.finish(b"{}")
    assert names(moved) == [file.name for file in sealed] == [f"usage-{RUN_ID}-{n:04}.jsonl" for n in (1, 2, 3)]
    assert names(out) == [f"run-{RUN_ID}.json"]


def test_two_runs_into_one_directory_use_different_names(tmp_path: Path) -> None:
    one, two = open_sink(tmp_path, run_id="one", seal_at=1), open_sink(tmp_path, run_id="two")
    one.write(records(3, 0))
    two.write(records(4, 1))
    one.write(records(5, 2))
    two.write(records(6, 3))
    counts = {file.name: file.records for sink in (one, two) for file in sink.seal()}
    assert counts == {"usage-one-0001.jsonl": 3, "usage-one-0002.jsonl": 5, "usage-two-0001.jsonl": 10}
    for sink in (one, two):
        sink.finish(b"{}")
    assert names(tmp_path) == ["run-one.json", "run-two.json", *sorted(counts)]


def test_a_run_without_records_writes_only_a_manifest(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    assert sink.seal() == ()
    sink.finish(b'{"records": 0}\n')
    assert names(tmp_path) == [f"run-{RUN_ID}.json"]
    assert (tmp_path / f"run-{RUN_ID}.json").read_bytes() == b'{"records": 0}\n'


def test_discarding_removes_the_unsealed_file_and_keeps_sealed_ones(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, seal_at=5 * LINE)
    sink.write(records(10))
    sink.write(records(1))
    sink.discard()
    assert names(tmp_path) == [f"usage-{RUN_ID}-0001.jsonl"]
    assert [file.records for file in sink.seal()] == [10]
    sink.finish(b"{}")


def test_discarded_records_are_not_part_of_a_sealed_file(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    sink.write(records(4, 0))
    sink.discard()
    assert sink.sink.written == (0, 0)
    assert sink.seal() == ()
    assert names(tmp_path) == []
    sink.write(records(6, 1))
    (sealed,) = sink.seal()
    content = (tmp_path / sealed.name).read_bytes()
    assert content == to_lines(records(6, 1))
    assert (sealed.records, sealed.bytes, sealed.sha256) == (6, len(content), hashlib.sha256(content).hexdigest())


def test_no_file_stays_open_after_a_run(tmp_path: Path) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    sink = open_sink(tmp_path, seal_at=1)
    for day in range(5):
        sink.write(records(2, day))
    sink.seal()
    sink.finish(b"{}")
    assert len(list(Path("/dev/fd").iterdir())) == before


# --- order of disk operations ---------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The disk operations, in order, with file names."""
    done: list[str] = []
    fsync, rename = os.fsync, os.rename

    def name_of(fd: int) -> str:
        kind = "directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
        return f"{kind} {Path(f'/proc/self/fd/{fd}').readlink().name}" if Path("/proc/self/fd").exists() else kind

    def record_fsync(fd: int) -> None:
        done.append(f"fsync {name_of(fd)}")
        fsync(fd)

    def record_rename(source: Path, target: Path) -> None:
        done.append(f"rename {Path(source).name} {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    return done


def test_a_file_is_durable_before_it_is_visible_and_visible_before_it_is_reported(
    tmp_path: Path, steps: list[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    sink = open_sink(out)
    steps.clear()  # what was tried of the file system
    sink.write(records(1))
    sealed = sink.seal()
    steps.append(f"reported {sealed[0].name}")
    sink.finish(b"{}")
    file, run = f"usage-{RUN_ID}-0001.jsonl", f"run-{RUN_ID}.json"
    linux = sys.platform == "linux"
    assert steps == [
        f"fsync file .{file}.unsealed" if linux else "fsync file",
        "fsync directory out" if linux else "fsync directory",
        f"rename .{file}.unsealed {file}",
        "fsync directory out" if linux else "fsync directory",
        f"reported {file}",
        f"fsync file .{run}.unsealed" if linux else "fsync file",
        "fsync directory out" if linux else "fsync directory",
        f"rename .{run}.unsealed {run}",
        "fsync directory out" if linux else "fsync directory",
    ]


def test_the_first_sync_of_a_file_syncs_its_directory_too(tmp_path: Path, steps: list[str]) -> None:
    """Without a sync of its directory, a synced file may be missing after a power cut: its committed records would be
    lost, and after an intended seal the missing file would count as renamed."""
    files, path = OsFiles(), tmp_path / ".usage-1-0001.jsonl.unsealed"
    for _ in range(3):
        files.append(path, b"{}\n")
        files.sync(path)
    kinds = [step.partition(" ")[2].partition(" ")[0] for step in steps]
    assert kinds == ["file", "directory", "file", "file"]


@pytest.mark.skipif(sys.platform != "linux", reason="which directory was fsynced is read from /proc")
def test_a_new_directory_is_synced_in_its_parent(tmp_path: Path, steps: list[str]) -> None:
    open_sink(tmp_path / "a" / "b")
    assert {"fsync directory a", f"fsync directory {tmp_path.name}"} <= set(steps)
