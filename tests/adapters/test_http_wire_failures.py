"""The transport on the wire where something breaks: one typed failure, one request, nothing left open."""

from __future__ import annotations

import asyncio
import gc
import socket
from dataclasses import replace

import pytest

from collector.adapters.http import HttpTransport
from collector.core.response import Reply
from collector.errors import Rejected, Retriable
from tests.support.memory import at_most_mb
from tests.support.orgs import make_org
from tests.support.raw_server import (
    REQUEST,
    Behaviour,
    Client,
    Peer,
    answering,
    client_of,
    closing_after,
    flooding,
    raw_server,
    response,
)
from tests.support.waiting import wait_until_async

QUERY = "type=account-user&from=2026-06-01%2000:00:00&to=2026-06-01%2023:59:59&timezone=%2B05:30"
PROMISED_100 = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = Reply(status=200, body=b"{}")
TOO_LARGE = Rejected(code="too_large", message="the answer is larger than 1048576 bytes")
LOST = Retriable(code="connection_lost", message="the connection was lost")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def reset(peer: Peer) -> None:
    peer.reset()


async def close(peer: Peer) -> None:
    peer.close()


def resetting_after(content: bytes) -> Behaviour:
    async def behave(peer: Peer) -> None:
        await peer.send(content)
        await peer.until_read()
        peer.reset()

    return behave


@pytest.mark.parametrize(
    ("behave", "code"),
    [
        pytest.param(reset, "connection_lost", id="reset before the answer"),
        pytest.param(close, "connection_lost", id="closed without an answer"),
        pytest.param(closing_after(b"HTTP/1.1 2"), "connection_lost", id="status line cut off"),
        pytest.param(closing_after(b"HTTP/1.1 200 OK\r\nA: b\r\n"), "connection_lost", id="headers cut off"),
        pytest.param(resetting_after(PROMISED_100 + b"{"), "truncated", id="reset in mid-body"),
        pytest.param(closing_after(PROMISED_100 + b"{"), "truncated", id="shorter than its Content-Length"),
        pytest.param(closing_after(CHUNKED + b"5\r\nabc"), "truncated", id="cut off in a chunk"),
        pytest.param(closing_after(CHUNKED + b"3\r\nabc\r\n"), "truncated", id="no last chunk"),
        pytest.param(
            answering(response(b"no gzip", "200 OK", "Content-Encoding: gzip")), "truncated", id="gzip that is none"
        ),
        pytest.param(closing_after(CHUNKED + b"zz\r\nabc\r\n"), "not_http", id="chunk size that is none"),
        pytest.param(closing_after(b"\x00\x01\x02 hello\r\n\r\n"), "not_http", id="garbage"),
        pytest.param(closing_after(b"SSH-2.0-OpenSSH_9.9\r\n"), "not_http", id="another protocol"),
        pytest.param(closing_after(b"\x15\x03\x01\x00\x02\x02\x46"), "not_http", id="TLS"),
        pytest.param(
            closing_after(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "not_http", id="Content-Length that is none"
        ),
        pytest.param(
            closing_after(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            "not_http",
            id="two lengths",
        ),
        pytest.param(
            flooding(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"y" * 4000 + b"\r\n"), "headers", id="endless headers"
        ),
        pytest.param(flooding(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 4096), "not_http", id="endless header"),
        pytest.param(flooding(b"", b"y" * 4096), "not_http", id="endless status line"),
    ],
)
async def test_a_broken_answer_is_one_typed_failure_after_one_request(behave: Behaviour, code: str) -> None:
    async with raw_server(behave) as server, client_of(server.base_url) as client:
        with at_most_mb(16):
            result = await client.fetch()
    assert isinstance(result, Retriable)
    assert result.code == code
    assert "127.0.0.1" not in result.message
    assert len(server.heads) == client.sent == 1


async def slow_headers(peer: Peer) -> None:
    await peer.drip(PROMISED_100)


async def slow_body(peer: Peer) -> None:
    await peer.send(PROMISED_100)
    await peer.drip(b"x" * 100)


@pytest.mark.parametrize("behave", [slow_headers, slow_body, Peer.say_nothing])
async def test_the_timeout_limits_the_whole_attempt_with_a_slow_server(behave: Behaviour) -> None:
    async with raw_server(behave) as server, client_of(server.base_url, timeout_s=0.2) as client:
        # Byte by byte it would be whole after two seconds.
        assert await client.fetch() == Retriable(code="timeout", message="no complete answer within 0.2 s")
        await server.until_all_ended()


async def test_a_refused_connection_is_not_counted_as_a_request() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # but doesn't listen
        async with client_of(f"http://127.0.0.1:{unused.getsockname()[1]}") as client:
            result = await client.fetch()
    assert result == Retriable(code="connect", message="no connection could be made")
    assert client.sent == 0


async def test_a_name_that_does_not_resolve_is_not_counted_as_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with client_of("https://api.invalid") as client:
        result = await client.fetch()
    assert result == Retriable(code="dns", message="the host name could not be resolved")
    assert client.sent == 0


async def test_a_request_on_a_closed_connection_is_not_repeated() -> None:
    """aiohttp would repeat the GET by itself, without any limit counting it."""

    async def answer_once(peer: Peer) -> None:
        if len(server.heads) == 2:
            peer.close()
        else:
            await peer.send(response())

    async with raw_server(answer_once) as server, client_of(server.base_url) as client:
        lost = replace(LOST, reused_connection=True)  # so that the lane repeats it without counting an attempt
        assert [await client.fetch() for _ in range(4)] == [OK, lost, OK, OK]
    assert len(server.heads) == client.sent == 4
    assert server.connections == 3, "after the loss connections are not reused for a while"


def kept(client: Client) -> list[object]:
    """The connections that the client believes to be open."""
    connector = client.transport._sessions[True].connector
    assert connector is not None
    pools = connector._conns.values()
    return [connection for pool in pools for connection, _ in pool if connection.is_connected()]


async def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    async with raw_server(closing_after(response())) as server, client_of(server.base_url) as client:
        for _ in range(3):
            assert await client.fetch() == OK
            await server.until_all_ended()
            await wait_until_async(lambda: not kept(client), "the client has noticed it")
    assert len(server.heads) == server.connections == client.sent == 3


@pytest.mark.parametrize(
    ("behave", "sent"), [(Peer.say_nothing, 0), (slow_headers, 2), (slow_body, len(PROMISED_100) + 2)]
)
async def test_a_cancelled_request_leaves_no_connection_and_no_task(behave: Behaviour, sent: int) -> None:
    async with raw_server(behave) as server, client_of(server.base_url) as client:
        before = asyncio.all_tasks()
        task = asyncio.create_task(client.fetch())
        await wait_until_async(lambda: bool(server.heads) and server.sent >= sent)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until_all_ended()
        assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()
        assert client.sent == 1
    gc.collect()  # an unclosed connection would warn, and a warning is an error


async def test_a_transport_outside_its_context_raises() -> None:
    transport = HttpTransport(timeout_s=1, connections=1)
    with pytest.raises(RuntimeError, match="outside its context"):
        await transport.fetch(make_org(), REQUEST, on_sent=lambda: None)
