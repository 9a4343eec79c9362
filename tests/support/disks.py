"""Real file systems that are small."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk_at(disk: Path, size: str) -> Iterator[Path]:
    """A tmpfs of that size, where mounting is permitted; else the test is skipped."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk takes root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def grow(disk: Path, size: str) -> None:
    """Give a small disk more room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@contextmanager
def read_only(directory: Path, at: Path) -> Iterator[Path]:
    """A directory, mounted read-only at another path, where mounting is permitted; else the test is skipped."""
    at.mkdir()
    for arguments in (["--bind", str(directory), str(at)], ["-o", "remount,bind,ro", str(at)]):
        if subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode:
            pytest.skip("mounting takes root")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)
