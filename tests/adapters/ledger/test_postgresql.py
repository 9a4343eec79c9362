"""A ledger on a real PostgreSQL server: its schema, and errors that say what to do."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from collector.errors import ConfigError, LedgerError
from collector.ledger import back_up, open_reader, versions
from collector.ledger.postgresql import Dsn, PostgresDatabase
from collector.ledger.schema import BEGINNING, metadata
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ACCOUNT, ALWAYS, commit, day, refusal, registered, schema_of
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
