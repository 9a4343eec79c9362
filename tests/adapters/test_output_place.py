"""A directory is known again by the id that it carries, wherever it is mounted; what is being written is left alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.adapters.sinks.directory import hidden
from collector.adapters.sinks.directory_id import ID_FILE, Whereabouts, Within, id_of, is_being_written, mark
from collector.adapters.sinks.files import OsFiles
from collector.core.ledger_entries import UnsealedFile
from collector.errors import OutputError


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


def test_a_directory_gets_an_id_once_and_keeps_it_wherever_it_is_moved(tmp_path: Path) -> None:
    id_ = mark(tmp_path / "deeper" / "out")
    assert mark(tmp_path / "deeper" / "out") == id_ == id_of(tmp_path / "deeper" / "out")
    (tmp_path / "deeper" / "out").rename(tmp_path / "moved")
    assert id_of(tmp_path / "moved") == mark(tmp_path / "moved") == id_
    assert mark(tmp_path / "deeper" / "out") != id_
    assert [path.name for path in (tmp_path / "moved").iterdir()] == [ID_FILE]


def test_processes_that_mark_a_directory_at_once_agree(tmp_path: Path) -> None:
    for n in range(20):
        directory = tmp_path / str(n)
        with ThreadPoolExecutor(8) as threads:
            ids = set(threads.map(mark, [directory] * 8))
        assert ids == {id_of(directory)}
        assert [path.name for path in directory.iterdir()] == [ID_FILE]


@pytest.mark.parametrize("content", [b"", b"no id", b"\xff" * 32, b"0" * 33])
def test_what_is_no_id_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ID_FILE).write_bytes(content)
    assert id_of(tmp_path) is None
    assert mark(tmp_path) == id_of(tmp_path)


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert mark(tmp_path) == id_of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [ID_FILE]


def test_a_directory_that_can_t_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"the output directory .*/file/out can't be written: Not a directory"):
        mark(tmp_path / "file" / "out")


def test_a_file_is_found_where_it_was_written_while_that_is_the_same_directory(tmp_path: Path) -> None:
    out, own = tmp_path / "out", tmp_path / "own"
    id_ = mark(out)
    mark(own)
    assert Whereabouts(own)(file_in(out, id_)) == out
    assert Whereabouts(None)(file_in(out, id_)) == out
    (out / ID_FILE).unlink()
    assert Whereabouts(own)(file_in(out, id_)) is None  # another disk is mounted there
    mark(out)
    assert Whereabouts(own)(file_in(out, id_)) is None


def test_a_file_is_found_in_our_own_directory_under_whatever_path_it_was_written(tmp_path: Path) -> None:
    id_ = mark(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "own")
    assert Whereabouts(tmp_path / "own")(file_in(tmp_path / "out", id_)) == tmp_path / "own"
    assert Whereabouts(tmp_path / "another")(file_in(tmp_path / "out", id_)) is None


def test_a_file_whose_directory_has_no_id_lies_at_its_path(tmp_path: Path) -> None:
    assert Whereabouts(tmp_path)(file_in(tmp_path / "gone", None)) == tmp_path / "gone"


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    id_ = mark(tmp_path)
    path, files = unsealed(tmp_path), OsFiles()
    files.append(path, b"{}\n")
    assert is_being_written(path)
    for find in (Whereabouts(tmp_path), Within(tmp_path)):
        assert find(file_in(tmp_path, id_)) is None
    files.rename(path, tmp_path / "sealed")
    (tmp_path / "sealed").rename(path)
    assert not is_being_written(path)
    for find in (Whereabouts(tmp_path), Within(tmp_path)):
        assert find(file_in(tmp_path, id_)) == tmp_path


def test_within_a_directory_are_the_files_of_its_id_and_those_that_are_there(tmp_path: Path) -> None:
    id_ = mark(tmp_path)
    elsewhere = Path("/elsewhere")
    within: Callable[[UnsealedFile], Path | None] = Within(tmp_path)
    assert within(file_in(elsewhere, id_)) == tmp_path
    assert within(file_in(elsewhere, "another")) is None
    assert within(file_in(elsewhere, None)) is None
    (tmp_path / "usage-run-1-0001.jsonl").touch()
    assert within(file_in(elsewhere, None)) is None
    assert within(file_in(elsewhere, None, seal_intended=True)) == tmp_path  # it was renamed
    unsealed(tmp_path)
    assert within(file_in(elsewhere, None)) == within(file_in(elsewhere, "another")) == tmp_path


def test_an_id_is_readable_for_whoever_recovers_the_directory(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        mark(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ID_FILE).stat().st_mode) == 0o644
