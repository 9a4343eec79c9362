"""How a ledger on a real PostgreSQL server is reached safely: TLS, and the file with the password."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import refusal, registered, schema_of
from tests.support.certificates import Authority
from tests.support.orgs import make_org
from tests.support.postgresql import PASSWORD, USER, Server

pytestmark = pytest.mark.slow  # needs PostgreSQL


@pytest.fixture
def url(server: Server) -> str:
    """A ledger in PostgreSQL."""
    return server.fresh()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def with_tls(server: Server, authority: Authority) -> Iterator[Server]:
    """The server with a certificate for another host name, which now refuses connections without TLS."""
    server.speak_tls(authority.issue("DNS:ledger.example"))
    yield server
    server.speak_plainly()


def test_tls_follows_the_parameters_of_the_url(with_tls: Server, authority: Authority, opened: Open) -> None:
    schema = schema_of(with_tls.fresh())

    def at(**more: str) -> str:
        return with_tls.url(schema, **more).replace("@127.0.0.1:", "@ledger.example:") + "&hostaddr=127.0.0.1"

    ca = str(authority.ca_file)
    ledger = opened(at(sslmode="verify-full", sslrootcert=ca))
    assert ledger._database.read(
        lambda tx: tx.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar()
    )
    assert "the server doesn't accept this user from this machine, or not without TLS" in refusal(at(sslmode="disable"))
    missing = refusal(at(sslmode="verify-full", sslrootcert=f"{ca}.missing"))
    assert "there is no file of trusted certificate authorities: set sslrootcert=" in missing
    elsewhere = with_tls.url(schema, sslmode="verify-full", sslrootcert=ca)
    assert "the server's certificate is for another host: " in refusal(elsewhere)


def test_tls_verifies_the_name_of_the_url_although_the_address_is_looked_up_first(
    with_tls: Server, authority: Authority, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        assert host in {"ledger.example", "other.example"}
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = with_tls.url(schema_of(with_tls.fresh()), sslmode="verify-full", sslrootcert=str(authority.ca_file))
    assert opened(url.replace("@127.0.0.1:", "@ledger.example:")).identified() == {}
    wrong = refusal(url.replace("@127.0.0.1:", "@other.example:"))
    assert "the server's certificate is for another host: " in wrong


def test_a_certificate_of_another_authority_is_refused(with_tls: Server, tmp_path: Path) -> None:
    ca = str(Authority(tmp_path).ca_file)
    message = refusal(with_tls.url(sslmode="verify-ca", sslrootcert=ca))
    assert "the server's certificate isn't signed by an authority in sslrootcert" in message


def test_a_server_without_tls_is_reported_if_the_url_requires_tls(server: Server) -> None:
    assert "the server doesn't support TLS, which the URL's sslmode requires" in refusal(server.url(sslmode="require"))


def test_the_password_file_is_read_at_every_connection(server: Server, opened: Open, tmp_path: Path) -> None:
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


def test_a_missing_or_invalid_password_file_is_reported(server: Server, tmp_path: Path) -> None:
    at = server.url(password=None)
    missing = tmp_path / "missing"
    assert refusal(at, password_file=missing).endswith(
        "the file in state.password_file can't be read: No such file or directory"
    )
    (tmp_path / "two").write_text(f"{PASSWORD}\nand more\n")
    assert "must hold one line with the password and nothing else" in refusal(at, password_file=tmp_path / "two")
