"""What becomes of a file whose format is another than JSON Lines, killed at each point of its sealing."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import orjson
import pytest

from collector.adapters.sinks import DirectorySink
from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.jsonl import to_lines
from collector.adapters.sinks.reading import SealedFiles
from collector.adapters.sinks.sealing import Sealing, hidden
from collector.core.layout import Compression, Layout, PartitionKey, RecordFormat
from collector.core.ledger_entries import UnsealedFile
from collector.deliver.recovery import Recovered, recover
from collector.errors import NotRenamedError, OutputError, OutputGoneError
from collector.ports import Ledger, SealedFile
from tests.support.outputs import RUN_ID, records

RECORDS = [record._replace(record_id=str(n)) for n, record in enumerate([*records(3), *records(2, day=40)])]
LINES = to_lines(RECORDS)
LAYOUTS = {
    "csv.gz": Layout(format=RecordFormat.CSV, compression=Compression.GZIP),
    "parquet": Layout(format=RecordFormat.PARQUET),
    "jsonl by month": Layout(partition_by=(PartitionKey.MONTH,)),
    "parquet by month and product": Layout(
        format=RecordFormat.PARQUET, partition_by=(PartitionKey.MONTH, PartitionKey.PRODUCT)
    ),
}


class Killed(BaseException):
    pass


@dataclass
class Dying(OsFiles):
    """Files of a process that is killed behind so many operations."""

    after: int
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def _step(self, what: str) -> None:
        if len(self.done) == self.after:
            raise Killed
        self.done.append(what)

    def create(self, path: Path):  # type: ignore[no-untyped-def]
        self._step("create")
        return super().create(path)

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename")
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._step("remove")
        super().remove(path)

    def sync_names(self, directory: Path) -> None:
        self._step("sync names")
        super().sync_names(directory)


@dataclass
class OneFile:
    """A ledger that knows of one file."""

    file: UnsealedFile
    is_sealed: bool = False
    is_lost: bool = False

    def left_behind(self) -> list[UnsealedFile]:
        return [] if self.is_sealed or self.is_lost else [self.file]

    def take_over(self, _ids: object) -> list[UnsealedFile]:
        return [self.file]

    def intend_seal(self, _id: int) -> None:
        self._intend(intended=True)

    def withdraw_seal(self, _id: int) -> None:
        self._intend(intended=False)

    def _intend(self, *, intended: bool) -> None:
        self.file = UnsealedFile(**{name: getattr(self.file, name) for name in FIELDS} | {"seal_intended": intended})

    def sealed(self, _id: int) -> None:
        self.is_sealed = True

    def lost(self, _id: int) -> int:
        self.is_lost = True
        return 2


FIELDS = ("file_id", "run_id", "directory", "name", "bytes", "records")


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


def opened(directory: Path, layout: Layout, files: OsFiles | None = None) -> DirectorySink:
    sink = DirectorySink.open(directory, run_id=RUN_ID, seal_at=10**9, layout=layout)
    sink._files = files or sink._files
    sink._sealing = Sealing(files=sink._files)
    return sink


def ledger_of(directory: Path, layout: Layout) -> OneFile:
    return OneFile(
        UnsealedFile(
            file_id=1,
            run_id=RUN_ID,
            directory=str(directory),
            name=layout.working_name(RUN_ID, 1),
            bytes=len(LINES),
            records=len(RECORDS),
            seal_intended=False,
        )
    )


def seal(sink: DirectorySink, ledger: OneFile) -> list[SealedFile]:
    """Do as the writer does."""
    files = sink.close_file()
    ledger.intend_seal(1)
    try:
        sink.publish(files)
    except NotRenamedError:
        ledger.withdraw_seal(1)
        raise
    ledger.sealed(1)
    return list(files)


def finish(ledger: OneFile, files: OsFiles | None = None, directory: Path | None = None) -> Recovered:
    return recover(cast("Ledger", ledger), Sealing(files=files or OsFiles()), own=directory)


def delivered(*directories: Path) -> list[str]:
    """Return the records of all sealed files, by id, sorted."""
    found = []
    for directory in directories:
        files = SealedFiles(OsFiles())
        for name in files.names(directory):
            if not name.rpartition("/")[2].startswith((".", "run-")):
                found += [
                    orjson.loads(line)["record_id"] for line in (files.records(directory / name) or b"").splitlines()
                ]
    return sorted(found)


EACH = sorted(record.record_id for record in RECORDS)


def nothing_hidden(directory: Path) -> bool:
    return not list(directory.rglob(".usage-*"))


def steps_of_a_seal(directory: Path, layout: Layout) -> int:
    files = Dying(after=10**9)
    sink = opened(directory, layout, files)
    sink.append(RECORDS)
    seal(sink, ledger_of(directory, layout))
    assert {"create", "rename", "remove", "sync names"} == set(files.done)
    return len(files.done)


@pytest.mark.parametrize("taken", [False, True], ids=["files stay", "readers take them at once"])
def test_killed_at_any_point_of_sealing_and_of_each_recovery_everything_is_delivered_once(
    tmp_path: Path, layout: Layout, taken: bool
) -> None:
    for after in range(steps_of_a_seal(tmp_path / "whole", layout)):
        directory, away = tmp_path / f"{after}", tmp_path / f"away-{after}"
        away.mkdir()
        sink, ledger = opened(directory, layout, Dying(after=after)), ledger_of(directory, layout)
        sink.append(RECORDS)
        with pytest.raises(Killed):
            seal(sink, ledger)
        sink.close()
        for again in range(1, 60):  # the recovery is killed, too: each time one step later
            if taken:
                _take(directory, away, after * 100 + again)
            try:
                finish(ledger, Dying(after=again))
                break
            except Killed:
                continue
        assert ledger.is_sealed
        assert delivered(directory, away) == EACH
        assert nothing_hidden(directory)


def _take(directory: Path, away: Path, number: int) -> None:
    for path in directory.rglob("usage-*"):
        path.rename(away / path.name.replace("-0001.", f"-{number:04}{len(list(away.iterdir())):03}."))


def test_what_was_appended_after_the_last_commit_is_never_in_a_sealed_file(tmp_path: Path, layout: Layout) -> None:
    sink, ledger = opened(tmp_path, layout), ledger_of(tmp_path, layout)
    sink.append([*RECORDS, *(record._replace(record_id=f"{n} again") for n, record in enumerate(records(2, day=70)))])
    sink.close_file()  # and is killed before the intent: what is staged has too much
    sink.close()
    recovered = finish(ledger)
    assert [file.name for file in recovered.sealed] == [ledger.file.name]
    assert delivered(tmp_path) == EACH
    assert nothing_hidden(tmp_path)


def test_a_restored_ledger_that_has_not_intended_it_finishes_what_began_to_be_sealed(
    tmp_path: Path, layout: Layout
) -> None:
    sink, ledger = opened(tmp_path, layout, Dying(after=10**9)), ledger_of(tmp_path, layout)
    sink.append(RECORDS)
    files = sink.close_file()
    sink._sealing = Sealing(files=Dying(after=1))
    with pytest.raises(Killed):
        sink.publish(files)
    sink.close()
    recovered = finish(ledger)  # the intent is in the ledger that was replaced
    assert [file.name for file in recovered.ahead] == [ledger.file.name]
    assert delivered(tmp_path) == EACH
    assert nothing_hidden(tmp_path)


def test_a_working_file_that_is_gone_is_lost_with_what_is_staged_of_it(tmp_path: Path, layout: Layout) -> None:
    sink, ledger = opened(tmp_path, layout), ledger_of(tmp_path, layout)
    sink.append(RECORDS)
    sink.close_file()
    hidden(tmp_path, ledger.file.name).unlink()
    finish(ledger)
    assert ledger.is_lost
    assert delivered(tmp_path) == []
    assert nothing_hidden(tmp_path)


@dataclass
class Refusing(OsFiles):
    """Files on a disk that refuses the n-th rename, or each rename behind it too."""

    nth: int
    renames: int = 0
    gone: Path | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def rename(self, old: Path, new: Path) -> None:
        self.renames += 1
        if self.renames >= self.nth:
            if self.gone is not None:
                old.parents[len(old.relative_to(self.gone).parts) - 1].rename(self.gone.with_name("moved away"))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().rename(old, new)


def test_a_seal_of_which_nothing_was_renamed_takes_its_intent_back_and_the_next_run_makes_it_again(
    tmp_path: Path, layout: Layout
) -> None:
    sink, ledger = opened(tmp_path, layout, Refusing(nth=1)), ledger_of(tmp_path, layout)
    sink.append(RECORDS)
    with pytest.raises(NotRenamedError, match="No space left"):
        seal(sink, ledger)
    assert not ledger.file.seal_intended
    with pytest.raises(OutputError, match="No space left"):
        finish(ledger, Refusing(nth=1), tmp_path)
    assert not ledger.file.seal_intended
    finish(ledger)
    assert delivered(tmp_path) == EACH


def test_a_seal_of_which_something_was_renamed_keeps_its_intent_and_the_next_run_goes_on(tmp_path: Path) -> None:
    layout = LAYOUTS["parquet by month and product"]
    sink, ledger = opened(tmp_path, layout, Refusing(nth=3)), ledger_of(tmp_path, layout)
    sink.append(RECORDS)
    with pytest.raises(OutputError) as failure:
        seal(sink, ledger)
    assert not isinstance(failure.value, NotRenamedError)
    assert ledger.file.seal_intended
    assert len(delivered(tmp_path)) == 2
    with pytest.raises(OutputError, match="No space left"):
        finish(ledger, Refusing(nth=1), tmp_path)
    assert ledger.file.seal_intended
    finish(ledger)
    assert delivered(tmp_path) == EACH
    assert nothing_hidden(tmp_path)


def test_a_directory_that_is_moved_away_while_it_is_sealed_loses_nothing(tmp_path: Path, layout: Layout) -> None:
    out = tmp_path / "out"
    sink, ledger = opened(out, layout, Refusing(nth=1, gone=out)), ledger_of(out, layout)
    sink.append(RECORDS)
    with pytest.raises(OutputGoneError):
        seal(sink, ledger)
    assert not ledger.file.seal_intended
    finish(ledger)
    out.mkdir()
    finish(ledger)
    assert ledger.is_lost  # so its slices are fetched again


def test_a_conversion_that_fails_leaves_the_lines_and_nothing_else(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, ledger = opened(tmp_path, layout), ledger_of(tmp_path, layout)
    sink.append(RECORDS)
    written = os.fsync

    def full(descriptor: int) -> None:
        if ".staged" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left"):
            seal(sink, ledger)
    assert [path.name for path in tmp_path.rglob(".usage-*")] == [hidden(tmp_path, ledger.file.name).name]
    sink.close()
    finish(ledger)
    assert delivered(tmp_path) == EACH


def test_a_file_elsewhere_that_cannot_be_converted_keeps_nobody_from_collecting_and_one_in_our_own_does(
    tmp_path: Path, layout: Layout
) -> None:
    ledger = ledger_of(tmp_path, layout)
    changed = hidden(tmp_path, ledger.file.name)
    changed.write_bytes(b"x" * (len(LINES) - 1) + b"\n")
    assert finish(ledger).awaited == [ledger.file]
    with pytest.raises(OutputError, match=r"can't be sealed: the unsealed file has a line that is no record"):
        finish(ledger, directory=tmp_path)
    changed.unlink()
    finish(ledger)
    assert ledger.is_lost


def test_without_a_ledger_a_seal_that_fails_leaves_nothing_hidden(tmp_path: Path, layout: Layout) -> None:
    sink = opened(tmp_path, layout, Refusing(nth=1))
    sink.append(RECORDS)
    with pytest.raises(NotRenamedError):
        sink.publish(sink.close_file())
    sink.discard()
    assert nothing_hidden(tmp_path)


def test_what_is_staged_of_no_working_file_is_removed_and_of_another_one_stays(tmp_path: Path, layout: Layout) -> None:
    sink = opened(tmp_path, layout)
    sink.append(RECORDS)
    sink.close_file()
    opened(tmp_path, layout)
    assert len([*tmp_path.rglob(".usage-*.staged")]) == {0: 1, 1: 2, 2: 5}[len(layout.partition_by)]
    hidden(tmp_path, layout.working_name(RUN_ID, 1)).unlink()
    opened(tmp_path, layout)
    assert not [*tmp_path.rglob(".usage-*.staged")]


def test_the_lines_stay_locked_until_all_is_renamed(tmp_path: Path, layout: Layout) -> None:
    from collector.adapters.sinks.directory_id import is_being_written  # noqa: PLC0415

    sink = opened(tmp_path, layout)
    sink.append(RECORDS)
    files = sink.close_file()
    assert is_being_written(hidden(tmp_path, layout.working_name(RUN_ID, 1)))
    sink.publish(files)
    assert sorted(file.name for file in files) == sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("usage-*")
    )
