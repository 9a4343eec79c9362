"""Commands without Python's start, which takes longer than most of what a test lets them do.

A process that has imported everything forks for each command. The fork has the descriptors, the directory and the
environment that a started process would have; it runs `collector` as `python -m` does, and ends as Python ends. It is a
child of the test's own process, so that `Popen` works as always. What Python or a library reads only while it starts
can't be had by a fork: such a command, and anything but `python -m collector`, is really started.
"""

from __future__ import annotations

import atexit
import codecs
import ctypes
import functools
import gc
import importlib
import inspect
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COLLECTOR = [sys.executable, "-m", "collector"]
_ROOT = Path(__file__).parents[2]
_POPEN = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
_LONGEST = 1 << 20
_AT_THE_START = (  # what is read while Python starts, or while libraries are imported
    *("PYTHON", "LANG", "LC_", "TZ", "LD_", "MALLOC_", "SSL", "OPENSSL_", "NO_COLOR", "FORCE_COLOR"),
    *("AIOHTTP_", "MULTIDICT_", "YARL_", "FROZENLIST_", "PROPCACHE_", "PYDANTIC_", "PSYCOPG_", "DISABLE_SQLALCHEMY"),
)
_COVERAGE = "COVERAGE_"
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>
_CODECS = ("ascii", "idna", "latin_1", "utf_8_sig", "unicode_escape")
_ENV = "collector.ledger.migrations.env"  # runs within Alembic only


class Command(subprocess.Popen[str]):
    """A process that may be a fork; all else is Popen's."""

    def _execute_child(self, *given: Any) -> None:
        order = _POPEN.bind(self, *given).arguments
        env = os.environ if order["env"] is None else order["env"]
        unusual = order["pass_fds"] or order["preexec_fn"] or order["start_new_session"] or order["umask"] >= 0
        if order["args"][:3] != COLLECTOR or unusual or not _forks().can_become(env):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        theirs = (order["p2cread"], order["c2pwrite"], order["errwrite"])
        self.pid = _forks().fork(
            {"args": order["args"][3:], "cwd": str(order["cwd"] or Path.cwd()), "env": dict(env)},
            [ours if fd == -1 else fd for ours, fd in enumerate(theirs)],
        )
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(order[pipe] for pipe in pipes))  # type: ignore[attr-defined]


class _Forks:
    """The process that forks, as seen by the test's own; there is one of them, until the latter ends."""

    def __init__(self) -> None:
        self._env = {
            name: value for name, value in os.environ.items() if not name.startswith(("COLLECTOR_", _COVERAGE))
        }
        self._one_at_a_time = threading.Lock()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # What the fork of a fork leaves becomes a child of ours.
            if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")
            command = [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, cwd=_ROOT, env=self._env, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        atexit.register(self._end)

    def can_become(self, env: Mapping[str, str]) -> bool:
        """Say whether a fork would be as a process that was started in an environment."""
        different = (name for name, _ in self._env.items() ^ env.items())
        return not any(name.startswith(_AT_THE_START) for name in different)

    def fork(self, order: Mapping[str, Any], descriptors: list[int]) -> int:
        """Let a command begin; return its process id."""
        with self._one_at_a_time:
            socket.send_fds(self._orders, [json.dumps(order).encode()], descriptors)
            return int(self._orders.recv(_LONGEST))

    def _end(self) -> None:
        self._orders.close()
        self._process.wait()


_forks = functools.cache(_Forks)


def import_everything() -> None:
    """Import what any command does."""
    import collector  # noqa: PLC0415 - not in the test's own process
    from collector.adapters.clock import SystemClock  # noqa: PLC0415
    from collector.ledger import SqlLedger  # noqa: PLC0415

    for module in pkgutil.walk_packages(collector.__path__, "collector."):
        if module.name not in {_ENV, "collector.__main__"}:
            importlib.import_module(module.name)
    for codec in _CODECS:
        codecs.lookup(codec)
    with tempfile.TemporaryDirectory() as directory:  # making a ledger loads the rest
        SqlLedger.open(f"sqlite:///{directory}/ledger.db", command="", now=SystemClock().now).close()


def main(orders: socket.socket) -> None:
    """Fork for each order, and return when there will be none; a fork runs its command, and returns too."""
    on_ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_everything()
    gc.collect()
    gc.freeze()  # else each fork would look through all of it, and so copy it
    assert threading.active_count() == 1
    while True:
        text, descriptors, _, _ = socket.recv_fds(orders, _LONGEST, 3)
        if not text:
            return
        if (pid := _fork_orphan()) is None:
            break
        for descriptor in descriptors:
            os.close(descriptor)
        orders.send(str(pid).encode())
    os.close(orders.detach())
    signal.signal(signal.SIGINT, on_ctrl_c)
    _become(json.loads(text), descriptors)
    runpy.run_module("collector", run_name="__main__", alter_sys=True)


def _fork_orphan() -> int | None:
    """Fork a process that is no child of this one; return its id, and None in it."""
    reading, writing = os.pipe()
    if (between := os.fork()) == 0:
        if (pid := os.fork()) == 0:
            return None
        os.write(writing, str(pid).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(between, 0)
    with os.fdopen(reading) as pipe:
        return int(pipe.read(20))


def _become(order: Mapping[str, Any], descriptors: list[int]) -> None:
    """Make of this process what Python's start would have made."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, 256)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.path[0] = order["cwd"]
    sys.argv[1:] = order["args"]
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        former = getattr(sys, name)
        buffering = 1 if name == "stderr" else -1  # by lines; else only on a terminal
        kept = {"encoding": former.encoding, "errors": former.errors}
        stream = os.fdopen(number, mode, buffering, newline="\n", closefd=False, **kept)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if any(name.startswith(_COVERAGE) for name in os.environ):
        from coverage import process_startup  # noqa: PLC0415

        process_startup()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
