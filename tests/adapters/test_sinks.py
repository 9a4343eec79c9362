"""Records in a directory: what readers see and when, and what remains after a disk error."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.adapters.sinks import DirectorySink
from collector.adapters.sinks.directory import JOURNAL
from collector.adapters.sinks.directory_id import ID_FILE, ensure_id
from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.jsonl import to_lines
from collector.errors import OutputError
from collector.model import Granularity, Population, Quality, Record
from collector.ports import SealedFile
from tests.support.commands import unmeasured
from tests.support.disks import small_disk_at

RUN_ID = "20260624T102000Z-abc123"
LINE = 500  # bytes that a record takes, roughly


def records(n: int, day: int = 0) -> list[Record]:
    start = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=day)
    return [
        Record(
            record_id=f"{day}-{i}",
            revision=1,
            org="acme",
            org_id="12345",
            org_name="Acme — ünïcode",
            labels={"cost_center": "qa-platform", "team": "a team with quite a long name"},
            population=Population.ACCOUNT_USER,
            product=f"product-{i}",
            granularity=Granularity.DAY,
            timezone="UTC",
            window_date=start.date(),
            window_start=start,
            window_end=start + timedelta(days=1),
            total_tests=i,
            total_duration=1000 * i,
            total_screenshots=None,
            org_users=3,
            quality=Quality.MEASURED,
            anomalies=[],
            collected_at=start + timedelta(days=1, hours=10),
            run_id=RUN_ID,
        )
        for i in range(n)
    ]


@dataclass
class Output:
    """Drives a sink as the writer does: it seals the file whenever it is full."""

    sink: DirectorySink
    sealed: list[SealedFile] = field(default_factory=list)

    def write(self, batch: list[Record]) -> None:
        self.sink.append(batch)
        if self.sink.full:
            self.seal()

    def seal(self) -> tuple[SealedFile, ...]:
        """Seal the open file, and return all files that this run sealed."""
        if (file := self.sink.close_file()) is not None:
            self.sink.publish(file)
            self.sealed.append(file)
        return tuple(self.sealed)

    def discard(self) -> None:
        self.sink.discard()

    def finish(self, manifest: bytes) -> None:
        self.sink.write_manifest(manifest)


def open_sink(directory: Path, *, run_id: str = RUN_ID, seal_at: int = 10**9) -> Output:
    return Output(DirectorySink.open(directory, run_id=run_id, seal_at=seal_at))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


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


# --- disk errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("below", "message"), [(".", "is a file: name a directory"), ("deeper/still", "can't be written: Not a directory")]
)
def test_a_path_that_is_a_file_is_an_error_when_the_sink_is_opened(tmp_path: Path, below: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file" / below
    with pytest.raises(OutputError, match=message):
        open_sink(directory)


def test_a_read_only_directory_is_an_error_when_the_sink_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)  # tests may run as root, who may write everywhere
    with pytest.raises(OutputError) as caught:
        open_sink(tmp_path)
    assert str(caught.value) == f"the output directory {tmp_path} can't be written: Permission denied"
    assert names(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    with small_disk_at(tmp_path / "disk", "64k") as disk:
        yield disk


def fill(sink: Output) -> None:
    for day in range(1000):
        sink.write(records(10, day))


def test_a_full_disk_is_reported_and_sealed_files_stay(small_disk: Path) -> None:
    sink = open_sink(small_disk, seal_at=16_000)
    with pytest.raises(OutputError) as caught:
        fill(sink)
    assert str(caught.value) == f"the output directory {small_disk} can't be written: No space left on device"
    sink.discard()
    sealed = sink.seal()
    assert len(sealed) >= 2
    assert names(small_disk) == [file.name for file in sealed]
    for file in sealed:
        assert hashlib.sha256((small_disk / file.name).read_bytes()).hexdigest() == file.sha256
    sink.finish(b"{}")
    assert names(small_disk) == [f"run-{RUN_ID}.json", *(file.name for file in sealed)]


def test_a_manifest_that_does_not_fit_on_the_disk_leaves_no_file(small_disk: Path) -> None:
    sink = open_sink(small_disk)
    sink.write(records(10))
    (sealed,) = sink.seal()
    with pytest.raises(OutputError, match="No space left on device"):
        sink.finish(bytes(128 * 1024))
    sink.discard()
    assert names(small_disk) == [sealed.name]


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_seal_that_fails_publishes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    sink = open_sink(tmp_path, seal_at=5 * LINE)
    sink.write(records(10, 0))
    sink.write(records(1, 1))

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, step, refuse)
        with pytest.raises(OutputError, match="Input/output error"):
            sink.seal()
    sink.discard()
    visible = [name for name in names(tmp_path) if not name.startswith(".")]
    assert visible == [file.name for file in sink.seal()] == [f"usage-{RUN_ID}-0001.jsonl"]


FILE_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
from tests.adapters.test_sinks import fill, names, open_sink
from collector.errors import OutputError

sink = open_sink(Path(sys.argv[1]), seal_at=10**9)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    fill(sink)
except OutputError as error:
    print(error)
sink.discard()
print(names(Path(sys.argv[1])), sink.seal())
"""


def test_a_limit_on_file_size_is_reported_like_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILE_SIZE_LIMIT, str(tmp_path)],
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"the output directory {tmp_path} can't be written: File too large\n[] ()\n"
