"""`collector forget`: a person says that orgs are meant to be gone from the config."""

from __future__ import annotations

from typing import Any

import click

from collector.adapters.clock import SystemClock
from collector.adapters.text import printable
from collector.app.forget import forget_orgs
from collector.cli.context import open_context


def forget(names: tuple[str, ...], **options: Any) -> None:
    """Do what `collector forget` is called for."""
    context = open_context(**options, sends=False)
    for one in forget_orgs(context.config, names, SystemClock()):
        click.echo(f"{printable(one.name)}: it is not reported any more; its history stays in the ledger")
