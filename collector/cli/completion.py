"""What a shell completes: orgs, labels, products and runs. It reads no secret, waits for no server, and never fails.

How a shell calls the collector for it: `collector.cli.shells`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import click

from collector.app.ledgers import is_file, open_ledger_to_read
from collector.app.scope import labels_of
from collector.cli.shells import SHELLS, VARIABLE
from collector.config import LoadedConfig, find_config, load
from collector.core.answer import DOCUMENTED_PRODUCTS
from collector.core.grouping import By
from collector.errors import CollectorError
from collector.ledger import LedgerReader, NoLedger
from collector.model import Org

_RUNS = 20  # the newest


def print_script(shell: str) -> None:
    """Do what `collector completion` is called for."""
    root = click.get_current_context().find_root()
    click.echo(SHELLS[shell](root.command, {}, "collector", VARIABLE).source())


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


def complete_product(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the documented products that begin so."""
    return _beginning(incomplete, DOCUMENTED_PRODUCTS)


def complete_removed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of orgs that begin so and are gone from the config, without those that are given already."""
    given = ctx.params.get(param.name or "") or ()

    def names(ledger: LedgerReader, config: LoadedConfig) -> list[str]:
        return [one.name for one in ledger.removed([org.name for org in config.orgs]) if one.name not in given]

    return _beginning(incomplete, _of_ledger(ctx, names))


def complete_run(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of the newest runs that begin so, the newest first."""
    return _beginning(
        incomplete, _of_ledger(ctx, lambda ledger, _: [one.run_id for one in ledger.ended_beside("", _RUNS)])
    )


def complete_awaited(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of awaited files that begin so."""
    return _beginning(incomplete, _of_ledger(ctx, lambda ledger, _: [one.file.name for one in ledger.awaited()]))


def _beginning(incomplete: str, texts: Iterable[str]) -> list[str]:
    return [text for text in texts if text.startswith(incomplete) and text.isprintable()]


def _of_ledger(ctx: click.Context, look: Callable[[LedgerReader, LoadedConfig], Sequence[str]]) -> Sequence[str]:
    """Return what a look at the ledger finds; nothing if it isn't a file of this machine: a server may not answer."""
    config = _config(ctx)
    if config is None or not is_file(config.settings.state):
        return ()
    try:
        with closing(open_ledger_to_read(config)) as ledger:
            return () if isinstance(ledger, NoLedger) else look(ledger, config)
    except CollectorError:
        return ()


def _orgs(ctx: click.Context) -> tuple[Org, ...]:
    """Return the orgs of the config of the command line so far; none if it has an error."""
    config = _config(ctx)
    return () if config is None else config.orgs


def _config(ctx: click.Context) -> LoadedConfig | None:
    path: Path | None = ctx.params.get("config_path")
    state = {"state": {"url": ctx.params.get("state")}}
    try:
        return load(find_config(path, os.environ), environ=os.environ, overrides=state, reads_secrets=False)
    except CollectorError:
        return None
