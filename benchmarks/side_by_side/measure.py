"""Runs a contender's processes and returns what they used, as the kernel counts it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_LONGEST_S = 900


@dataclass(frozen=True)
class Command:
    """A process: its stdout is the stdin of the next one of a pipeline, or the file `stdout`."""

    args: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    stdout: str = "stdout"


@dataclass(frozen=True)
class Used:
    seconds: float
    cpu_s: float


class ContenderError(Exception):
    """A contender ended with an unexpected code, or fetched something else than the job."""


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return ours without anything that would configure a contender by accident."""
    ours = ("COLLECTOR_", "DLT_", "AIRBYTE_", "PYTHON", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | dict(more)


def run(pipeline: Sequence[Command], directory: Path, *, codes: Sequence[int] = (0,)) -> Used:
    """Run the processes to their end in a directory, and return what all of them used together."""
    with (directory / "stderr").open("ab") as errors:
        began = time.perf_counter()
        processes = _start(pipeline, directory, errors)
        given_up = threading.Timer(_LONGEST_S, _end, (processes,))
        given_up.start()
        try:
            ended = [_wait(process) for process in processes]
        except BaseException:
            _end(processes)
            raise
        finally:
            given_up.cancel()
        seconds = time.perf_counter() - began
    for command, (code, _) in zip(pipeline, ended, strict=True):
        if code not in codes:
            last = (directory / "stderr").read_text(errors="replace")[-3000:]
            raise ContenderError(f"{' '.join(map(str, command.args))} ended with {code}:\n{last}")
    return Used(seconds, sum(cpu_s for _, cpu_s in ended))


def _start(pipeline: Sequence[Command], directory: Path, errors: IO[bytes]) -> list[subprocess.Popen[bytes]]:
    processes: list[subprocess.Popen[bytes]] = []
    stdin: IO[bytes] | int = subprocess.DEVNULL
    for command in pipeline:
        last = command is pipeline[-1]
        with (directory / command.stdout).open("wb") as file:
            process = subprocess.Popen(
                list(map(str, command.args)),
                cwd=directory,
                env=environment(command.env),
                stdin=stdin,
                stdout=file if last else subprocess.PIPE,
                stderr=errors,
            )
        if not isinstance(stdin, int):
            stdin.close()
        processes.append(process)
        if process.stdout is not None:
            stdin = process.stdout
    return processes


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
