"""`collector demo`: the main job on the simulated API, end to end, with something to look at."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import click
from rich.text import Text

from collector.adapters.event_log import log_event
from collector.adapters.logs import configure_logs, resolve_format
from collector.app.command import Command
from collector.app.wiring import run_command
from collector.cli.options import Context
from collector.cli.picture import usage_table
from collector.cli.progress import shown_progress
from collector.cli.render import show_result
from collector.cli.streams import stdout_console
from collector.config import LoadedConfig, load
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Last
from collector.errors import CollectorError
from collector.run.manifest import RunResult

# What happens in the field, so that the demo shows what becomes of it.
_FAULTS = (
    "org-003:refused",
    "org-005:partial=always",
    "org-00[7-9]:500=0.15",
    "org-01[0-2]:429=0.1,retry-after=1",
    "org-013:reset=0.1",
    "org-014:garbage=0.05",
    "org-015:latency=400ms",
    "*:latency=20ms",
)
_ENDS_WITHIN_S = 10.0


@click.command(
    epilog="""\b
Examples:
  collector demo                      40 orgs, their last 14 days
  collector demo --orgs 60 --days 30 --output demo
"""
)
@click.option("--orgs", type=click.IntRange(16, 500), default=40, show_default=True, help="Simulated organizations.")
@click.option("--days", type=click.IntRange(1, 90), default=14, show_default=True, help="Days to collect.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
def demo(orgs: int, days: int, output: Path) -> int:
    """Collect dozens of simulated organizations over real HTTP, and look at what came.

    Starts the simulated API on loopback, with a refused credential, flaky orgs and partial
    answers among its orgs, and ends it again.
    """
    console = stdout_console()
    console.print(Text(f"The simulated API: {orgs} organizations, some of which misbehave.", style="bold"))
    with tempfile.TemporaryDirectory() as scratch, simulated_api(orgs, Path(scratch) / "collector.yaml") as path:
        overrides = {"output": {"path": str(output)}, "state": {"url": "none"}, "log": {"level": "error"}}
        config = load(path, environ={}, overrides=overrides)
        result = _collect(config, days)
    if result.exit_code not in (ExitCode.OK, ExitCode.INCOMPLETE, ExitCode.REFUSED):
        return int(result.exit_code)
    console.print(usage_table(output, [file.name for file in result.files], console.width))
    console.print(
        Text(
            f"{result.summary.records} records are in {output}/, one JSON object per line, beside the run's manifest.\n"
            f"The run ended with {int(result.exit_code)}, as it has to: org-003's credential is refused, "
            "and org-005's answers stay partial: its unknown totals are null, never 0.\n"
            "Next: write a config for your own organizations (README), then `collector check`."
        )
    )
    return 0


def _collect(config: LoadedConfig, days: int) -> RunResult:
    format_ = resolve_format("auto", sys.stderr)
    configure_logs(level="error", format_=format_)
    command = Command(name="backfill", range_=Last(timedelta(days=days)))
    context = Context(config=config, reload=lambda: config, scope=command.scope, quiet=False, log_format=format_)
    with shown_progress(mode="auto", quiet=False, watch=log_event) as watch:
        result = asyncio.run(run_command(config, command, watch=watch))
    show_result(result, context)
    return result


@contextmanager
def simulated_api(orgs: int, config: Path) -> Iterator[Path]:
    """Run `collector simulate` in a process of its own; yield the config that fits it.

    It ends with us, however we end: it reads our end of a pipe.
    """
    command = [sys.executable, "-m", "collector", "simulate", "--until-eof", "--port", "0"]
    command += ["--orgs", str(orgs), "--config-out", str(config)]
    for fault in _FAULTS:
        command += ["--fault", fault]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            if process.stdout is None or "base_url" not in json.loads(process.stdout.readline() or b"{}"):
                raise CollectorError("the simulated API did not start; try `collector simulate` to see why")
            yield config
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
