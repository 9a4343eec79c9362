"""Commands that are killed: started without Python's start, so that a kill finds a command at work and not its imports.

A process that has imported everything forks for each command, kills it after a while, and says how it ended.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.commands import unmeasured

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Forks:
    """The process that forks."""

    process: subprocess.Popen[str]

    def kill(self, args: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], after_s: float) -> int:
        """Run a command, kill it with -9 after that time, and return its exit code: -9 if it was still at work."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"args": list(map(str, args)), "cwd": str(cwd), "env": dict(env), "after_s": after_s}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def forks() -> Iterator[Forks]:
    """Start the process that forks; it ends with the block."""
    command = [sys.executable, "-m", "tests.support.forked"]
    env = unmeasured()
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Forks(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    """Take orders, one a line."""
    # Here once, and in none of the commands.
    from collector.cli import backfill, main  # noqa: F401, PLC0415

    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            _become(order)
        ending = select.select([handle := os.pidfd_open(pid)], [], [], order["after_s"])[0]
        os.close(handle)
        if not ending:
            os.kill(pid, signal.SIGKILL)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


def _become(order: dict[str, Any]) -> None:
    from collector.cli.main import main as run  # noqa: PLC0415

    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["collector", *order["args"]]
    run()


if __name__ == "__main__":
    main()
