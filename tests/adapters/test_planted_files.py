"""Files that another user has put into the output directory under names of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collector.adapters.sinks.files import OsFiles


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    file = tmp_path / "victim"
    file.write_bytes(b"not ours")
    return file


def test_a_link_is_neither_appended_to_nor_cut_nor_taken_for_our_file(tmp_path: Path, victim: Path) -> None:
    planted = tmp_path / ".usage.unsealed"
    planted.symlink_to(victim)
    files = OsFiles()
    assert files.size(planted) is None
    with pytest.raises(OSError, match="symbolic links"):
        files.append(planted, b"records")
    with pytest.raises(OSError, match="symbolic links"):
        files.truncate(planted, 3)
    files.remove(planted)
    assert victim.read_bytes() == b"not ours"


def test_a_link_to_nothing_creates_no_file(tmp_path: Path) -> None:
    planted = tmp_path / ".usage.unsealed"
    planted.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="symbolic links"):
        OsFiles().append(planted, b"records")
    assert not (tmp_path / "nowhere").exists()


def test_a_pipe_is_no_file_of_records_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "usage-x-0001.jsonl")
    assert OsFiles().read(tmp_path / "usage-x-0001.jsonl") is None
