"""A file that is written anew: the whole of it or what was there before, whatever happens."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.replaced_files import refuse_as_file, replacing
from collector.cli.export_output import Destination, write_table
from collector.core.columns import Column, Kind, Row
from collector.errors import ConfigError, OutputError

COLUMNS = [Column("n", Kind.INTEGER)]


@pytest.mark.parametrize("name", ["usage.csv", "usage.jsonl", "usage.parquet", "usage.xlsx"])
def test_rows_that_fail_leave_what_was_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("before")

    def rows() -> Iterator[Row]:
        yield from ((n,) for n in range(3000))
        assert [one.name for one in tmp_path.iterdir() if not one.name.startswith(".")] == [name]
        assert path.read_text() == "before"
        raise ConfigError("no more")

    with pytest.raises(ConfigError):
        write_table(Destination.of(None, str(path), at_terminal=False), COLUMNS, rows())
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert path.read_text() == "before"


def test_a_file_is_replaced_as_a_whole_and_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "real.csv", tmp_path / "link.csv"
    target.write_text("before")
    link.symlink_to(target)
    with replacing(link) as stream:
        stream.write(b"after")
        assert target.read_text() == "before"
    assert (target.read_text(), link.is_symlink()) == ("after", True)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_a_full_disk_is_an_error_that_names_the_file() -> None:
    with (
        pytest.raises(OutputError, match=r"/dev/nowhere/usage.csv can't be written: No such file"),
        replacing(Path("/dev/nowhere/usage.csv")),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere/usage.csv", "nowhere is not an existing directory"),
        (".", "is a directory"),
        ("pipe", "no regular|not a regular"),
        ("x" * 256, "File name too long"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, why: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=why):
        refuse_as_file(tmp_path / name)


@pytest.mark.parametrize("name", ["x" * 255, "x" + "ä" * 127])
def test_the_longest_name_can_be_written(tmp_path: Path, name: str) -> None:
    refuse_as_file(tmp_path / name)
    with replacing(tmp_path / name) as stream:
        stream.write(b"whole")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(name, "whole")]
