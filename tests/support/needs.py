"""What tests need of the machine: programs beside Python, and ports.

A test whose program is missing is left out with a message that names it. Where CI is set it fails: CI has all of them.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

import pytest

# Below the ports that Linux gives to connections: those could get a port between its choice and the server's start.
_PORTS = range(15_000, 32_000)
_LOCKS = Path(tempfile.gettempdir(), f"collector-tests-ports-{os.getuid()}")
_reserved: list[IO[str]] = []


def need(*programs: str | Path, package: str) -> None:
    """Leave the test out where a program isn't installed; `package` is Debian's."""
    missing = [str(program) for program in programs if shutil.which(program) is None]
    if missing:
        left_out(f"{', '.join(missing)} isn't installed (Debian's package {package})")


def left_out(why: str) -> NoReturn:
    """Skip the test, or fail it where all has to be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{why}, and CI needs it")
    pytest.skip(why)


def free_port() -> int:
    """Return a port of loopback that is nobody's, and that no other test is given while this process lives."""
    return next(port for port in _candidates() if _reserve(port))


def _candidates() -> Iterator[int]:
    first = os.getpid() * 37 % len(_PORTS)
    return itertools.chain(_PORTS[first:], _PORTS[:first])


def _reserve(port: int) -> bool:
    _LOCKS.mkdir(exist_ok=True)
    lock = (_LOCKS / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
    except OSError:
        lock.close()
        return False
    _reserved.append(lock)
    return True
