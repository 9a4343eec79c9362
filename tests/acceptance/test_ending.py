"""How a process ends: Python frees nothing, but everything else that it does at its end is done."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.commands import unmeasured

# Runs as `collector`, but a thread and an exit function are there when the command has ended.
SHARED = """
import atexit, os, sys, threading
import collector.cli.main as commands
from collector.__main__ import main
run, go = commands.run, threading.Event()

def run_and_more(*args, **more):
    threading.Thread(target=lambda: (go.wait(), os.write(2, b"a thread has ended\\n"))).start()
    atexit.register(print, "an exit function was called")
    code = run(*args, **more)
    go.set()
    return code

commands.run = run_and_more
sys.argv[1:] = sys.argv[sys.argv.index("--") + 1:]
main()
"""


def shared(*words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SHARED, "--", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=unmeasured() | {"PYTHONUNBUFFERED": ""},
        timeout=120,
    )


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["nonsense"], 2), (["plan", "-c", "nowhere"], 2)])
def test_threads_end_and_exit_functions_are_called_before_the_process_ends(words: list[str], code: int) -> None:
    done = shared(*words)
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == "an exit function was called"
    assert "a thread has ended" in done.stderr.splitlines()
    assert "Traceback" not in done.stderr


def test_what_an_exit_function_prints_for_nobody_changes_the_exit_code() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = shared("nonsense", stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == 120  # Python's own, for a stdout that couldn't be written when it ended


def test_objects_are_not_freed() -> None:
    """What is freed would say so, a tenth of a short command's time later."""
    freed = "class Freed:\n def __del__(self): print('freed')\nkept = Freed()\nkept.itself = kept\n"
    program = f"{freed}import sys\nsys.argv[1:] = ['--version']\nfrom collector.__main__ import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=unmeasured(), timeout=120
    )
    assert "freed" not in done.stdout
    assert done.stdout.startswith("collector, version ")
