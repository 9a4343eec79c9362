"""Reads how budgets stand out of the ledger: one pass over the windows of this month and of the days before.

A pass can be made in pieces, so that whoever else needs the thread or the interpreter gets them in between. Takes the
memory of one org's days. Sends no request and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from itertools import islice

import structlog

from collector.app.present import PresentReader
from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.budgeting import Budgeting
from collector.core.budgets import BudgetStanding, month_of, read_of
from collector.core.present import PresentWindow
from collector.ledger import LedgerReader

log = structlog.get_logger("collector")

_A_WHILE = 500  # windows


class BudgetPass:
    """One pass over the windows that the budgets of a config are about. For one thread at a time."""

    def __init__(self, ledger: LedgerReader, config: LoadedConfig, scope: Scope, *, now: datetime) -> None:
        schedule = config.settings.schedule
        month = month_of(now, settle=schedule.settle, zone=schedule.timezone)
        reader = PresentReader(ledger, config, scope, now=now, range_=read_of(month, now).as_range())
        collected = {entry.name: entry.populations for entry in reader.entries}
        self.ledger = ledger
        self._budgeting = Budgeting(config.budgets, month=month, now=now, collected=collected, prices=config.prices)
        reader.keep(self._budgeting.is_for)
        self._windows: Iterator[PresentWindow] = reader.windows()

    def read(self, most: int) -> int:
        """Read at most so many windows, and return how many: fewer if there are no more. Raises LedgerError."""
        found = 0
        for window in islice(self._windows, most):
            self._budgeting.add(window)
            found += 1
        return found

    def standings(self) -> Sequence[BudgetStanding]:
        """Return how the budgets stand, by all windows: call it at the end."""
        return self._budgeting.standings()


def read_budgets(
    ledger: LedgerReader,
    config: LoadedConfig,
    scope: Scope,
    *,
    now: datetime,
    read: Callable[[int], None] | None = None,
) -> Sequence[BudgetStanding]:
    """Return how the budgets of a config stand, of the orgs in a scope; without budgets, nothing is read.

    `read` hears of windows that were read: how many since its last call. Raises ConfigError for a scope that fits no
    org, and LedgerError.
    """
    if not config.budgets:
        return ()
    reading = BudgetPass(ledger, config, scope, now=now)
    while found := reading.read(_A_WHILE):
        if read is not None:
            read(found)
    return reading.standings()


def warn_of_products(
    standings: Sequence[BudgetStanding], known: Collection[tuple[str, str]] = ()
) -> Collection[tuple[str, str]]:
    """Log what is wrong with the products of budgets, except what is `known` already. Return all of it."""
    found = [(one.budget.name, note) for one in standings for note in one.product_notes]
    for name, note in found:
        if (name, note) not in known:
            log.warning("budgets.product_not_counted", budget=name, message=f"the budget {name}: {note}")
    return found
