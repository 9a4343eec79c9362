"""Many slices need few statements, which find them by their key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from collector.ledger import SqlLedger
from collector.ledger.history import HistoryQuery
from tests.adapters.ledger.support import ACCOUNT, commit, day, days, slice_at

Executed = tuple[str, Any]  # a statement, and its parameters


@pytest.fixture
def executed(ledger: SqlLedger) -> Iterator[list[Executed]]:
    """The statements that are executed on a ledger, without BEGIN."""
    seen: list[Executed] = []

    def see(_: Connection, __: object, statement: str, parameters: Any, *___: object) -> None:
        if statement.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            seen.append((statement, parameters))

    engine = ledger._database.read(lambda tx: tx.engine)
    event.listen(engine, "before_cursor_execute", see)
    yield seen
    event.remove(engine, "before_cursor_execute", see)


def test_five_hundred_slices_need_few_statements(ledger: SqlLedger, executed: list[Executed], key: int) -> None:
    file = ledger.open_file("run", "out", "name")
    executed.clear()
    ledger.commit([commit(key, n) for n in range(500)], file)
    ledger.rows([slice_at(key, n) for n in range(500)])
    assert len(executed) <= 12


def looked_up(ledger: SqlLedger, executed: list[Executed], key: int) -> list[Executed]:
    """The statements that read a few slices among many."""
    executed.clear()
    ledger.rows([slice_at(key, n) for n in range(3)])
    ledger.coverage(key, days(0, 3))
    ledger.recent(key, ACCOUNT, before=day(9), limit=3)
    ledger.in_doubt()
    ledger.lost(1)
    ledger.sealed(1)
    return list(executed)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_slices_are_found_by_their_key_in_sqlite(ledger: SqlLedger, executed: list[Executed], key: int) -> None:
    ledger.commit([commit(key, n) for n in range(100)], None)
    found = looked_up(ledger, executed, key)
    ledger.histories([HistoryQuery(key=key, recent_from=None), HistoryQuery(key=key, recent_from=day(0))])
    found += executed[len(found) :]

    def explain(tx: Connection) -> list[str]:
        return [row.detail for sql, values in found for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]

    plans = ledger._database.read(explain)
    assert len(found) == 24
    assert not [plan for plan in plans if plan.startswith("SCAN slice")]
    assert any("slice_in_file" in plan for plan in plans)
    restated = [plan for plan in plans if "restatement" in plan]
    assert restated
    assert all(plan.startswith("SEARCH") and "restatement_in_file" in plan for plan in restated)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_slices_are_found_by_their_key_in_postgresql(ledger: SqlLedger, executed: list[Executed], key: int) -> None:
    # With many slices: PostgreSQL reads a small table as a whole.
    file = ledger.open_file("run", "out", "name")
    ledger.commit([commit(key, n) for n in range(3000)], None)
    ledger.commit([commit(key, 5000)], file)
    found = looked_up(ledger, executed, key)

    def explain(tx: Connection) -> list[str]:
        tx.execute(text("ANALYZE slice"))
        plans: list[str] = []
        for sql, values in found:
            plans += tx.exec_driver_sql(f"EXPLAIN {sql}", values).scalars()
        return plans

    plans = ledger._database.write(explain)
    assert not [plan for plan in plans if "Seq Scan on slice" in plan]
    assert any("slice_in_file" in plan for plan in plans)
