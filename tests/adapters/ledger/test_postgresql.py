"""A ledger on a real PostgreSQL server: its schema, and what can't be used, in words that say what to do."""

from __future__ import annotations

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

from collector.errors import LedgerError
from collector.ledger import SqlLedger, is_there, versions
from collector.ledger.postgresql import Place, PostgresDatabase, UrlError
from collector.ledger.postgresql.dsn import with_files_beside
from collector.ledger.schema import metadata
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ALWAYS, commit, registered
from tests.support.certificates import Authority
from tests.support.disks import small_disk_at
from tests.support.orgs import make_org
from tests.support.postgresql import DATABASE, PASSWORD, USER, Server

pytestmark = pytest.mark.slow  # needs PostgreSQL


@pytest.fixture
def url(server: Server) -> str:
    """These are about PostgreSQL."""
    return server.fresh()


def schema_of(url: str) -> str:
    return Place.of(url).schema


def told(url: str, **more: Any) -> str:
    """What is said of a ledger that can't be opened; it holds no password."""
    with pytest.raises(LedgerError) as caught:
        SqlLedger.open(url, command="collect", now=lambda: ALWAYS.start, **more)
    shown = f"{caught.value} {caught.value!r}"
    assert PASSWORD not in shown
    assert "hunter2" not in shown
    return str(caught.value)


# The schema


def test_the_ledger_has_a_schema_of_its_own(server: Server, opened: Open, url: str) -> None:
    registered(opened(), make_org())
    tables = server.sql(
        f"SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = '{schema_of(url)}'::regnamespace",
        DATABASE,
    )
    assert {name for (name,) in tables} == {*metadata.tables.keys(), "ledger_version"}
    assert Place.of(server.url()).schema == "collector"


def test_looking_whether_a_ledger_is_there_makes_none(server: Server, opened: Open, url: str) -> None:
    assert not is_there(url)
    assert server.sql(f"SELECT to_regnamespace('{schema_of(url)}')", DATABASE) == [(None,)]
    opened()
    assert is_there(url)


def test_a_server_is_also_reached_by_its_socket(server: Server, opened: Open) -> None:
    server.sql("CREATE SCHEMA by_socket", DATABASE)
    ledger = opened(f"postgresql:///{DATABASE}?host={server.public}&port={server.port}&user=postgres&schema=by_socket")
    assert ledger.acquire([registered(ledger, make_org())[0].key]) == {}


def test_two_ledgers_in_one_database_know_nothing_of_each_other(server: Server, opened: Open) -> None:
    one, other = opened(), opened(server.fresh())
    keys = [registered(ledger, make_org())[0].key for ledger in (one, other)]
    assert one.acquire([keys[0]]) == other.acquire([keys[1]]) == {}
    assert one.acquire([keys[0]]) == {}


def test_migrations_make_the_tables_that_the_code_works_with(opened: Open) -> None:
    def look(tx: Connection) -> list[Any]:
        opts = {"compare_type": True, "version_table": versions.version_table(tx)}
        return list(compare_metadata(MigrationContext.configure(tx, opts=opts), metadata))

    assert opened()._database.read(look) == []


def test_an_older_ledger_is_migrated_when_it_is_opened(monkeypatch: pytest.MonkeyPatch, url: str, opened: Open) -> None:
    def to_first(tx: Connection) -> None:
        config = Config(attributes={"connection": tx, "version_table": versions.version_table(tx)})
        config.set_main_option("script_location", versions.SCRIPTS)
        command.upgrade(config, "0001")

    with monkeypatch.context() as patched:
        patched.setattr(versions, "KNOWN", ("0001",))
        patched.setattr(versions, "migrate", to_first)
        PostgresDatabase.open(Place.of(url), durable=False).close()
    ledger = opened()
    assert ledger._database.read(versions.found) == versions.KNOWN[-1] != "0001"
    assert ledger.acquire([registered(ledger, make_org())[0].key]) == {}


def test_a_newer_ledger_is_refused_and_left_as_it_is(server: Server, opened: Open, url: str) -> None:
    opened().close()
    server.sql(f"UPDATE {schema_of(url)}.ledger_version SET version_num = '99999'", DATABASE)
    assert told(url).endswith(
        f"is of version 99999, and this collector knows versions up to {versions.KNOWN[-1]}: upgrade the collector"
    )


def test_another_application_in_the_schema_is_no_hindrance_even_with_an_alembic_of_its_own(
    server: Server, opened: Open, url: str
) -> None:
    schema = schema_of(url)
    server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}", DATABASE)
    server.sql(f"CREATE TABLE {schema}.alembic_version AS SELECT 'theirs' AS version_num", DATABASE)
    opened()
    assert server.sql(f"SELECT * FROM {schema}.alembic_version", DATABASE) == [("theirs",)]


def test_a_schema_with_a_table_that_is_called_like_one_of_ours_is_refused(server: Server, url: str) -> None:
    schema = schema_of(url)
    server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}; CREATE TABLE {schema}.org (name text)", DATABASE)
    assert told(url) == (
        f"the schema '{schema}' of postgresql://127.0.0.1:{server.port}/usage?schema={schema} has a table 'org' that "
        "is no ledger's: name another schema with ?schema=… in state.url"
    )


# What its URL says


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@db.example:5433/usage?sslmode=require", "postgresql://db.example:5433/usage"),
        ("postgresql://me@a,b:6000/usage?schema=team", "postgresql://a,b:6000/usage?schema=team"),
        ("postgresql:///usage?host=/run/postgresql&password=hunter2", "postgresql:///run/postgresql/usage"),
        ("postgresql://me:hunter2%2F%3F@[::1]/usage", "postgresql://::1/usage"),
        ("postgresql://me:hunter2?x#y@db/usage", "postgresql://db/usage"),
    ],
)
def test_a_place_is_shown_without_user_and_password(url: str, shown: str) -> None:
    place = Place.parse(url)
    assert str(place) == shown
    assert "hunter2" not in f"{place} {place!r}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db",
        "postgresql://me:hunter2@db/x?schema=A",
        "postgresql://me:hunter2@db/x?schema=a&schema=b",
        "postgresql://me:hunter2@db/x?hunter2=1",
        "postgresql://me:x@hunter2@db/%zz",
        "postgresql://me:hunter2@[db/x",
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_what_may_be_a_password(url: str) -> None:
    with pytest.raises(UrlError) as caught:
        Place.parse(url)
    assert "hunter2" not in str(caught.value) or "parameter 'hunter2'" in str(caught.value)


def test_files_that_a_url_names_are_beside_the_file_that_holds_it() -> None:
    beside = with_files_beside("postgresql://u:a%2Fb@h/d?sslrootcert=ca.pem&sslkey=/k&sslmode=require", Path("/etc/c"))
    assert Place.parse(beside).params == {
        "user": "u",
        "password": "a/b",
        "host": "h",
        "dbname": "d",
        "sslrootcert": "/etc/c/ca.pem",
        "sslkey": "/k",
        "sslmode": "require",
    }
    for same in ("postgresql://h/d", "postgresql://h/d?sslrootcert=system", "postgresql://h/d?options=-c%20a%3Db+c"):
        assert with_files_beside(same, Path("/etc/c")) == same


# What can't be used, in words


def test_a_wrong_password_is_told(server: Server, url: str) -> None:
    assert told(server.url(schema_of(url), password="hunter2")).endswith(
        "can't be used: the user name or password is refused: correct the URL's user, and the password in "
        "state.password_file, PGPASSWORD or a passfile"
    )


def test_no_password_is_told(server: Server) -> None:
    assert "the server wants a password: give its file with state.password_file" in told(server.url(password=None))


def test_no_such_database_is_told(server: Server) -> None:
    assert 'database "nowhere" does not exist: create it, or correct the URL' in told(server.url(database="nowhere"))


def test_no_server_is_told_at_once() -> None:
    at = told("postgresql://me:hunter2@127.0.0.1:9/usage")
    assert at.startswith("the ledger postgresql://127.0.0.1:9/usage can't be used: no server answers, or it went away")
    assert "Connection refused" in at


def test_a_user_who_may_make_no_schema_is_told(server: Server, url: str) -> None:
    server.sql(
        f"DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'; "
        f"GRANT CONNECT ON DATABASE {DATABASE} TO guest"
    )
    said = told(url.replace(f"//{USER}:", "//guest:"))
    assert f"permission denied for database {DATABASE}" in said
    assert f"CREATE SCHEMA {schema_of(url)} AUTHORIZATION" in said


def test_too_many_connections_are_told(server: Server, url: str) -> None:
    server.sql(f"ALTER ROLE {USER} CONNECTION LIMIT 0")
    try:
        said = told(url)
    finally:
        server.sql(f"ALTER ROLE {USER} CONNECTION LIMIT -1")
    assert "too many connections: raise its max_connections or stop some clients" in said


def test_a_server_that_only_reads_is_told(server: Server, url: str) -> None:
    server.sql(f"ALTER ROLE {USER} SET default_transaction_read_only = on")
    try:
        said = told(url)
    finally:
        server.sql(f"ALTER ROLE {USER} RESET default_transaction_read_only")
    assert "the server is a standby, which can't be written: name the primary, or all hosts" in said


def test_a_ledger_that_stays_locked_is_told_and_readers_go_on(opened: Open, url: str) -> None:
    ledger = opened(patience_s=0.2)
    (standing,) = registered(ledger, make_org())
    with psycopg.connect(url.partition("?")[0]) as blocker:
        blocker.execute("SELECT pg_advisory_xact_lock(%s)", [Place.of(url).lock_key("write")])
        with pytest.raises(LedgerError, match="another process has kept it locked for too long"):
            ledger.commit([commit(standing.key, 0)], None)
        assert ledger.coverage(standing.key, ALWAYS) == {}
        assert "another process has kept it locked for too long" in told(url, patience_s=0.2)
    ledger.commit([commit(standing.key, 0)], None)
    assert len(ledger.coverage(standing.key, ALWAYS)) == 1


def test_a_full_disk_of_the_server_is_told_and_once_there_is_space_all_goes_on(server: Server, opened: Open) -> None:
    with small_disk_at(server.public / "disk", "24m") as disk, on_disk(server, disk) as database:
        ledger = opened(server.url(database=database))
        (standing,) = registered(ledger, make_org())
        ballast = disk / "ballast"
        fill(ballast)
        with pytest.raises(LedgerError, match="the server's disk is full: free some space there and call again"):
            book_many(ledger, standing.key)
        held = len(ledger.coverage(standing.key, ALWAYS))
        assert held % 100 == 0
        ballast.unlink()
        ledger.commit([commit(standing.key, 10_000)], None)
        assert len(ledger.coverage(standing.key, ALWAYS)) == held + 1
        ledger.close()


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def book_many(ledger: SqlLedger, key: int) -> None:
    for batch in range(100):
        ledger.commit([commit(key, batch * 100 + n) for n in range(100)], None)


@contextmanager
def on_disk(server: Server, disk: Path) -> Iterator[str]:
    """A database on that disk."""
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
    [("emission = 'no JSON'", "an emission isn't as a collector writes it"), ("state = 99", "the code 99 is unknown")],
)
def test_a_row_that_no_collector_wrote_is_damage(
    server: Server, opened: Open, url: str, change: str, damaged: str
) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, 0)], None)
    server.sql(f"UPDATE {schema_of(url)}.slice SET {change}", DATABASE)
    with pytest.raises(LedgerError, match=rf"is damaged \({damaged}.*restore a backup of it; or let it begin anew"):
        ledger.rows([commit(standing.key, 0).slice])


# TLS, and the password's file


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def with_tls(server: Server, authority: Authority) -> Iterator[Server]:
    """The server, which now shows a certificate, for a name that isn't its own, and takes nobody without TLS."""
    server.speak_tls(authority.issue("DNS:ledger.example"))
    yield server
    server.speak_plainly()


def test_tls_is_as_the_url_says(with_tls: Server, authority: Authority, opened: Open) -> None:
    schema = schema_of(with_tls.fresh())

    def at(**more: str) -> str:
        return with_tls.url(schema, **more).replace("@127.0.0.1:", "@ledger.example:") + "&hostaddr=127.0.0.1"

    ca = str(authority.ca_file)
    ledger = opened(at(sslmode="verify-full", sslrootcert=ca))
    assert ledger._database.read(
        lambda tx: tx.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar()
    )
    assert "the server doesn't let this user in from here, or not without TLS" in told(at(sslmode="disable"))
    missing = told(at(sslmode="verify-full", sslrootcert=f"{ca}.missing"))
    assert "there are no authorities to trust: give their file with sslrootcert=" in missing
    elsewhere = with_tls.url(schema, sslmode="verify-full", sslrootcert=ca)
    assert "the server's certificate is for another host: " in told(elsewhere)


def test_an_authority_that_did_not_sign_is_refused(with_tls: Server, tmp_path: Path) -> None:
    ca = str(Authority(tmp_path).ca_file)
    said = told(with_tls.url(sslmode="verify-ca", sslrootcert=ca))
    assert "the server's certificate isn't signed by an authority of sslrootcert" in said


def test_a_server_without_tls_is_told_where_it_is_asked_for(server: Server) -> None:
    assert "the server doesn't speak TLS, which the URL's sslmode asks for" in told(server.url(sslmode="require"))


def test_the_password_s_file_is_read_whenever_the_server_is_connected_to(
    server: Server, opened: Open, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    ledger = opened(server.url(schema_of(server.fresh()), password=None), password_file=file)
    (standing,) = registered(ledger, make_org())
    server.sql(f"ALTER ROLE {USER} PASSWORD 'another'")
    try:
        file.write_text("another")
        server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")
        assert ledger.acquire([standing.key]) == {}
    finally:
        server.sql(f"ALTER ROLE {USER} PASSWORD '{PASSWORD}'")


def test_a_password_s_file_that_is_gone_is_told(server: Server, tmp_path: Path) -> None:
    at = server.url(password=None)
    missing = tmp_path / "missing"
    assert told(at, password_file=missing).endswith(
        f"the password's file {missing} can't be read: No such file or directory"
    )
    (tmp_path / "two").write_text(f"{PASSWORD}\nand more\n")
    assert "must hold the password and nothing else, in one line" in told(at, password_file=tmp_path / "two")


def test_nothing_in_a_session_waits_for_ever(opened: Open) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "tcp_keepalives_idle")
    ledger = opened(patience_s=7.0)
    settings = ledger._database.read(lambda tx: [tx.exec_driver_sql(f"SHOW {name}").scalar() for name in names])
    assert settings == ["1min", "7s", "1min", "30"]


def test_a_failure_in_mid_transaction_leaves_nothing_of_it(opened: Open) -> None:
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
