"""What becomes of a file whose seal was booked, by what is left of it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.sealing import Sealing, hidden
from collector.core.ledger_entries import UnsealedFile
from collector.deliver.recovery import Recovered, recover
from collector.errors import OutputError
from collector.ports import Ledger

LINES = b'{"n": 1}\n{"n": 2}\n'


@dataclass
class OneFile:
    """A ledger that knows of one file, whose seal is booked."""

    file: UnsealedFile
    told: list[str] = field(default_factory=list)

    def left_behind(self) -> list[UnsealedFile]:
        return [self.file]

    def take_over(self, _ids: object) -> list[UnsealedFile]:
        return [self.file]

    def intend_seal(self, _id: int) -> None:
        self.told.append("intend")

    def sealed(self, _id: int) -> None:
        self.told.append("sealed")

    def lost(self, _id: int) -> int:
        self.told.append("lost")
        return 2


@pytest.fixture
def ledger(tmp_path: Path) -> OneFile:
    return OneFile(
        UnsealedFile(
            file_id=1,
            run_id="r",
            directory=str(tmp_path),
            name="usage-r-0001.jsonl",
            bytes=len(LINES),
            records=2,
            seal_intended=True,
        )
    )


def finish(ledger: OneFile, own: Path | None = None) -> Recovered:
    return recover(cast("Ledger", ledger), Sealing(files=OsFiles()), own=own)


def test_one_that_is_whole_is_renamed(ledger: OneFile, tmp_path: Path) -> None:
    hidden(tmp_path, ledger.file.name).write_bytes(LINES)
    finish(ledger)
    assert (tmp_path / ledger.file.name).read_bytes() == LINES
    assert ledger.told[-1] == "sealed"


def test_one_that_is_gone_was_renamed(ledger: OneFile) -> None:
    finish(ledger)
    assert ledger.told == ["sealed"]


def test_one_in_a_directory_that_is_not_there_is_awaited_and_never_taken_for_renamed(
    ledger: OneFile, tmp_path: Path
) -> None:
    gone = replace(ledger.file, directory=str(tmp_path / "not mounted"))
    ledger.file = gone
    assert finish(ledger).awaited == [gone]
    assert ledger.told == []


def test_one_elsewhere_that_cannot_be_sealed_keeps_nobody_from_collecting_and_one_in_our_own_does(
    ledger: OneFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(OsFiles, "truncate", refuse)
    hidden(tmp_path, ledger.file.name).write_bytes(LINES)
    assert finish(ledger).awaited == [ledger.file]
    with pytest.raises(OutputError, match="Read-only file system"):
        finish(ledger, own=tmp_path)


def test_one_that_someone_has_cut_is_lost_and_never_sealed(ledger: OneFile, tmp_path: Path) -> None:
    hidden(tmp_path, ledger.file.name).write_bytes(LINES[:12])
    finish(ledger)
    assert ledger.told == ["lost"]
    assert not (tmp_path / ledger.file.name).exists()
