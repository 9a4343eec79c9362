"""The transport over TLS: whom it trusts, and what it says when it doesn't."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from collector.core.response import Reply
from collector.errors import Rejected, Retriable
from tests.support.certificates import Authority
from tests.support.raw_server import Peer, answering, asking, raw_server, response

OK = Reply(status=200, body=b"{}")
NOT_TRUSTED = Rejected(
    code="tls_certificate",
    message="the server's certificate is not trusted: set api.ca_file if a proxy of yours signs it",
)
NO_TLS = Retriable(code="tls", message="no TLS connection could be made")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> ssl.SSLContext:
    return authority.issue().server_context()


async def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(good: ssl.SSLContext) -> None:
    async with raw_server(answering(response()), tls=good) as server, asking(server.base_url) as asker:
        assert await asker.ask() == NOT_TRUSTED
    assert (server.heads, asker.sent) == ([], 0)


async def test_a_certificate_of_the_ca_file_is_trusted(authority: Authority, good: ssl.SSLContext) -> None:
    async with (
        raw_server(answering(response()), tls=good) as server,
        asking(server.base_url, ca_file=authority.ca_file) as asker,
    ):
        assert [await asker.ask() for _ in range(5)] == [OK] * 5
    assert (server.connections, len(server.heads), asker.sent) == (1, 5, 5)


async def test_a_server_certificate_itself_may_be_the_ca_file_and_nothing_else_is_trusted_by_it(
    authority: Authority, tmp_path: Path
) -> None:
    """A ca_file adds to what the system trusts: this one adds another authority than the server's."""
    other = Authority(tmp_path)
    async with (
        raw_server(answering(response()), tls=authority.issue().server_context()) as server,
        asking(server.base_url, ca_file=other.ca_file) as asker,
    ):
        assert await asker.ask() == NOT_TRUSTED
    assert server.heads == []


@pytest.mark.parametrize("san", ["DNS:other.example.test", "IP:127.0.0.2", "DNS:127.0.0.1"])
async def test_a_certificate_for_another_host_is_refused(authority: Authority, san: str) -> None:
    tls = authority.issue(san).server_context()
    async with (
        raw_server(answering(response()), tls=tls) as server,
        asking(server.base_url, ca_file=authority.ca_file) as asker,
    ):
        assert await asker.ask() == NOT_TRUSTED
    assert (server.heads, asker.sent) == ([], 0)


async def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    tls = authority.issue(expired=True).server_context()
    async with (
        raw_server(answering(response()), tls=tls) as server,
        asking(server.base_url, ca_file=authority.ca_file) as asker,
    ):
        assert await asker.ask() == NOT_TRUSTED
    assert (server.heads, asker.sent) == ([], 0)


async def test_a_server_without_tls_is_no_connection() -> None:
    async with raw_server(answering(response())) as server, asking(f"https://127.0.0.1:{server.port}") as asker:

        async def say_http(peer: Peer) -> None:
            await peer.send(response())

        server.behave = say_http
        result = await asker.ask()
    assert isinstance(result, Retriable)
    assert result.code in {"tls", "timeout"}
    assert (server.heads, asker.sent) == ([], 0)


async def test_a_server_that_closes_in_the_handshake_is_no_connection() -> None:
    async with raw_server(answering(b"")) as server:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
        assert server
