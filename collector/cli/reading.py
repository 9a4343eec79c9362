"""What commands share that read numbers of a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click
import structlog

from collector.adapters.text import printable, some
from collector.app.command import has_ledger
from collector.app.ledgers import no_ledger, open_ledger_to_read
from collector.app.present_orgs import choose, unconfirmed
from collector.cli.context import Context
from collector.core.grouping import Dimension
from collector.errors import ConfigError
from collector.ledger import LedgerReader, NoLedger
from collector.model import Org

_NAMED = 5
log = structlog.get_logger("collector")


def open_ledger(context: Context, command: str) -> LedgerReader:
    """Open the ledger of a config to read it. Raises UsageError if it has none, LedgerError if that one isn't there."""
    if not has_ledger(context.config):
        raise click.UsageError(f"{command} reads a ledger: `state.url` is none")
    ledger = open_ledger_to_read(context.config)
    if isinstance(ledger, NoLedger):
        raise no_ledger(context.config.settings, command)
    return ledger


def warn_of_unconfirmed(context: Context, ledger: LedgerReader) -> None:
    """Warn of numbers that are not read, since no answer has shown which org they are of."""
    if found := unconfirmed(ledger, choose(ledger, context.config, context.scope)):
        names = some([f"{printable(one.name)} ({one.org_id})" for one in found], _NAMED)
        message = (
            f"the ledger took over records of {names} from files, and no answer has shown yet that the org of that "
            "name is that organization: their numbers are left out, and their windows are unknown here. They are read "
            "after the next answer: correct the credential if it is refused (`collector check`)"
        )
        log.warning("orgs.unconfirmed", orgs=len(found), message=message)


def refuse_unknown_labels(dimensions: Sequence[Dimension], orgs: Iterable[Org]) -> None:
    """Raise ConfigError for a label that no org of the config has."""
    known = {key for org in orgs for key in org.labels}
    for one in dimensions:
        if one.label and one.label not in known:
            labels = f"the labels are {some(sorted(known), _NAMED)}" if known else "no org has a label"
            raise ConfigError(f"--by: no org in the config has a label of that key; {labels}")
