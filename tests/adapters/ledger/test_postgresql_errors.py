"""Errors of a real PostgreSQL server: each says what to do, and shows no secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from collector.errors import LedgerError
from collector.ledger import SqlLedger, open_reader
from collector.ledger.postgresql import Dsn, PostgresDatabase
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ALWAYS, commit, refusal, registered, schema_of
from tests.support.disks import small_disk_at
from tests.support.orgs import make_org
from tests.support.postgresql import DATABASE, PASSWORD, USER, Server

PARAMETERS = (
    "connect_timeout sslmode gssencmode target_session_attrs load_balance_hosts channel_binding keepalives_idle "
    "ssl_min_protocol_version options application_name"
)

pytestmark = pytest.mark.slow  # needs PostgreSQL


@pytest.fixture
def url(server: Server) -> str:
    """A ledger in PostgreSQL."""
    return server.fresh()


def test_a_wrong_password_is_reported(server: Server, url: str) -> None:
    assert refusal(server.url(schema_of(url), password="hunter2")).endswith(
        "can't be used: the server refused the user name or password: correct the user in the URL, or the password "
        "in state.password_file, PGPASSWORD or a passfile"
    )


def test_a_missing_password_is_reported(server: Server) -> None:
    assert "the server requires a password: set state.password_file" in refusal(server.url(password=None))


def test_a_missing_database_is_reported(server: Server) -> None:
    assert 'database "nowhere" does not exist: create it, or correct the URL' in refusal(server.url(database="nowhere"))


def test_a_missing_server_is_reported_at_once() -> None:
    message = refusal("postgresql://me:hunter2@127.0.0.1:9/usage")
    assert message.startswith("the ledger postgresql://127.0.0.1:9/usage can't be used: the server doesn't answer")
    assert "Connection refused" in message


def test_a_user_without_permission_to_create_a_schema_is_reported(server: Server, url: str) -> None:
    server.sql(
        f"DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'; "
        f"GRANT CONNECT ON DATABASE {DATABASE} TO guest"
    )
    message = refusal(url.replace(f"//{USER}:", "//guest:"))
    assert f"permission denied for database {DATABASE}" in message
    assert f"CREATE SCHEMA {schema_of(url)} AUTHORIZATION" in message


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused(server: Server, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    server.sql(f"CREATE DATABASE {name} OWNER {USER} ENCODING '{encoding}' TEMPLATE template0")
    for look in (refusal, reading_refusal):
        message = look(server.url(database=name))
        assert f"the database has the encoding {encoding}, which can't hold every text: name a database in" in message
    server.sql(f"DROP DATABASE {name}")


def reading_refusal(url: str) -> str:
    with pytest.raises(LedgerError) as caught:
        open_reader(url)
    return str(caught.value)


@pytest.mark.parametrize("how", ["url", "environment", "options"])
def test_text_is_exchanged_in_utf8_whatever_is_set(
    opened: Open, url: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    more = {"url": "&client_encoding=latin1", "options": "&options=-c%20client_encoding%3Dlatin1", "environment": ""}
    if how == "environment":
        monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    ledger = opened(url + more[how])
    (standing,) = registered(ledger, make_org())
    ledger.identify(standing.key, name=make_org().name, org_id="1", org_name="東京, Zürich")
    assert [one.org_name for one in ledger.organizations()] == ["東京, Zürich"]


def test_too_many_connections_are_reported(server: Server, url: str) -> None:
    server.sql(f"ALTER ROLE {USER} CONNECTION LIMIT 0")
    try:
        message = refusal(url)
    finally:
        server.sql(f"ALTER ROLE {USER} CONNECTION LIMIT -1")
    assert "too many connections: raise its max_connections or stop some clients" in message


def test_a_read_only_server_is_reported(server: Server, url: str) -> None:
    server.sql(f"ALTER ROLE {USER} SET default_transaction_read_only = on")
    try:
        message = refusal(url)
    finally:
        server.sql(f"ALTER ROLE {USER} RESET default_transaction_read_only")
    assert "the server is a read-only standby: name the primary, or all hosts" in message


def test_a_ledger_that_stays_locked_is_reported_and_can_still_be_read(opened: Open, url: str) -> None:
    ledger = opened(patience_s=0.2)
    (standing,) = registered(ledger, make_org())
    with psycopg.connect(url.partition("?")[0]) as blocker:
        blocker.execute("SELECT pg_advisory_xact_lock(%s)", [Dsn.of(url).lock_key("write")])
        with pytest.raises(LedgerError, match="another process kept it locked for too long"):
            ledger.commit([commit(standing.key, 0)], None)
        assert ledger.coverage(standing.key, ALWAYS) == {}
        assert "another process kept it locked for too long" in refusal(url, patience_s=0.2)
    ledger.commit([commit(standing.key, 0)], None)
    assert len(ledger.coverage(standing.key, ALWAYS)) == 1


def test_a_full_disk_of_the_server_is_reported_and_commits_work_again_once_there_is_space(
    server: Server, opened: Open
) -> None:
    with small_disk_at(server.public / "disk", "24m") as disk, on_disk(server, disk) as database:
        ledger = opened(server.url(database=database))
        (standing,) = registered(ledger, make_org())
        ballast = disk / "ballast"
        fill(ballast)
        with pytest.raises(LedgerError, match="the server's disk is full: free some space there, then run again"):
            commit_many(ledger, standing.key)
        committed = len(ledger.coverage(standing.key, ALWAYS))
        assert committed % 100 == 0
        ballast.unlink()
        ledger.commit([commit(standing.key, 10_000)], None)
        assert len(ledger.coverage(standing.key, ALWAYS)) == committed + 1
        ledger.close()


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def commit_many(ledger: SqlLedger, key: int) -> None:
    for batch in range(100):
        ledger.commit([commit(key, batch * 100 + n) for n in range(100)], None)


@contextmanager
def on_disk(server: Server, disk: Path) -> Iterator[str]:
    """Create a database on that disk."""
    server.own(disk)
    server.sql(f"CREATE TABLESPACE small LOCATION '{disk}'")
    server.sql(f"CREATE DATABASE small OWNER {USER} TABLESPACE small STRATEGY file_copy")
    try:
        yield "small"
    finally:
        server.sql("DROP DATABASE small WITH (FORCE)")
        server.sql("DROP TABLESPACE small")


@pytest.mark.parametrize(
    ("change", "damaged"),
    [
        ("emission = 'no JSON'", "an emission doesn't have the format that a collector writes"),
        ("state = 99", "the code 99 is unknown"),
    ],
)
def test_a_row_with_an_invalid_value_is_reported_as_damage(
    server: Server, opened: Open, url: str, change: str, damaged: str
) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, 0)], None)
    server.sql(f"UPDATE {schema_of(url)}.slice SET {change}", DATABASE)
    with pytest.raises(
        LedgerError, match=rf"is damaged \({damaged}.*restore a backup of it; or set another schema.*`backfill --adopt`"
    ):
        ledger.rows([commit(standing.key, 0).slice])


@pytest.mark.parametrize("name", PARAMETERS.split())
def test_a_secret_in_place_of_another_parameter_is_not_shown(server: Server, name: str) -> None:
    url = server.url("pasted", **{name: "S3cr3tpw"})
    try:
        PostgresDatabase.open(Dsn.of(url), durable=False, patience_s=1.0).close()
    except LedgerError as error:
        assert "S3cr3tpw" not in str(error)  # noqa: PT017 - some parameters accept anything
        assert "can't be used: " in str(error)  # noqa: PT017


def test_a_statement_that_the_server_refuses_is_reported_by_its_code_and_place(server: Server, opened: Open) -> None:
    ledger = opened(server.fresh())
    with pytest.raises(LedgerError, match=r"can't be used: 22P02 at ledger/postgresql/engine\.py") as caught:
        ledger._database.read(lambda tx: tx.exec_driver_sql("SELECT 'S3cr3tpw'::int"))
    assert "S3cr3tpw" not in str(caught.value)
