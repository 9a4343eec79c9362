"""What nobody catches reaches stderr as a line of the log, by its kind and place, and never with its text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.commands import environment

SECRET = "s3cr3t-of-a-library"
# As the command, but one of its commands does what libraries should not do.
BROKEN = """
import asyncio, gc, logging, sys, threading, warnings
import collector.cli.main as command
from collector.adapters.logs import configure_logs
from collector.cli.commands.schema import schema

SECRET = "s3cr3t-" + "of-a-library"

class Broken:
    def __del__(self):
        raise ValueError(SECRET)

def fail(*_):
    raise ValueError(SECRET)

async def failing():
    fail()

async def main():
    asyncio.get_running_loop().call_soon(fail, SECRET)
    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()

def broken(**_):
    if "logs" in sys.argv:
        configure_logs(level="info", format_="json")
    thread = threading.Thread(target=fail, name="t")
    thread.start()
    thread.join()
    Broken()
    warnings.warn(SECRET, RuntimeWarning)
    asyncio.run(main())
    logging.getLogger("library").error("it failed: %s", SECRET)
    try:
        fail()
    except ValueError:
        logging.getLogger("library").exception("it failed")
    raise BaseException(SECRET)

schema.callback = broken
command.main(["schema", "record"])
"""


def stderr_of(directory: Path, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, *args],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert not done.stdout
    assert SECRET not in done.stderr
    assert done.stderr
    return done.stderr


def test_all_lines_are_json_and_hold_no_text_of_an_exception(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in stderr_of(tmp_path, "logs").splitlines()]
    uncaught = [line for line in lines if line["event"] == "exception.uncaught"]
    assert [line["exception"] for line in uncaught] == ["ValueError", "ValueError", "BaseException"]
    assert uncaught[0]["thread"] == "t"
    told = [(line.get("library"), line.get("message")) for line in lines if line["event"] == "library.warning"]
    assert told[0] == ("RuntimeWarning", None)
    assert told[1:] == [
        ("asyncio", "Exception in callback fail"),
        ("asyncio", "Task exception was never retrieved"),
        ("library", "it failed: %s"),
        ("library", "it failed"),
    ]


def test_before_there_is_a_log_the_kind_is_told(tmp_path: Path) -> None:
    assert "a defect of the collector: BaseException at " in stderr_of(tmp_path)
