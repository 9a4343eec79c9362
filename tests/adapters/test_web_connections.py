"""Connections that idle or whose clients don't read, over real sockets: they are closed, and make room for others."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.service.view import Observed
from collector.service.web import connections
from collector.service.web.choice import Choice
from collector.service.web.guard import Guarding
from collector.service.web.server import make_app, serving
from tests.support.sites import FakeSite
from tests.support.waiting import wait_until_async

NOW = datetime(2026, 6, 24, tzinfo=UTC)
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"GET /healthz HTTP/1.1\r\nHost: loc"
MOST = 5
TOKEN = "a token doesn't help"


class LargeSite(FakeSite):
    """Its metrics don't fit into what the system keeps for a client that doesn't read."""

    def metrics(self) -> bytes:
        return b"# a comment\n" * 500_000


@asynccontextmanager
async def listening(*, most: int = MOST, token: str | None = TOKEN) -> AsyncIterator[int]:
    site = LargeSite(Observed(version="0", started_at=NOW, config_path="c.yaml", config_loaded_at=NOW))
    guarding = Guarding(token=lambda: token)
    async with serving(make_app(site, guarding), host="127.0.0.1", port=0, most=most) as port:
        yield port


@asynccontextmanager
async def connected(port: int, *sent: bytes) -> AsyncIterator[list[socket.socket]]:
    """Open a connection for each text, and send it."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        opened = []
        for data in sent:
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
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


def handles() -> int:
    """Count the file handles of this process: a connection has two here, the client's and the server's."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def begun(opened: list[socket.socket]) -> None:
    """Wait until the server answers each: its handles are counted from then on."""
    for one in opened:
        assert await asyncio.get_running_loop().sock_recv(one, 1) == b"H"


async def until_open(most: int) -> None:
    """Wait until there are so few file handles. The client doesn't see it: the system keeps what it hasn't read."""
    await wait_until_async(lambda: handles() <= most)


async def status_and_rest(one: socket.socket) -> tuple[bytes, bytes]:
    """Read an answer to its end."""
    head, _, rest = (await received(one)).partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(rest) < length and (part := await received(one)):
        rest += part
    return head, rest


@pytest.mark.parametrize("path", [b"healthz", b"metrics", b"nothing"])
async def test_clients_that_send_many_requests_and_read_nothing_leave_room_for_a_request(path: bytes) -> None:
    many = REQUEST.replace(b"healthz", path) * 500
    async with listening(token=None) as port, connected(port, *[many] * 40) as opened:
        for _ in range(3):
            assert (await answer(port)).startswith(b"HTTP/1.1 200")
        assert len(opened) > MOST


async def test_idle_connections_make_room_before_those_whose_clients_do_not_read() -> None:
    large = REQUEST.replace(b"healthz", b"metrics")
    async with listening(token=None) as port, connected(port, *[large] * (MOST - 1), b"") as opened:
        assert (await answer(port)).startswith(b"HTTP/1.1 200")
        assert await received(opened[-1]) == b""
        for one in opened[:-1]:
            assert len((await status_and_rest(one))[1]) == 6_000_000


@pytest.mark.parametrize("requests", [1, 50, 100, 150, 200, 250, 300, 400, 1000])
async def test_a_connection_whose_client_reads_nothing_is_closed_however_much_waits(
    requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of it waits in the system, some in aiohttp, some isn't made yet, and aiohttp closes what is idle."""
    monkeypatch.setattr("collector.service.web.server.IDLE_S", 0.2)
    monkeypatch.setattr("collector.service.web.connections.UNREAD_S", 0.4)
    async with asyncio.timeout(30), listening() as port:
        before = handles()
        async with connected(port, REQUEST * requests) as opened:
            await begun(opened)
            await until_open(before + 1)


async def test_a_large_answer_whose_client_reads_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.service.web.connections.UNREAD_S", 0.4)
    large = REQUEST.replace(b"healthz", b"metrics")
    async with asyncio.timeout(30), listening(token=None) as port:
        before = handles()
        async with connected(port, *[large] * MOST) as opened:
            await begun(opened)
            await until_open(before + MOST)


async def test_an_answer_that_is_read_for_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.service.web.connections.ANSWER_S", 0.4)
    monkeypatch.setattr("collector.service.web.connections._LOOK_EVERY_S", 0.1)
    large = REQUEST.replace(b"healthz", b"metrics")
    async with asyncio.timeout(30), listening(token=None) as port, connected(port, large) as (one,):
        read = 0
        while part := await received_some(one):
            read += len(part)
            await asyncio.sleep(0.01)
        assert read < 6_000_000


async def received_some(one: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(one, 1024)
    except ConnectionResetError:
        return b""


async def test_one_large_answer_too_many_is_to_be_requested_again_and_health_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("collector.service.web.connections._AT_ONCE", 2)
    monkeypatch.setattr("collector.service.web.connections._STALLED_S", 1000.0)
    large = REQUEST.replace(b"healthz", b"metrics")
    async with listening(most=20, token=None) as port, connected(port, large, large) as opened:
        started = [await received(one) for one in opened]
        assert all(one.startswith(b"HTTP/1.1 200") for one in started)
        async with connected(port, large) as (third,):
            head, text = await status_and_rest(third)
        assert head.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1\r\n" in head
        assert b"Content-Security-Policy" in head
        assert b"Try again" in text
        assert (await answer(port)).startswith(b"HTTP/1.1 200")
        opened[0].close()
        async with asyncio.timeout(30):
            while not (await one_answer(port, large)).startswith(b"HTTP/1.1 200"):
                pass


async def one_answer(port: int, request: bytes) -> bytes:
    async with connected(port, request) as (one,):
        return await received(one)


async def test_a_large_answer_that_is_not_read_makes_room_for_one_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.service.web.connections._AT_ONCE", 2)
    monkeypatch.setattr("collector.service.web.connections._STALLED_S", 0.1)
    large = REQUEST.replace(b"healthz", b"metrics")
    async with (
        asyncio.timeout(30),
        listening(most=20, token=None) as port,
        connected(port, large, large) as unread,
        connected(port, large) as (third,),
    ):
        while not (answered := await status_and_rest(third))[0].startswith(b"HTTP/1.1 200"):
            third.sendall(large)
        assert len(answered[1]) == 6_000_000
        assert sorted([len((await status_and_rest(one))[1]) == 6_000_000 for one in unread]) == [False, True]


async def test_nothing_is_rendered_for_clients_that_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered, go_on = [], threading.Event()

    def status_bytes(_: Observed, choice: Choice, **__: object) -> bytes:
        rendered.append(choice.q)
        assert go_on.wait(30)
        return b"{}"

    monkeypatch.setattr("collector.service.web.server.status_bytes", status_bytes)
    searches = [REQUEST.replace(b"healthz", b"api/status?q=%d" % number) for number in range(8)]
    async with asyncio.timeout(30), listening(most=20, token=None) as port, connected(port, searches[0]) as (first,):
        await wait_until_async(lambda: rendered)
        before = handles()
        async with connected(port, *searches[1:7]):
            await wait_until_async(lambda: handles() == before + 12)
            assert (await answer(port)).startswith(b"HTTP/1.1 200")
        await wait_until_async(lambda: handles() == before)
        async with connected(port, searches[7]) as (last,):
            assert (await answer(port)).startswith(b"HTTP/1.1 200")
            go_on.set()
            for one in (first, last):
                assert (await status_and_rest(one))[1] == b"{}"
    assert rendered == ["0", "7"]


def test_connections_get_a_share_of_the_file_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {64: range(4, 16), 200: range(30, 50), 1024: range(200, 251), 1_048_576: range(250, 251)}
    others = len(list(Path("/dev/fd").iterdir())) - 12  # of the tests before this one
    for fewer, fitting in limits.items():
        limit = fewer + others
        monkeypatch.setattr("resource.getrlimit", lambda _, limit=limit: (limit, limit))
        assert connections.most_connections() in fitting
