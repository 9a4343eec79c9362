"""How `collector healthcheck` is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.commands.options import PathType


@click.command(
    short_help="Test whether `serve` is alive.",
    epilog="""\b
Examples:
  collector healthcheck -c /etc/collector/collector.yaml && echo alive

In a Dockerfile: HEALTHCHECK CMD ["collector", "healthcheck"]
""",
)
@click.option("-c", "--config", "config_path", type=PathType(path_type=Path), help="The config file.")
def healthcheck(**options: Any) -> int:
    """Request /healthz of the `serve` that runs here with this config: exit 0 if it is alive, else 1."""
    from collector.cli import healthcheck as act  # noqa: PLC0415

    return act.healthcheck(**options)
