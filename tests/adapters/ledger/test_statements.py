"""Every statement also suits PostgreSQL, and is few for many slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Connection, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from collector.adapters.ledger import SqlLedger, schema, slices, statements
from collector.model import SliceState
from tests.adapters.ledger.support import ACCOUNT, ALWAYS, T0, booking, day, days, registered, slice_at
from tests.support.orgs import make_org


@pytest.fixture
def executed(ledger: SqlLedger) -> Iterator[list[Any]]:
    """What is executed on a ledger: statements, or the text of what begins a transaction."""
    seen: list[Any] = []

    def see(_: Connection, statement: object, *__: object) -> None:
        seen.append(statement)

    engine = ledger._database._connection.engine
    event.listen(engine, "before_execute", see)
    yield seen
    event.remove(engine, "before_execute", see)


def use_everything(ledger: SqlLedger) -> None:
    key = registered(ledger, make_org())[0].key
    ledger.claim([key])
    ledger.identify(key, name="acme", org_id="1", org_name="Acme")
    registered(ledger, make_org("renamed", org_id="1"))
    fresh = registered(ledger, make_org("fresh"))[0].key
    ledger.want(fresh, days(0, 1))
    ledger.identify(fresh, name="fresh", org_id="1", org_name="Acme")
    ledger.begin_run("run", "collect", T0)
    file = ledger.open_file("run", "out", "name")
    ledger.book([booking(key, 0), booking(key, 1, SliceState.FAILED)], file)
    ledger.intend_seal(file.file_id)
    ledger.left_behind()
    ledger.sealed(file.file_id)
    ledger.lost(file.file_id)
    ledger.rows([slice_at(key, 0)])
    ledger.coverage(key, ALWAYS)
    ledger.recent(key, ACCOUNT, before=day(9), limit=3)
    ledger.stretches(key)
    ledger.shrunk(key)
    ledger.oldest_usage(key, ACCOUNT)
    ledger.organizations()
    ledger.open_runs()
    ledger.end_run("run", 0, T0)
    ledger.release([key])


def test_every_statement_compiles_for_postgresql(ledger: SqlLedger, executed: list[Any]) -> None:
    use_everything(ledger)
    compiled = [statement for statement in executed if isinstance(statement, ClauseElement)]
    assert len(compiled) > 40
    for statement in compiled:
        if not isinstance(statement, sqlite.Insert):
            assert str(statement.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    for table in schema.metadata.sorted_tables:
        ddl: list[ExecutableDDLElement] = [CreateTable(table), *map(CreateIndex, table.indexes)]
        assert all(str(statement.compile(dialect=postgresql.dialect())) for statement in ddl)  # type: ignore[no-untyped-call]


def test_the_booking_is_one_statement_on_postgresql_too(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger._database.read() as tx:
        monkeypatch.setattr(tx.dialect, "name", "postgresql")
        statement = slices._booking(tx)
        assert isinstance(statements.insert_into(schema.alias, tx), postgresql.Insert)
    text = str(statement.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "ON CONFLICT (org, population, start) DO UPDATE SET" in text


def test_five_hundred_slices_are_a_handful_of_statements(ledger: SqlLedger, executed: list[Any], key: int) -> None:
    file = ledger.open_file("run", "out", "name")
    executed.clear()
    ledger.book([booking(key, n) for n in range(500)], file)
    ledger.rows([slice_at(key, n) for n in range(500)])
    assert len([statement for statement in executed if isinstance(statement, ClauseElement)]) <= 5


def test_slices_are_found_by_their_key_whatever_else_there_is(ledger: SqlLedger, executed: list[Any], key: int) -> None:
    ledger.book([booking(key, n) for n in range(100)], None)
    executed.clear()
    ledger.rows([slice_at(key, n) for n in range(3)])
    ledger.coverage(key, days(0, 3))
    ledger.recent(key, ACCOUNT, before=day(9), limit=3)
    ledger.stretches(key)
    ledger.lost(1)
    ledger.sealed(1)
    found = [statement for statement in executed if isinstance(statement, ClauseElement)]
    with ledger._database.read() as tx:
        plans = []
        for statement in found:
            text = str(statement.compile(tx, compile_kwargs={"literal_binds": True}))
            plans += [row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert len(found) == 8
    assert not [plan for plan in plans if plan.startswith("SCAN slice")]
    assert any("slice_in_file" in plan for plan in plans)
