"""Ledgers, slices and commits to test with."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import CalendarChanged, SliceCommit, SliceKey, Standing
from collector.errors import LedgerError
from collector.ledger import SqlLedger
from collector.ledger.postgresql import Dsn
from collector.model import Org, Population, ProductUsage, Quality, SliceState, Window
from tests.support.postgresql import PASSWORD

T0 = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ALWAYS = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
ACCOUNT, SERVICE = Population


def day(n: int) -> datetime:
    return T0 + n * DAY


def days(first: int, last: int) -> Window:
    return Window(day(first), day(last))


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def open_ledger(at: Path | str, **more: Any) -> SqlLedger:
    """Open a ledger by its URL, or by a path in SQLite."""
    values: dict[str, Any] = {"command": "collect", "now": lambda: T0, "durable": False, "patience_s": 5.0}
    return SqlLedger.open(url_of(at) if isinstance(at, Path) else at, **(values | more))


def registered(ledger: SqlLedger, *orgs: Org, **more: Any) -> list[Standing]:
    """Register orgs whose calendars didn't change, and return their standings."""
    found = ledger.register(orgs, wanted_from=dict.fromkeys((org.name for org in orgs), T0), now=T0, **more)
    standings = [found[org.name] for org in orgs]
    assert not any(isinstance(standing, CalendarChanged) for standing in standings)
    return [standing for standing in standings if isinstance(standing, Standing)]


def slice_at(key: int, n: int, population: Population = ACCOUNT) -> SliceKey:
    return SliceKey(key=key, population=population, start=day(n))


def emission(tests: int = 7, *, revision: int = 1, at: datetime = T0, product: str = "automation") -> Emission:
    usage = ProductUsage(total_tests=tests, total_duration=tests * 1000)
    return Emission(
        emitted_at=at,
        users=3,
        products={product: Emitted(revision=revision, quality=Quality.MEASURED, usage=usage)},
    )


def commit(key: int, n: int, state: SliceState = SliceState.COMPLETE, **more: Any) -> SliceCommit:
    """A slice to commit; a complete one has an emission."""
    complete = state is SliceState.COMPLETE
    values: dict[str, Any] = {
        "slice": slice_at(key, n),
        "end": day(n + 1),
        "state": state,
        "code": None if complete else "why",
        "asked_at": day(n + 2),
        "complete_at": day(n + 2) if complete else None,
        "emission": emission() if complete else None,
    }
    return SliceCommit(**(values | more))


def database_of_another_program(path: Path) -> bytes:
    """Create a database that is no ledger; return its content."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    return path.read_bytes()


def schema_of(url: str) -> str:
    """Return the schema of PostgreSQL that a URL names."""
    return Dsn.of(url).schema


def refusal(url: str, **more: Any) -> str:
    """Return the error message for a ledger that can't be opened, which must not show a password."""
    with pytest.raises(LedgerError) as caught:
        SqlLedger.open(url, command="collect", now=lambda: ALWAYS.start, **more)
    shown = f"{caught.value} {caught.value!r}"
    assert PASSWORD not in shown
    assert "hunter2" not in shown
    return str(caught.value)
