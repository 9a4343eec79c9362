"""Connections that idle, over real sockets: they are closed, and make room for whoever has a request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest

from collector.service.view import Observed
from collector.service.web import connections
from collector.service.web.guard import Guarding
from collector.service.web.server import make_app, serving
from tests.support.sites import FakeSite

NOW = datetime(2026, 6, 24, tzinfo=UTC)
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"GET /healthz HTTP/1.1\r\nHost: loc"
MOST = 5


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    site = FakeSite(Observed(version="0", started_at=NOW, config_path="c.yaml", config_loaded_at=NOW))
    guarding = Guarding(token=lambda: "a token doesn't help")
    async with serving(make_app(site, guarding), host="127.0.0.1", port=0, most=MOST) as port:
        yield port


@asynccontextmanager
async def connected(port: int, *sent: bytes) -> AsyncIterator[list[socket.socket]]:
    """Open a connection for each text, and send it."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        opened = []
        for data in sent:
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            await loop.sock_connect(one, ("127.0.0.1", port))
            await loop.sock_sendall(one, data)
            opened.append(one)
        yield opened


async def received(one: socket.socket) -> bytes:
    """What comes next: nothing where the connection is closed."""
    try:
        return await asyncio.get_running_loop().sock_recv(one, 65536)
    except ConnectionResetError:
        return b""


async def answer(port: int) -> bytes:
    async with connected(port, REQUEST) as (one,):
        return await received(one)


@pytest.mark.parametrize("sent", [b"", HALF])
async def test_any_number_of_idle_connections_leaves_room_for_a_request(sent: bytes) -> None:
    async with listening() as port, connected(port, *[sent] * 40) as opened:
        for _ in range(3):
            assert (await answer(port)).startswith(b"HTTP/1.1 200")
        assert await received(opened[0]) == b""


async def test_the_connection_that_was_quiet_for_longest_makes_room() -> None:
    async with listening() as port, connected(port, *[REQUEST] * MOST) as opened:
        for one in opened:
            assert (await received(one)).startswith(b"HTTP/1.1 200")
        opened[0].sendall(REQUEST)
        assert (await received(opened[0])).startswith(b"HTTP/1.1 200")
        assert (await answer(port)).startswith(b"HTTP/1.1 200")
        assert await received(opened[1]) == b""
        opened[0].sendall(REQUEST)
        assert (await received(opened[0])).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", HALF, REQUEST, REQUEST + HALF])
async def test_a_connection_without_a_whole_request_is_closed_after_a_while(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.service.web.server.IDLE_S", 0.2)
    async with listening() as port, connected(port, sent) as (one,):
        answered = b"".join([part async for part in everything(one)])
    assert answered.startswith(b"HTTP/1.1 200") == sent.startswith(REQUEST)


async def everything(one: socket.socket) -> AsyncIterator[bytes]:
    while part := await received(one):
        yield part


def test_connections_get_a_share_of_the_file_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {64: range(4, 16), 200: range(30, 50), 1024: range(200, 251), 1_048_576: range(250, 251)}
    for limit, fitting in limits.items():
        monkeypatch.setattr("resource.getrlimit", lambda _, limit=limit: (limit, limit))
        assert connections.most_connections() in fitting
