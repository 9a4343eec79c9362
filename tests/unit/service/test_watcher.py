"""Whether files have changed, as mounts and editors change them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.service.watcher import Watcher, fingerprint


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


def test_nothing_new_is_nothing_to_load(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    watcher.loaded(fingerprint([tmp_path / "a"]))
    assert not watcher.changed(fingerprint([tmp_path / "a"]))


def rewrite(file: Path) -> None:
    file.write_text("22")


def replace(file: Path) -> None:
    other = file.with_name("c")
    other.write_text("2")
    other.replace(file)


def create_another(file: Path) -> None:
    file.with_name("b").write_text("2")


@pytest.mark.parametrize("change", [rewrite, replace, create_another, Path.unlink])
def test_a_file_that_changes_in_whatever_way_is_told_once_it_is_at_rest(
    watcher: Watcher, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    files[0].write_text("1")
    watcher.loaded(fingerprint(files))
    change(files[0])
    assert not watcher.changed(fingerprint(files))  # it may be in the middle of being written
    assert watcher.changed(fingerprint(files))
    watcher.loaded(fingerprint(files))
    assert not watcher.changed(fingerprint(files))


def test_the_symlink_that_kubernetes_swaps_is_seen(watcher: Watcher, tmp_path: Path) -> None:
    for version in ("..2026_1", "..2026_2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "key").write_text("same size")
        os.utime(tmp_path / version / "key", ns=(1, 1))
    (tmp_path / "..data").symlink_to("..2026_1")
    (tmp_path / "key").symlink_to("..data/key")
    watcher.loaded(fingerprint([tmp_path / "key"]))
    (tmp_path / "..new").symlink_to("..2026_2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    watcher.changed(fingerprint([tmp_path / "key"]))
    assert watcher.changed(fingerprint([tmp_path / "key"]))
