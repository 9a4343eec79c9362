"""How `collector ledger` is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.commands.options import PathType, ledger_options


@click.group(
    short_help="Look at the ledger, check it, back it up.",
    epilog="""\b
Examples:
  collector ledger info -c collector.yaml
  collector ledger backup /backup/ledger.db
  collector ledger check && echo sound
""",
)
def ledger() -> None:
    """Look at the ledger, check it, or back it up, while other processes use it. Migrates nothing."""


@ledger.command(short_help="Copy the ledger to a file.")
@ledger_options
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.argument("target", metavar="FILE", type=PathType(path_type=Path))
def backup(**options: Any) -> None:
    """Copy a ledger in SQLite to FILE, as it is at one moment. Processes go on to use it.

    FILE is checked, and is readable for you alone. For PostgreSQL, the pg_dump command is shown.
    """
    from collector.cli import ledger as act  # noqa: PLC0415

    act.backup(**options)


@ledger.command(short_help="Look for damage in the whole ledger.")
@ledger_options
def check(**options: Any) -> int:
    """Read all of the ledger: its pages, its references, its values. Exits with 5 if anything is wrong."""
    from collector.cli import ledger as act  # noqa: PLC0415

    return act.check(**options)


@ledger.command(short_help="Show what the ledger is and holds.")
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def info(**options: Any) -> None:
    """Show where the ledger is, its version and size, what it holds, where its records go, and who uses it."""
    from collector.cli import ledger as act  # noqa: PLC0415

    act.info(**options)
