"""What a shell completes: names and labels of the orgs in the config. It reads no secret, and never fails.

Owns the script by which a shell calls the collector for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from collector.app.scope import labels_of
from collector.config import find_config, load
from collector.core.grouping import By
from collector.errors import ConfigError
from collector.model import Org

VARIABLE = "_COLLECTOR_COMPLETE"  # by which click is called for it


def print_script(shell: str) -> None:
    """Do what `collector completion` is called for."""
    root = click.get_current_context().find_root()
    if (kind := get_completion_class(shell)) is not None:
        click.echo(kind(root.command, {}, "collector", VARIABLE).source())


def complete_org(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of orgs that begin so."""
    return _beginning(incomplete, (org.name for org in _orgs(ctx)))


def complete_label(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the labels that begin so."""
    return _beginning(incomplete, labels_of(_orgs(ctx)))


def complete_dimension(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return what can be summed over that begins so; after a comma, the next one."""
    before, comma, last = incomplete.rpartition(",")
    labels = dict.fromkeys(f"{By.LABEL}:{key}" for org in _orgs(ctx) for key in org.labels)
    words = [*(by.value for by in By if by is not By.LABEL), *labels]
    return [f"{before}{comma}{word}" for word in _beginning(last, words)]


def _beginning(incomplete: str, texts: Iterable[str]) -> list[str]:
    return [text for text in texts if text.startswith(incomplete) and text.isprintable()]


def _orgs(ctx: click.Context) -> tuple[Org, ...]:
    """Return the orgs of the config of the command line so far; none if it has an error."""
    path: Path | None = ctx.params.get("config_path")
    try:
        return load(find_config(path, os.environ), environ=os.environ, reads_secrets=False).orgs
    except ConfigError:
        return ()
