"""`collector ledger`: what the ledger is, whether it is sound, and a backup of it. Migrates nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from collector.adapters.text import count, printable
from collector.app.command import has_ledger
from collector.cli.consoles import stderr_console
from collector.cli.context import Context, open_context
from collector.config import LoadedConfig
from collector.core.exit_codes import ExitCode
from collector.core.visible import visible
from collector.errors import LedgerError
from collector.ledger import LedgerInfo, LedgerReader, back_up, name_of, open_reader

_SHOWN = 20  # things that are wrong
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def backup(target: Path, force: bool, **options: Any) -> None:
    """Do what `collector ledger backup` is called for."""
    context = _context(options)
    state = context.config.settings.state
    with _progress(quiet=context.quiet) as progress:
        made = back_up(
            state.url.get_secret_value(),
            target,
            password_file=state.password_file,
            replace=force,
            progress=progress,
        )
    click.echo(f"{printable(str(target), 4000)}: {_summary(made)}")


def check(**options: Any) -> int:
    """Do what `collector ledger check` is called for; return the exit code."""
    with _opened(_context(options).config) as reader:
        info = reader.info()
        found = reader.damage(limit=_SHOWN + 1)
    for line in found[:_SHOWN]:
        click.echo(printable(line, 400))
    if len(found) > _SHOWN:
        click.echo("and more")
    if found:
        raise LedgerError(f"the ledger {info.where} is damaged: restore a backup of it (docs/runbook.md)")
    click.echo(f"{printable(info.where, 4000)}: sound: {_summary(info)}")
    return ExitCode.OK


def info(as_json: bool, **options: Any) -> None:
    """Do what `collector ledger info` is called for."""
    with _opened(_context(options).config) as reader:
        found = reader.info()
    if as_json:
        click.echo(visible(orjson.dumps(_as_json(found), option=orjson.OPT_INDENT_2)))
        return
    rows = list(_rows(found))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {printable(value, 4000)}")


def _context(options: dict[str, Any]) -> Context:
    context = open_context(**options, sends=False)
    if not has_ledger(context.config):
        raise click.UsageError("there is no ledger: `state.url` is none")
    return context


@contextmanager
def _opened(config: LoadedConfig) -> Iterator[LedgerReader]:
    """Yield a reader of the ledger, of whatever version. Raises LedgerError if there is none."""
    state = config.settings.state
    reader = open_reader(state.url.get_secret_value(), password_file=state.password_file, older=True)
    if reader is None:
        where = name_of(state.url.get_secret_value())
        raise LedgerError(
            f"there is no ledger {where}: check state.url or --state, and the directory that a relative path begins in"
        )
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows the progress on a terminal, if there is more than one step."""
    console = stderr_console()
    columns = (TextColumn("copying"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task("", visible=False)
        yield lambda done, pages: bar.update(task, completed=done, total=pages, visible=done < pages)


def _summary(found: LedgerInfo) -> str:
    return f"version {found.version}, {_size(found.size)}, {count(found.orgs, 'org')}, {count(found.slices, 'slice')}"


def _rows(found: LedgerInfo) -> Iterator[tuple[str, str]]:
    current = found.current
    yield "ledger", found.where
    older = " (older: the next `collect`, `backfill` or `serve` migrates it)" if current is None else ""
    yield "version", f"{found.version}{older}"
    if current is not None:
        yield "id", current.ledger_id
    yield "size", _size(found.size)
    yield "orgs", str(found.orgs)
    yield "slices", str(found.slices)
    yield "runs", str(found.runs)
    awaited = f", {current.awaited} of them of dead processes" if current and current.awaited else ""
    yield "unsealed files", f"{found.unsealed}{awaited}"
    for one in current.outputs if current else ():
        shard = f", shard {one.shard}" if one.shard else ""
        on = f" on {one.host}" if one.host else ""
        yield "output", f"{one.path}{on}{shard}"
    for process in current.processes if current else ():
        yield "used by", process.text


def _as_json(found: LedgerInfo) -> dict[str, Any]:
    current = found.current
    return {
        "ledger": found.where,
        "version": found.version,
        "older": current is None,
        "id": current and current.ledger_id,
        "size_bytes": found.size,
        "orgs": found.orgs,
        "slices": found.slices,
        "runs": found.runs,
        "unsealed_files": found.unsealed,
        "awaited_files": current and current.awaited,
        "outputs": current
        and [
            {"path": one.path, "directory_id": one.directory_id, "host": one.host, "shard": one.shard or None}
            for one in current.outputs
        ],
        "processes": current
        and [
            {"command": one.command, "pid": one.pid, "host": one.host, "since": one.since.isoformat()}
            for one in current.processes
        ],
    }


def _size(size: int) -> str:
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else count(size, "byte")
