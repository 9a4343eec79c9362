"""A directory is identified by its id file, wherever it is mounted. Files that are being written are left alone."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.adapters.sinks.directory_id import (
    ID_FILE,
    OneDirectory,
    VisibleDirectories,
    ensure_id,
    id_of,
    is_being_written,
)
from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.sealing import hidden
from collector.core.ledger_entries import UnsealedFile
from collector.errors import OutputError

FILES = OsFiles()


def file_in(directory: Path, place: str | None, *, seal_intended: bool = False) -> UnsealedFile:
    return UnsealedFile(
        file_id=1,
        run_id="run-1",
        directory=str(directory),
        name="usage-run-1-0001.jsonl",
        bytes=3,
        records=1,
        seal_intended=seal_intended,
        place=place,
    )


def unsealed(directory: Path) -> Path:
    path = hidden(directory, "usage-run-1-0001.jsonl")
    path.write_bytes(b"{}\n")
    return path


def test_a_directory_gets_an_id_once_and_keeps_it_when_it_is_moved(tmp_path: Path) -> None:
    id_ = ensure_id(FILES, tmp_path / "deeper" / "out")
    assert ensure_id(FILES, tmp_path / "deeper" / "out") == id_ == id_of(FILES, tmp_path / "deeper" / "out")
    (tmp_path / "deeper" / "out").rename(tmp_path / "moved")
    assert id_of(FILES, tmp_path / "moved") == ensure_id(FILES, tmp_path / "moved") == id_
    assert ensure_id(FILES, tmp_path / "deeper" / "out") != id_
    assert [path.name for path in (tmp_path / "moved").iterdir()] == [ID_FILE]


def test_processes_that_create_an_id_at_once_get_the_same(tmp_path: Path) -> None:
    for n in range(20):
        directory = tmp_path / str(n)
        with ThreadPoolExecutor(8) as threads:
            ids = set(threads.map(lambda one: ensure_id(OsFiles(), one), [directory] * 8))
        assert ids == {id_of(FILES, directory)}
        assert [path.name for path in directory.iterdir()] == [ID_FILE]


@pytest.mark.parametrize("content", [b"", b"no id", b"\xff" * 32, b"0" * 33])
def test_an_invalid_id_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ID_FILE).write_bytes(content)
    assert id_of(FILES, tmp_path) is None
    assert ensure_id(FILES, tmp_path) == id_of(FILES, tmp_path)


def test_an_id_can_be_created_on_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert ensure_id(FILES, tmp_path) == id_of(FILES, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [ID_FILE]


def test_a_directory_that_can_t_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"the output directory .*/file/out can't be written: Not a directory"):
        ensure_id(FILES, tmp_path / "file" / "out")


def test_a_file_is_found_at_its_path_only_if_the_directory_has_the_same_id(tmp_path: Path) -> None:
    out, own = tmp_path / "out", tmp_path / "own"
    id_ = ensure_id(FILES, out)
    ensure_id(FILES, own)
    assert VisibleDirectories(FILES, own)(file_in(out, id_)) == out
    assert VisibleDirectories(FILES, None)(file_in(out, id_)) == out
    (out / ID_FILE).unlink()
    assert VisibleDirectories(FILES, own)(file_in(out, id_)) is None  # as if another disk were mounted there
    ensure_id(FILES, out)
    assert VisibleDirectories(FILES, own)(file_in(out, id_)) is None


def test_a_file_is_found_in_our_own_directory_whatever_its_path_was(tmp_path: Path) -> None:
    id_ = ensure_id(FILES, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "own")
    assert VisibleDirectories(FILES, tmp_path / "own")(file_in(tmp_path / "out", id_)) == tmp_path / "own"
    assert VisibleDirectories(FILES, tmp_path / "another")(file_in(tmp_path / "out", id_)) is None


def test_a_file_without_a_directory_id_is_found_at_its_path(tmp_path: Path) -> None:
    assert VisibleDirectories(FILES, tmp_path)(file_in(tmp_path / "gone", None)) == tmp_path / "gone"


def test_a_file_that_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    id_ = ensure_id(FILES, tmp_path)
    path, files = unsealed(tmp_path), OsFiles()
    files.append(path, b"{}\n")
    assert is_being_written(path)
    for find in (VisibleDirectories(FILES, tmp_path), OneDirectory(FILES, tmp_path)):
        assert find(file_in(tmp_path, id_)) is None
    files.rename(path, tmp_path / "sealed")
    (tmp_path / "sealed").rename(path)
    assert not is_being_written(path)
    for find in (VisibleDirectories(FILES, tmp_path), OneDirectory(FILES, tmp_path)):
        assert find(file_in(tmp_path, id_)) == tmp_path


def test_one_directory_has_the_files_of_its_id_and_those_that_it_contains(tmp_path: Path) -> None:
    id_ = ensure_id(FILES, tmp_path)
    elsewhere = Path("/elsewhere")
    within: Callable[[UnsealedFile], Path | None] = OneDirectory(FILES, tmp_path)
    assert within(file_in(elsewhere, id_)) == tmp_path
    assert within(file_in(elsewhere, "another")) is None
    assert within(file_in(elsewhere, None)) is None
    (tmp_path / "usage-run-1-0001.jsonl").touch()
    assert within(file_in(elsewhere, None)) is None
    assert within(file_in(elsewhere, None, seal_intended=True)) == tmp_path  # it was already renamed
    unsealed(tmp_path)
    assert within(file_in(elsewhere, None)) == within(file_in(elsewhere, "another")) == tmp_path


class _Unreadable(OsFiles):
    """What another user sees of files for the owner's group: their names."""

    def read(self, path: Path) -> bytes | None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_an_id_that_this_user_may_not_read_is_not_replaced(tmp_path: Path) -> None:
    id_ = ensure_id(FILES, tmp_path)
    with pytest.raises(OutputError, match=r"can't be written: Permission denied: .*\.collector-output-id \("):
        ensure_id(_Unreadable(), tmp_path)
    assert ensure_id(FILES, tmp_path) == id_


def test_an_id_is_readable_for_the_group_like_the_records(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ensure_id(FILES, tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ID_FILE).stat().st_mode) == 0o640
