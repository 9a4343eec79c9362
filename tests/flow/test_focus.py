"""Datasets while a run goes on: what it restates meanwhile is in no closed month."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from collector.app.focus import FocusReader
from collector.app.scope import EVERYTHING
from collector.config import load
from collector.core.emission import Emission
from collector.core.focus_columns import COLUMNS
from collector.core.ledger_entries import Replaced, SliceCommit, SliceKey
from collector.core.periods import Period
from collector.ledger import LedgerReader, SqlLedger, open_reader
from collector.model import Population, SliceState, Window
from tests.support.invoiced import NOW, Invoiced, invoiced
from tests.support.presents import emitted, usage

JUNE = Period(date(2026, 6, 1), date(2026, 6, 30))
COST = [column.name for column in COLUMNS].index("BilledCost")
DAY = timedelta(days=1)


def restate(made: Invoiced, number: int) -> None:
    """Restate the last window of an org, and one that was restated before, as if now."""
    url = f"sqlite:///{made.directory}/ledger.db"
    reader = open_reader(url)
    assert reader is not None
    ledger = SqlLedger.open(url, command="collect", now=lambda: NOW, durable=False)
    now = NOW + timedelta(seconds=number)
    try:
        for key, population in ((1, Population.ACCOUNT_USER), (2, Population.SERVICE_USER)):
            start = NOW.replace(month=6, day=30, hour=4 * (key - 1))
            slice_ = SliceKey(key=key, population=population, start=start)
            old = ledger_emission(reader, slice_)
            products = {**old.products, "automation": emitted(usage(10**6 * number), revision=number + 1)}
            changed = {"automation": old.products["automation"]}
            replaced = Replaced(emission=Emission(emitted_at=old.emitted_at, users=3, products=changed), run_id="now")
            commit = SliceCommit(
                slice=slice_,
                end=start + DAY,
                state=SliceState.COMPLETE,
                code=None,
                asked_at=now,
                complete_at=now,
                emission=Emission(emitted_at=now, users=3, products=products),
                replaced=replaced,
            )
            ledger.commit([commit], None)
    finally:
        ledger.close()
        reader.close()


def ledger_emission(reader: LedgerReader, slice_: SliceKey) -> Emission:

    span = Window(slice_.start, slice_.start + DAY)
    (stored,) = reader.contents(slice_.key, slice_.population, span, limit=1)
    assert stored.emission is not None
    return stored.emission


def test_what_is_restated_meanwhile_does_not_change_a_closed_month(tmp_path: Path) -> None:
    made = invoiced(tmp_path)
    config = load(tmp_path / "collector.yaml", environ={}, reads_secrets=False)
    sums: list[Decimal] = []
    for number in range(3):  # the last one without a change
        reader = open_reader(f"sqlite:///{tmp_path}/ledger.db")
        assert reader is not None
        try:
            rows = FocusReader(reader, config, EVERYTHING, now=NOW, period=JUNE).rows()
            first = next(rows)
            if number < 2:
                restate(made, number + 1)
            costs = [row[COST] for row in [first, *rows]]
        finally:
            reader.close()
        sums.append(sum((cost for cost in costs if isinstance(cost, Decimal)), Decimal()))
    assert len(set(sums)) == 1
