"""The transport through a proxy: when it uses one, what it sends, and failures of the proxy."""

from __future__ import annotations

import os
import socket
from base64 import b64encode
from pathlib import Path

import pytest

from collector.adapters.proxies import is_excepted
from collector.core.response import Reply
from collector.errors import Rejected, Retriable
from tests.support.certificates import Authority
from tests.support.raw_server import (
    Behaviour,
    Peer,
    RawServer,
    answering,
    client_of,
    closing_after,
    raw_server,
    response,
)
from tests.support.waiting import BOUND_S

API = "https://api.invalid"
CONNECT = "CONNECT api.invalid:443 HTTP/1.1"
OK = Reply(status=200, body=b"{}")
CHECK = "check the proxy variables (HTTPS_PROXY and the like)"
REFUSED_BY_PROXY = Retriable(code="proxy", message="the proxy answered 502 to CONNECT: it refuses to reach the host")
UNKNOWN_HOST = Retriable(code="dns", message="the host name could not be resolved")


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Remove all proxies and block name resolution: nothing leaves this machine. Returns the names looked up."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    names: list[str] = []

    def unknown(host: str, *_: object, **__: object) -> None:
        names.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return names


def proxy_url(proxy: RawServer, credential: str = "") -> str:
    return f"http://{credential}127.0.0.1:{proxy.port}"


# --- when a proxy is used -------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_a_proxy_gets_only_a_connect_request(
    monkeypatch: pytest.MonkeyPatch, looked_up: list[str], variable: str
) -> None:
    async with raw_server(closing_after(response(b"", "502 Bad Gateway"))) as proxy, client_of(API) as client:
        monkeypatch.setenv(variable, proxy_url(proxy))
        assert await client.fetch() == REFUSED_BY_PROXY
    assert proxy.request_lines == [CONNECT]
    assert "authorization" not in proxy.headers()
    assert "proxy-authorization" not in proxy.headers()
    assert client.sent == 0
    assert looked_up == []


async def test_http_and_https_have_separate_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(answering(response())) as proxy, client_of(API) as client:
        monkeypatch.setenv("HTTP_PROXY", proxy_url(proxy))
        assert await client.fetch() == UNKNOWN_HOST
    assert proxy.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "[::1]"])
async def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    async with raw_server(answering(response())) as proxy:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy_url(proxy))
        for scheme in ("http", "https"):
            async with client_of(f"{scheme}://{host}:1") as client:
                result = await client.fetch()
            assert isinstance(result, Retriable)
            assert result.code in {"connect", "dns"}
    assert proxy.connections == 0


async def test_a_loopback_server_is_reached_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with raw_server(answering(response())) as server, client_of(server.base_url) as client:
        assert await client.fetch() == OK


async def test_a_name_that_only_starts_like_loopback_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        raw_server(closing_after(response(b"", "502 Bad Gateway"))) as proxy,
        client_of("https://127.api.invalid") as client,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy))
        assert await client.fetch() == REFUSED_BY_PROXY
    assert proxy.request_lines == ["CONNECT 127.api.invalid:443 HTTP/1.1"]


@pytest.mark.parametrize("no_proxy", ["api.invalid", ".invalid", "invalid", "other.test, api.invalid", "*"])
async def test_a_host_in_no_proxy_is_requested_directly(
    monkeypatch: pytest.MonkeyPatch, looked_up: list[str], no_proxy: str
) -> None:
    async with raw_server(answering(response())) as proxy, client_of(API) as client:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy))
        monkeypatch.setenv("NO_PROXY", no_proxy)
        assert await client.fetch() == UNKNOWN_HOST
    assert proxy.connections == 0
    assert set(looked_up) == {"api.invalid"}


@pytest.mark.parametrize("port", ["", ":443", ":8443"])
async def test_no_proxy_may_contain_a_port(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    async with raw_server(closing_after(response(b"", "502 Bad Gateway"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy))
        monkeypatch.setenv("NO_PROXY", f"api.invalid:{port.strip(':') or 443}")
        async with client_of(f"{API}{port}") as client:
            assert await client.fetch() == UNKNOWN_HOST
        async with client_of(f"{API}:9") as client:
            assert await client.fetch() == REFUSED_BY_PROXY
    assert proxy.request_lines == ["CONNECT api.invalid:9 HTTP/1.1"]


# --- failures of the proxy ------------------------------------------------------------------


async def close(peer: Peer) -> None:
    peer.close()


@pytest.mark.parametrize(
    ("behave", "code"),
    [
        (closing_after(response(b"<html>", "502 Bad Gateway")), "proxy"),
        (closing_after(response(b"", "503 Unavailable", "Retry-After: 1")), "proxy"),
        (closing_after(response(b"", "403 Forbidden")), "proxy"),
        (close, "connection_lost"),
        (closing_after(b"garbage\r\n\r\n"), "not_http"),
        (closing_after(response(b"", "200 OK")), "connect"),
        (Peer.say_nothing, "timeout"),
    ],
    ids=["502", "503", "403", "close", "garbage", "200-and-close", "silence"],
)
async def test_a_proxy_failure_is_retried_and_never_shows_the_proxy_credential(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, behave: Behaviour, code: str
) -> None:
    async with raw_server(behave) as proxy, client_of(API, timeout_s=0.3 if code == "timeout" else BOUND_S) as client:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy, "someone:pa%20ss@"))
        result = await client.fetch()
    assert isinstance(result, Retriable)
    assert result.code == code
    assert proxy.headers()["proxy-authorization"] == "Basic c29tZW9uZTpwYSBzcw=="
    assert client.sent == 0
    for secret in ("someone", "pa ss", "pa%20ss", "c29tZW9uZTpwYSBzcw"):
        assert secret not in repr(result) + caplog.text


async def test_a_proxy_that_requires_a_credential_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = response(b"", "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="x"')
    async with raw_server(answering(answer)) as proxy, client_of(API) as client:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy, "someone:wr0ng@"))
        assert await client.fetch() == Rejected(
            code="http_407",
            message="the proxy requires a credential (407): check the proxy variables (HTTPS_PROXY and the like)",
        )
    assert proxy.request_lines == [CONNECT]
    assert client.sent == 0


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("http://someone:pass@127.0.0.1:1", "the proxy is not reached (Connection refused)"),
        ("http://someone:pass@proxy.invalid:3128", "the proxy's host name could not be resolved"),
    ],
)
async def test_an_unreachable_proxy_is_named_as_the_cause(
    monkeypatch: pytest.MonkeyPatch, proxy: str, why: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    async with client_of(API) as client:
        assert await client.fetch() == Retriable(code="proxy", message=f"{why}: {CHECK}")
    assert client.sent == 0


async def test_a_proxy_may_have_no_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """curl, Go and requests accept that too."""
    async with raw_server(closing_after(response(b"", "502 Bad Gateway"))) as proxy, client_of(API) as client:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        assert await client.fetch() == REFUSED_BY_PROXY
    assert proxy.request_lines == [CONNECT]


@pytest.mark.parametrize(
    "variable",
    [
        "socks5://someone:S3cr@127.0.0.1:{port}",
        "http://someone:S3cr@[bad",
        "http://",
        "http://:{port}",
        "http://someone:S3cr@127.0.0.1:99999",
        "http://127.0.0.1:{port},127.0.0.1:{port}",
        "http://127.0.0.1:{port}/S3cr",
        *(f"http://someone:{start}{character}S3cr@127.0.0.1:{{port}}" for character in "/?#[]@% " for start in "ab1"),
    ],
)
async def test_an_unusable_proxy_is_reported_and_not_the_base_url(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with raw_server(answering(response())) as proxy, client_of(API) as client:
        monkeypatch.setenv("HTTPS_PROXY", variable.format(port=proxy.port))
        result = await client.fetch()
    assert isinstance(result, Rejected)
    assert result.code == "proxy"
    assert "proxy" in result.message
    assert "base_url" not in result.message
    assert "S3cr" not in result.message
    assert proxy.connections == 0


@pytest.mark.parametrize(
    ("written", "credential"),
    [
        ("bob:S3cr%C3%A9t", "bob:S3crét"),
        ("bob:S3crét", "bob:S3crét"),
        ("b%F0%9F%94%91b:%E5%AF%86", "b🔑b:密"),
        ("bob:a%2Fb%40c:d!$&'()*+,;=", "bob:a/b@c:d!$&'()*+,;="),
        ("bob", "bob:"),
    ],
)
async def test_a_credential_for_the_proxy_is_sent_as_utf_8(
    monkeypatch: pytest.MonkeyPatch, written: str, credential: str
) -> None:
    async with raw_server(closing_after(response(b"", "502 Bad Gateway"))) as proxy, client_of(API) as client:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy, f"{written}@"))
        assert await client.fetch() == REFUSED_BY_PROXY
    assert proxy.request_lines == [CONNECT]
    assert proxy.headers()["proxy-authorization"] == f"Basic {b64encode(credential.encode()).decode()}"


# --- through the proxy ----------------------------------------------------------------------


async def test_a_request_through_a_tunnel_is_hidden_from_the_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    tls = authority.issue("DNS:api.invalid").server_context()

    async def tunnel(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await peer.tunnel(server.port)

    async with (
        raw_server(answering(response()), tls=tls) as server,
        raw_server(tunnel) as proxy,
        client_of(API, ca_file=authority.ca_file) as trusting,
        client_of(API) as client,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy, "someone:pass@"))
        assert [await trusting.fetch() for _ in range(3)] == [OK] * 3
        mistrusted = await client.fetch()
    assert isinstance(mistrusted, Rejected)
    assert mistrusted.code == "tls_certificate"
    assert (len(server.heads), trusting.sent, client.sent) == (3, 3, 0)
    assert server.headers()["authorization"] == trusting.org.credential.authorization()
    assert "proxy-authorization" not in server.headers()
    assert proxy.request_lines == [CONNECT] * 2
    assert "authorization" not in proxy.headers(0)


@pytest.mark.parametrize(
    ("entries", "excepted"),
    [
        ("10.0.0.0/8", ["10.1.2.3"]),
        ("10.1.2.3", ["10.1.2.3"]),
        ("fd00::/8", ["fd00::7"]),
        ("*.example.test", ["api.example.test", "example.test"]),
        (".example.test", ["api.example.test", "example.test"]),
        ("example.test", ["api.example.test", "example.test"]),
        ("example.test:8443", []),
        ("example.test:443", ["api.example.test", "example.test"]),
        ("other.test, 10.0.0.0/8 , ,*.example.test", ["10.1.2.3", "api.example.test", "example.test"]),
        ("*", ["10.1.2.3", "fd00::7", "api.example.test", "example.test", "notexample.test"]),
        ("10.0.0.0/33, 300.1.2.3, :", []),
        ("", []),
    ],
)
def test_no_proxy_knows_networks_and_suffixes(entries: str, excepted: list[str]) -> None:
    hosts = ["10.1.2.3", "fd00::7", "api.example.test", "example.test", "notexample.test"]
    assert [host for host in hosts if is_excepted(host, 443, {"no": entries})] == excepted
