"""New files: all or none, for their owner only, and never in place of another."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from collector.adapters.new_files import write_new_files


def left(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def no_links(source: Path, target: Path) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))


@pytest.fixture(params=["links", "no links"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on a file system with hard links, or without as some network mounts."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", no_links)
    return tmp_path


def test_files_and_their_directories_are_created(home: Path) -> None:
    before = os.umask(0)
    try:
        write_new_files({home / "a/secret": "s\n", home / "c.yaml": "ü\n"})
    finally:
        os.umask(before)
    assert left(home) == ["a", "a/secret", "c.yaml"]
    assert [(home / name).read_bytes() for name in ("a/secret", "c.yaml")] == [b"s\n", "ü\n".encode()]
    assert {stat.S_IMODE((home / name).stat().st_mode) for name in ("a/secret", "c.yaml")} == {0o600}


@pytest.mark.parametrize("there", ["file", "link"])
def test_where_something_is_nothing_is_created(there: str, home: Path) -> None:
    if there == "file":
        (home / "c.yaml").write_text("mine")
    else:
        (home / "c.yaml").symlink_to("nowhere")
    with pytest.raises(FileExistsError, match=r"c\.yaml'$"):
        write_new_files({home / "a/b/secret": "s\n", home / "c.yaml": "x\n"})
    assert left(home) == ["c.yaml"]
    assert there == "link" or (home / "c.yaml").read_text() == "mine"


@pytest.mark.parametrize("at", range(1, 5))
def test_ctrl_c_leaves_no_file(at: int, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []

    def sync(descriptor: int) -> None:
        syncs.append(descriptor)
        if len(syncs) == at:  # a file, its directory, and so on
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(KeyboardInterrupt):
        write_new_files({home / "a/secret": "s\n", home / "b/c.yaml": "x\n"})
    assert left(home) == []
