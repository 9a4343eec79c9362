"""The transport over TLS: which certificates it trusts, and its failures."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path

import pytest

from collector.adapters.http import HttpTransport
from collector.core.response import Reply
from collector.errors import ConfigError, Rejected, Retriable
from tests.support.certificates import Authority
from tests.support.raw_server import Behaviour, Peer, answering, client_of, raw_server, response
from tests.support.waiting import BOUND_S

OK = Reply(status=200, body=b"{}")


def not_trusted(reason: str) -> Rejected:
    return Rejected(
        code="tls_certificate",
        message=(
            f"the server's certificate is not trusted ({reason}): if your company or proxy signs it, set api.ca_file "
            "to its CA; if that is set, check that it is the right one"
        ),
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> ssl.SSLContext:
    return authority.issue().server_context()


async def test_nothing_is_sent_to_a_server_with_an_untrusted_certificate(good: ssl.SSLContext) -> None:
    async with raw_server(answering(response()), tls=good) as server, client_of(server.base_url) as client:
        assert await client.fetch() == not_trusted("unable to get local issuer certificate")
    assert (server.heads, client.sent) == ([], 0)


async def test_a_certificate_of_the_ca_file_is_trusted_and_the_connection_reused(
    authority: Authority, good: ssl.SSLContext
) -> None:
    async with (
        raw_server(answering(response()), tls=good) as server,
        client_of(server.base_url, ca_file=authority.ca_file) as client,
    ):
        assert [await client.fetch() for _ in range(5)] == [OK] * 5
    assert (server.connections, len(server.heads), client.sent) == (1, 5, 5)


async def test_a_ca_file_of_another_authority_does_not_help(good: ssl.SSLContext, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    async with (
        raw_server(answering(response()), tls=good) as server,
        client_of(server.base_url, ca_file=other.ca_file) as client,
    ):
        assert await client.fetch() == not_trusted("unable to get local issuer certificate")
    assert (server.heads, client.sent) == ([], 0)


@pytest.mark.parametrize("san", ["DNS:other.example.test", "IP:127.0.0.2", "DNS:127.0.0.1"])
async def test_a_certificate_for_another_host_is_refused(authority: Authority, san: str) -> None:
    tls = authority.issue(san).server_context()
    async with (
        raw_server(answering(response()), tls=tls) as server,
        client_of(server.base_url, ca_file=authority.ca_file) as client,
    ):
        assert await client.fetch() == not_trusted("IP address mismatch, certificate is not valid for '127.0.0.1'")
    assert (server.heads, client.sent) == ([], 0)


async def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    tls = authority.issue(expired=True).server_context()
    async with (
        raw_server(answering(response()), tls=tls) as server,
        client_of(server.base_url, ca_file=authority.ca_file) as client,
    ):
        assert await client.fetch() == not_trusted("certificate has expired")
    assert (server.heads, client.sent) == ([], 0)


async def test_an_unsafe_version_of_tls_is_refused(authority: Authority) -> None:
    old = authority.issue().server_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the test uses the old version on purpose
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with (
        raw_server(answering(response()), tls=old) as server,
        client_of(server.base_url, ca_file=authority.ca_file) as client,
    ):
        result = await client.fetch()
    assert isinstance(result, Retriable)
    assert result.code in {"tls", "connect"}  # the error depends on the version of OpenSSL
    assert (server.heads, client.sent) == ([], 0)


async def answer_in_plain_http(peer: Peer) -> None:
    await peer.reader.read(16)
    await peer.send(response(b"", "400 Bad Request"))


async def close_in_the_handshake(peer: Peer) -> None:
    await peer.reader.read(16)
    peer.close()


@pytest.mark.parametrize(
    ("behave", "failure"),
    [
        (answer_in_plain_http, Retriable(code="tls", message="the TLS handshake failed")),
        (close_in_the_handshake, Retriable(code="connect", message="no connection could be made")),
        (Peer.say_nothing, Retriable(code="timeout", message="no complete answer within 0.3 s")),
    ],
)
async def test_a_server_without_tls_is_a_typed_failure_and_gets_no_request(
    behave: Behaviour, failure: Retriable
) -> None:
    async with (
        raw_server(behave, at_once=True) as server,
        client_of(
            f"https://127.0.0.1:{server.port}", timeout_s=0.3 if failure.code == "timeout" else BOUND_S
        ) as client,
    ):
        assert await client.fetch() == failure
        await server.until_all_ended()
    assert client.sent == 0


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00garbage", b"-----BEGIN CERTIFICATE-----\nabc\n"])
def test_a_ca_file_without_certificates_is_a_config_error_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        HttpTransport(timeout_s=1, connections=1, ca_file=path)
    assert str(caught.value) == f"api.ca_file: {path} contains no certificates in PEM format"


def test_a_key_or_a_directory_as_ca_file_is_a_config_error(authority: Authority, tmp_path: Path) -> None:
    for path in (authority.issue().key, tmp_path):
        with pytest.raises(ConfigError, match="contains no certificates in PEM format"):
            HttpTransport(timeout_s=1, connections=1, ca_file=path)
