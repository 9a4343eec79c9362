"""Both ends of a connection: a server that sends exactly the given bytes, and the transport under test.

The server keeps the received bytes unchanged. It knows nothing of HTTP but where the head of a request ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from collector.adapters.http import HttpTransport
from collector.core.response import Reply
from collector.errors import Failure
from collector.model import ApiRequest, Org, Population
from tests.support.orgs import make_org
from tests.support.waiting import wait_until_async

REQUEST = ApiRequest(
    population=Population.ACCOUNT_USER, from_="2026-06-01 00:00:00", to="2026-06-01 23:59:59", timezone="+05:30"
)
_LONG_S = 600.0  # never reached: the client or the test ends earlier
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Peer:
    """The server's end of a connection on which a request has arrived."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    sent: int = 0  # bytes

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()
        self.sent += len(content)

    async def flood(self, piece: bytes, times: int) -> None:
        """Send a piece repeatedly while the client reads it."""
        for _ in range(times):
            await self.send(piece)

    async def drip(self, content: bytes, every_s: float = 0.02) -> None:
        """Send byte by byte, as slowly as a bad line does: it is the peer that takes its time, not the test."""
        for byte in content:
            await self.send(bytes([byte]))
            await asyncio.sleep(every_s)

    async def say_nothing(self) -> None:
        """Send nothing until the client closes the connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONG_S):
                while await self.reader.read(65536):
                    pass

    async def until_read(self) -> None:
        """Wait until the client, which lives in this event loop, has read what was sent."""
        fd = self.writer.get_extra_info("socket").fileno()
        await wait_until_async(lambda: fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)) == bytes(4), "all is acknowledged")
        for _ in range(3):  # turns of the loop, in which it reads what has arrived
            await asyncio.sleep(0)

    async def tunnel(self, port: int) -> None:
        """Forward bytes to another server and back, as a proxy does, until either end closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            ways = [_carry(self.reader, writer), _carry(reader, self.writer)]
            await asyncio.wait([asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.close()
            self.close()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """End the connection by RST instead of FIN."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(65536):
        writer.write(content)
        await writer.drain()


Behaviour = Callable[[Peer], Awaitable[None]]


@dataclass
class RawServer:
    """What reached the server."""

    behave: Behaviour
    at_once: bool = False
    base_url: str = ""
    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    ended: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def connections(self) -> int:
        return len(self.peers)

    @property
    def sent(self) -> int:
        """Bytes, over all connections."""
        return sum(peer.sent for peer in self.peers)

    @property
    def request_lines(self) -> list[str]:
        return [head.partition(b"\r\n")[0].decode() for head in self.heads]

    def headers(self, n: int = -1) -> dict[str, str]:
        """The n-th request's headers, by lower-case name."""
        lines = self.heads[n].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}

    async def until_all_ended(self) -> None:
        """Wait until no connection is left."""
        await wait_until_async(lambda: self.ended == self.connections)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(peer := Peer(reader, writer))
        task = asyncio.get_running_loop().create_task(self._serve(peer))
        self._tasks.add(task)

    async def _serve(self, peer: Peer) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                if self.at_once:
                    await self.behave(peer)
                while not self.at_once:
                    peer.head = await peer.reader.readuntil(b"\r\n\r\n")
                    self.heads.append(peer.head)
                    await self.behave(peer)
        finally:
            peer.close()
            self.ended += 1

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def raw_server(
    behave: Behaviour, *, tls: ssl.SSLContext | None = None, at_once: bool = False
) -> AsyncIterator[RawServer]:
    """Run a server on loopback. It calls `behave` after the head of each request, or `at_once` on a new connection."""
    raw = RawServer(behave, at_once)
    server = await asyncio.start_server(raw._accept, "127.0.0.1", 0, ssl=tls)
    raw.port = server.sockets[0].getsockname()[1]
    raw.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{raw.port}"
    try:
        yield raw
    finally:
        server.close()
        await raw._stop()


def response(body: bytes = b"{}", status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """An HTTP response as bytes; `length` is a wrong Content-Length, if given."""
    content_length = f"Content-Length: {len(body) if length is None else length}"
    return "\r\n".join([f"HTTP/1.1 {status}", content_length, *headers, "", ""]).encode() + body


def answering(content: bytes) -> Behaviour:
    """Send the same bytes to every request, and keep the connection open."""

    async def behave(peer: Peer) -> None:
        await peer.send(content)

    return behave


def closing_after(content: bytes) -> Behaviour:
    """Send these bytes, then close the connection."""

    async def behave(peer: Peer) -> None:
        await peer.send(content)
        peer.close()

    return behave


@dataclass
class Client:
    """The transport under test, with a count of the requests that it reported as sent."""

    transport: HttpTransport
    org: Org
    sent: int = 0

    async def fetch(self, request: ApiRequest = REQUEST, org: Org | None = None) -> Reply | Failure:
        return await self.transport.fetch(org or self.org, request, on_sent=self._count)

    def _count(self) -> None:
        self.sent += 1


@asynccontextmanager
async def client_of(
    base_url: str, *, timeout_s: float = 5.0, connections: int = 4, ca_file: Path | None = None
) -> AsyncIterator[Client]:
    """Open a transport for this address."""
    async with HttpTransport(timeout_s=timeout_s, connections=connections, ca_file=ca_file) as transport:
        yield Client(transport, make_org(base_url=base_url))


def flooding(head: bytes, piece: bytes) -> Behaviour:
    async def behave(peer: Peer) -> None:
        await peer.send(head)
        await peer.flood(piece, 64 * 1024 * 1024 // len(piece))

    return behave
