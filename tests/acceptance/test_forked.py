"""A command that is a fork (tests/support/forked.py) is as one that was really started."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import COLLECTOR, environment
from tests.support.forked import Command

Kind = type[subprocess.Popen[str]]
KINDS: list[Kind] = [subprocess.Popen, Command]
SIMULATE = ["simulate", "--port", "0"]


@contextmanager
def running(kind: Kind, *args: str, cwd: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with kind(
        [*COLLECTOR, *args], cwd=cwd, env=environment(**env), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        yield process


def is_fork(process: subprocess.Popen[str]) -> bool:
    return b"tests.support.forked" in Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_it_has_the_same_directory_limits_signals_and_descriptors(tmp_path: Path) -> None:
    def facts(kind: Kind) -> object:
        with running(kind, *SIMULATE, cwd=tmp_path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert is_fork(process) is (kind is Command)
            proc = Path(f"/proc/{process.pid}")
            status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
            told = {name: status[name] for name in ("PPid", "Umask", "SigBlk", "SigIgn", "SigCgt", "Threads", "Groups")}
            opened = {fd.name: str(fd.readlink()).split(":")[0] for fd in (proc / "fd").iterdir()}
            limits, cwd = (proc / "limits").read_text(), (proc / "cwd").readlink()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            return told, opened, limits, cwd, process.returncode

    real, forked = map(facts, KINDS)
    assert forked == real


@pytest.mark.parametrize("args", [["--version"], ["nonsense"], ["schema", "record"], ["plan", "-c", "nowhere.yaml"]])
def test_it_says_the_same_and_ends_the_same(args: list[str], tmp_path: Path) -> None:
    def ending(kind: Kind) -> object:
        with running(kind, *args, cwd=tmp_path, COLUMNS="70") as process:
            return process.communicate(timeout=60), process.returncode

    real, forked = map(ending, KINDS)
    assert forked == real


def test_a_signal_is_what_it_ended_by(tmp_path: Path) -> None:
    with running(Command, *SIMULATE, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        assert process.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("name", ["PYTHONTZPATH", "SSLKEYLOGFILE", "TZ", "LC_ALL", "NO_COLOR"])
def test_what_is_read_while_python_starts_needs_a_real_start(name: str, tmp_path: Path) -> None:
    with running(Command, "--version", cwd=tmp_path, **{name: "C"}) as process:
        assert not is_fork(process)
        process.communicate(timeout=60)
