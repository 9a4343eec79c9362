"""A connection pooler between the collector and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import psycopg
import pytest

from collector.errors import LedgerError
from collector.ledger import open_reader
from tests.adapters.ledger.support import ALWAYS, commit, open_ledger, registered
from tests.support.orgs import make_org
from tests.support.pgbouncer import pooled
from tests.support.postgresql import DATABASE, Server

pytestmark = pytest.mark.slow  # needs PostgreSQL and PgBouncer
ADVISORY = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
SHARED = "connection pooler that shares sessions, such as PgBouncer in transaction mode.*name the server itself"


@pytest.mark.parametrize("opening", [open_ledger, open_reader])
@pytest.mark.parametrize(
    ("mode", "sessions", "more"),
    [
        ("transaction", 1, ""),
        ("transaction", 2, ""),
        ("transaction", 10, "server_round_robin = 1"),
        ("statement", 5, ""),
    ],
)
@pytest.mark.parametrize("others", [0, 2])
def test_a_pooler_that_shares_sessions_is_refused(
    server: Server, opening: Callable[[str], object], mode: str, sessions: int, more: str, others: int
) -> None:
    with pooled(server, mode=mode, sessions=sessions, more=more) as url, ExitStack() as stack:
        for _ in range(others):  # other clients, which have used sessions
            client = psycopg.connect(url.partition("?")[0], autocommit=True)
            stack.callback(client.close)
            client.execute("SELECT 1")
        with pytest.raises(LedgerError, match=SHARED):
            opening(url)
    schema = url.partition("schema=")[2]
    assert server.sql(f"SELECT to_regnamespace('{schema}')", DATABASE) == [(None,)]
    assert server.sql(ADVISORY, DATABASE) == [(0,)]


def test_a_refused_pooler_keeps_no_setting_of_ours(server: Server) -> None:
    with pooled(server, mode="transaction", sessions=1) as url:
        with pytest.raises(LedgerError, match=SHARED):
            open_ledger(url)
        with psycopg.connect(url.partition("?")[0], autocommit=True) as other:
            assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_pooler_in_session_mode_is_used(server: Server) -> None:
    with pooled(server, mode="session") as url:
        one, other = open_ledger(url), open_ledger(url)
        (standing,) = registered(one, make_org())
        one.acquire([standing.key])
        assert other.acquire([standing.key]) == {standing.key: one.holder}
        one.commit([commit(standing.key, 0)], None)
        assert len(other.coverage(standing.key, ALWAYS)) == 1
        one.close()
        other.close()
