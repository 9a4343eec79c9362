"""Hidden files that killed runs leave in the output directory besides records: the next run removes them."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from collector.adapters.sinks import DirectorySink
from collector.adapters.sinks.files import OsFiles

LEFT = [".probe-20261101T000000Z-abcdef.unsealed", ".probed-20261101T000000Z-abcdef.unsealed",
        ".run-20261101T000000Z-abcdef.json.unsealed", ".collector-output-id-0a1b2c3d.unsealed",
        ".sorted-ab_c12de.unsealed"]  # fmt: skip


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("name", LEFT)
def test_the_next_run_removes_what_a_killed_one_left_besides_records(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    DirectorySink.open(tmp_path, run_id="20261126T000000Z-abc123", seal_at=10**9)
    assert names(tmp_path) == []


def test_what_another_process_has_open_stays(tmp_path: Path) -> None:
    other = OsFiles()
    for name in LEFT:
        other.append(tmp_path / name, b"{}")
        DirectorySink.open(tmp_path, run_id="20261126T000000Z-abc123", seal_at=10**9)
        assert names(tmp_path) == [name]
        other.remove(tmp_path / name)


@pytest.mark.parametrize("name", [".usage-20261101T000000Z-abcdef-0001.jsonl.unsealed", ".run.unsealed", "run-x.json"])
def test_nothing_else_is_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    DirectorySink.open(tmp_path, run_id="20261126T000000Z-abc123", seal_at=10**9)
    assert names(tmp_path) == [name]


def test_nothing_is_removed_where_no_lock_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / LEFT[0]).touch()
    monkeypatch.setattr(fcntl, "flock", unsupported)
    DirectorySink.open(tmp_path, run_id="20261126T000000Z-abc123", seal_at=10**9)
    assert names(tmp_path) == LEFT[:1]
