"""`collector demo`: a whole backfill on the simulated API, with a table of the result."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.text import Text

from collector.adapters.clock import SystemClock
from collector.adapters.logs import configure_logs
from collector.adapters.replaced_files import replacing
from collector.adapters.report import page_of
from collector.adapters.tabular.extras import MissingExtraError
from collector.adapters.text import count, duration
from collector.app.command import Command
from collector.app.ledgers import open_ledger_to_read
from collector.app.report import read_report
from collector.app.scope import EVERYTHING
from collector.app.wiring import run_command
from collector.cli.consoles import stdout_console
from collector.cli.context import Context
from collector.cli.picture import usage_table
from collector.cli.progress import shown_progress
from collector.cli.render import show_result
from collector.config import LoadedConfig, load
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Last
from collector.disk import reason_of
from collector.errors import CollectorError, OutputError
from collector.events import all_of
from collector.ledger import NoLedger
from collector.run.manifest import RunResult

# Faults as they happen in production, so that the demo shows how they are handled.
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
_NO_PAGE = """\
  pip install 'usage-collector[report]'
      with it, the demo writes a report with charts, too
"""


def demo(orgs: int, days: int, output: Path) -> int:
    """Do what `collector demo` is called for; return the exit code."""
    console = stdout_console()
    console.print(
        Text(f"Collecting the last {count(days, 'day')} of {orgs} simulated organizations, some with faults …")
    )
    with _scratch(output) as scratch, simulated_api(orgs, scratch / "collector.yaml") as path:
        overrides = {
            "output": {"path": str(scratch / "usage")},
            "state": {"url": f"sqlite:///{scratch}/ledger.db"},
            "log": {"level": "error"},
        }
        config = load(path, environ={}, overrides=overrides)
        result = _collect(config, days)
        if result.exit_code not in (ExitCode.OK, ExitCode.INCOMPLETE, ExitCode.REFUSED):
            return int(result.exit_code)
        for file in (scratch / "usage").glob("[!.]*"):
            file.rename(output / file.name)
        page = _report(config, output / "report.html", days)
    console.print(usage_table(console, output, [file.name for file in result.files]))
    console.print(Text(_closing(result, output, page)))
    return 0


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """Make a directory for what is gone at the end: a ledger of its own, so that each demo fetches everything.

    It is beside the records: sealed files may be moved, and within a file system that is quick. Raises OutputError.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".demo-", dir=output)
    except OSError as error:
        raise OutputError(f"{output} can't be written: {reason_of(error)}") from error
    with scratch as directory:
        yield Path(directory).resolve()


def _report(config: LoadedConfig, file: Path, days: int) -> Path | None:
    """Write the report of what was collected; return its file, or None if what draws its charts isn't installed."""
    ledger = open_ledger_to_read(config)
    if isinstance(ledger, NoLedger):
        return None
    try:
        # Where it is still yesterday, one day less has ended.
        range_ = Last(timedelta(days=max(1, days - 1)))
        page = page_of(read_report(ledger, config, EVERYTHING, range_, now=SystemClock().now()))
    except MissingExtraError:
        return None
    finally:
        ledger.close()
    with replacing(file) as stream:
        stream.write(page)
    return file


def _closing(result: RunResult, output: Path, page: Path | None) -> str:
    """Return what the demo has shown, and what to look at next."""
    shown = (
        _NO_PAGE
        if page is None
        else f"""\
  {shlex.quote(str(page))}
      the report: open it in a browser
"""
    )
    records = shlex.quote(str(output / result.files[0].name)) if result.files else ""
    manifest = shlex.quote(str(output / f"run-{result.run_id}.json"))
    seconds = (result.ended_at - result.started_at).total_seconds()
    return f"""
{result.summary.records} records of {count(len(result.summary.orgs), "org")} are in {output}/, from \
{count(result.summary.requests, "request")} in {duration(seconds)}.
Two orgs fail on purpose: the API refuses the credential of org-003, and answers
org-005 only in part. Their unknown totals are null, never 0. A real run would
end with exit code 4 (an org was refused: a person is needed).

Look at
{shown}  head -n 1 {records}
      one record: one JSON object per line
  less {manifest}
      the manifest: how each planned slice ended
Then
  collector simulate --help
      the simulated API, for tests of your own pipeline
  collector init
      a config for your own organizations
"""


def _collect(config: LoadedConfig, days: int) -> RunResult:
    configure_logs(level="error", format_="console")
    command = Command(name="backfill", range_=Last(timedelta(days=days)))
    context = Context(
        config=config,
        reload=lambda: config,
        scope=command.scope,
        permits=command.permits,
        quiet=False,
        log_format="console",
    )
    with shown_progress(mode="auto", quiet=False, watch=all_of()) as watch:
        result = asyncio.run(run_command(config, command, watch=watch))
    show_result(result, context, closing=False)
    return result


@contextmanager
def simulated_api(orgs: int, config: Path) -> Iterator[Path]:
    """Run `collector simulate` in a process of its own; yield the path of its config.

    It reads a pipe of ours, so it ends when this process ends, for whatever reason.
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
