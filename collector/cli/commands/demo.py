"""How `collector demo` is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.commands.options import PathType


@click.command(
    short_help="Try it without an account.",
    epilog="""\b
Examples:
  collector demo  # 40 orgs, their last 14 days
  collector demo --orgs 60 --days 30 --output demo
""",
)
@click.option("--orgs", type=click.IntRange(16, 500), default=40, show_default=True, help="Simulated organizations.")
@click.option("--days", type=click.IntRange(1, 90), default=14, show_default=True, help="Days to collect.")
@click.option(
    "-o",
    "--output",
    type=PathType(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Directory for the records.",
)
def demo(**options: Any) -> int:
    """Collect dozens of simulated organizations over real HTTP, and show the result.

    Starts the simulated API on loopback and stops it at the end. One org is refused, some fail
    now and then, and one gives only partial answers.
    """
    from collector.cli import demo as act  # noqa: PLC0415

    return act.demo(**options)
