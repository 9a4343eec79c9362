"""A ledger on a real PostgreSQL server: its schema, and errors that say what to do."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from collector.errors import ConfigError, LedgerError
from collector.ledger import SqlLedger, back_up, open_reader, versions
from collector.ledger.postgresql import Dsn, PostgresDatabase
from collector.ledger.schema import BEGINNING, metadata
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ACCOUNT, ALWAYS, commit, day, refusal, registered, schema_of
from tests.support.disks import small_disk_at
from tests.support.needs import need
from tests.support.orgs import make_org
from tests.support.postgresql import DATABASE, PASSWORD, USER, Server

pytestmark = pytest.mark.slow  # needs PostgreSQL
DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def url(server: Server) -> str:
    """A ledger in PostgreSQL."""
    return server.fresh()


# --- the schema -----------------------------------------------------------------------------


def test_the_ledger_has_a_schema_of_its_own(server: Server, opened: Open, url: str) -> None:
    registered(opened(), make_org())
    tables = server.sql(
        f"SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = '{schema_of(url)}'::regnamespace",
        DATABASE,
    )
    assert {name for (name,) in tables} == {*metadata.tables.keys(), "ledger_version"}
    assert Dsn.of(server.url()).schema == "collector"


def test_reading_creates_nothing(server: Server, opened: Open, url: str) -> None:
    assert open_reader(url) is None
    assert server.sql(f"SELECT to_regnamespace('{schema_of(url)}')", DATABASE) == [(None,)]
    registered(opened(), make_org())
    reader = open_reader(url)
    assert reader is not None
    assert [one.name for one in reader.organizations()] == [make_org().name]
    holders = f"SELECT count(*) FROM {schema_of(url)}.holder"
    assert server.sql(holders, DATABASE) == [(1,)]
    reader.close()


def test_a_server_can_be_reached_by_its_socket(server: Server, opened: Open) -> None:
    server.sql("CREATE SCHEMA by_socket", DATABASE)
    ledger = opened(f"postgresql:///{DATABASE}?host={server.public}&port={server.port}&user=postgres&schema=by_socket")
    assert ledger.acquire([registered(ledger, make_org())[0].key]) == {}


def test_two_ledgers_in_one_database_are_separate(server: Server, opened: Open) -> None:
    one, other = opened(), opened(server.fresh())
    keys = [registered(ledger, make_org())[0].key for ledger in (one, other)]
    assert one.acquire([keys[0]]) == other.acquire([keys[1]]) == {}
    assert one.acquire([keys[0]]) == {}


def test_migrations_create_the_tables_of_the_schema(opened: Open) -> None:
    def look(tx: Connection) -> list[Any]:
        opts = {"compare_type": True, "version_table": versions.version_table(tx)}
        return list(compare_metadata(MigrationContext.configure(tx, opts=opts), metadata))

    assert opened()._database.read(look) == []


def test_an_older_ledger_is_migrated_when_it_is_opened(
    monkeypatch: pytest.MonkeyPatch, server: Server, url: str, opened: Open
) -> None:
    def to_first(tx: Connection) -> None:
        config = Config(attributes={"connection": tx, "version_table": versions.version_table(tx)})
        config.set_main_option("script_location", versions.SCRIPTS)
        command.upgrade(config, "0001")

    with monkeypatch.context() as patched:
        patched.setattr(versions, "KNOWN", ("0001",))
        patched.setattr(versions, "migrate", to_first)
        PostgresDatabase.open(Dsn.of(url), durable=False).close()
    schema = schema_of(url)
    with pytest.raises(LedgerError, match=r"has version 0001, and this collector works with version"):
        open_reader(url)
    older = open_reader(url, older=True)
    assert older is not None
    assert (older.info().version, older.info().current, older.damage(limit=9)) == ("0001", None, [])
    older.close()
    server.sql(
        f"""
        INSERT INTO {schema}.org (id, name, wanted_from) VALUES (7, 'acme', 0);
        INSERT INTO {schema}.alias (name, org) VALUES ('acme', 7);
        INSERT INTO {schema}.calendar (org, since, zone, granularity) VALUES (7, {BEGINNING}, 'UTC', 'day');
        INSERT INTO {schema}.slice (org, population, start, "end", state, code, asked_at, complete_at)
        VALUES (7, 0, 0, 86400000000, 0, NULL, 5, 5), (7, 0, 1, 2, 3, 'refused_not_admin', 6, NULL),
               (7, 0, 2, 3, 3, 'refused_credential', 8, NULL), (7, 1, 2, 3, 2, 'http_503', 9, NULL)
        """,
        DATABASE,
    )
    ledger = opened()
    assert ledger._database.read(versions.version_of) == versions.KNOWN[-1] != "0001"
    assert ledger.migrated is not None
    assert (ledger.migrated.from_, ledger.migrated.copy) == ("0001", None)
    assert ledger.acquire([registered(ledger, make_org())[0].key]) == {}
    found = server.sql(f"SELECT name, reason, message, first_at, last_at FROM {schema}.refusal", DATABASE)
    assert found == [("acme", "credential", None, 6, 8)]


def test_a_ledger_shows_what_it_holds_and_what_is_damaged(server: Server, opened: Open, url: str) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, n) for n in range(3)], None)
    reader = open_reader(url)
    assert reader is not None
    info = reader.info()
    assert (info.orgs, info.slices, info.runs, info.unsealed) == (1, 3, 0, 0)
    assert info.size > 100_000
    assert info.current is not None
    assert info.current.processes == [ledger.holder]
    assert reader.damage(limit=9) == []
    schema = schema_of(url)
    server.sql(
        f"""SET session_replication_role = replica; DELETE FROM {schema}.org; UPDATE {schema}.slice SET emission = 'x'
        WHERE start = (SELECT max(start) FROM {schema}.slice)""",
        DATABASE,
    )
    found = reader.damage(limit=9)
    assert "slice.org: 3 rows name a row of org that doesn't exist" in found
    assert found[-1].startswith(f"slice of org {standing.key}, population 0, start ")
    reader.close()


def test_the_command_that_is_shown_for_a_backup_backs_the_ledger_up(
    server: Server, opened: Open, url: str, tmp_path: Path
) -> None:
    need("pg_dump", "pg_restore", package="postgresql-client")
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, n) for n in range(3)], None)
    with pytest.raises(ConfigError) as caught:
        back_up(url, tmp_path / "ledger.dump", password_file=None, replace=False)
    _, command, _ = str(caught.value).split("`", 2)
    env = os.environ | {"PGPASSWORD": PASSWORD}
    subprocess.run(shlex.split(command), env=env, check=True, timeout=120)
    ledger.close()
    server.sql(f"DROP SCHEMA {schema_of(url)} CASCADE", DATABASE)
    restore = ["pg_restore", "--no-owner", "--dbname", url.partition("?")[0], str(tmp_path / "ledger.dump")]
    subprocess.run(restore, env=env, check=True, timeout=120)
    restored = opened()
    assert restored.migrated is None
    assert restored.coverage(standing.key, ALWAYS).keys() == {(ACCOUNT, day(n)) for n in range(3)}


def test_a_newer_ledger_is_refused_and_not_changed(server: Server, opened: Open, url: str) -> None:
    opened().close()
    server.sql(f"UPDATE {schema_of(url)}.ledger_version SET version_num = '99999'", DATABASE)
    assert refusal(url).endswith(
        f"has version 99999, but this collector supports versions up to {versions.KNOWN[-1]}: upgrade the collector"
    )


def test_a_schema_may_be_shared_with_an_application_that_uses_alembic(server: Server, opened: Open, url: str) -> None:
    schema = schema_of(url)
    server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}", DATABASE)
    server.sql(f"CREATE TABLE {schema}.alembic_version AS SELECT 'theirs' AS version_num", DATABASE)
    opened()
    assert server.sql(f"SELECT * FROM {schema}.alembic_version", DATABASE) == [("theirs",)]


def test_a_schema_with_another_table_of_the_same_name_is_refused(server: Server, url: str) -> None:
    schema = schema_of(url)
    server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}; CREATE TABLE {schema}.org (name text)", DATABASE)
    assert refusal(url) == (
        f"the schema '{schema}' of postgresql://127.0.0.1:{server.port}/usage?schema={schema} has a table 'org' of "
        "another application: name another schema with ?schema=… in state.url"
    )


# --- errors ---------------------------------------------------------------------------------


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


def test_the_documented_role_and_database_are_all_that_a_ledger_needs(server: Server, opened: Open) -> None:
    """docs/ledger.md, word for word but for the names: the server of the tests has other databases."""
    (statements,) = re.findall(r"```sql\n(.*?)```", (DOCS / "ledger.md").read_text(), re.DOTALL)
    text = statements.replace("ROLE collector", "ROLE documented").replace("OWNER collector", "OWNER documented")
    text = text.replace("DATABASE usage", "DATABASE documented").replace("a long one", PASSWORD)
    try:
        for statement in text.splitlines():
            server.sql(statement)
        opened(server.url(database="documented").replace(f"//{USER}:", "//documented:")).close()
    finally:
        server.sql("DROP DATABASE IF EXISTS documented WITH (FORCE)")
        server.sql("DROP ROLE IF EXISTS documented")


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


# --- sessions -------------------------------------------------------------------------------


def test_a_session_has_timeouts(opened: Open) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "tcp_keepalives_idle")
    ledger = opened(patience_s=7.0)
    settings = ledger._database.read(lambda tx: [tx.exec_driver_sql(f"SHOW {name}").scalar() for name in names])
    assert settings == ["1min", "7s", "1min", "30"]


def test_a_failed_transaction_leaves_no_change(opened: Open) -> None:
    ledger = opened()

    def fail(tx: Connection) -> None:
        tx.exec_driver_sql("DELETE FROM holder")
        raise LookupError

    with pytest.raises(LookupError):
        ledger._database.write(fail)
    assert ledger.acquire([registered(ledger, make_org())[0].key]) == {}


def test_the_driver_is_not_loaded_for_a_ledger_in_sqlite() -> None:
    code = "import sys, collector.ledger; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PARAMETERS = (
    "connect_timeout sslmode gssencmode target_session_attrs load_balance_hosts channel_binding keepalives_idle "
    "ssl_min_protocol_version options application_name"
)


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
