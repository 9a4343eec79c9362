"""How many connections there may be, and for how long one may be idle. It holds with and without a token.

Each connection costs a file handle, and a run needs handles for the API, its files and the ledger. So connections get a
share of them. If all of that share is used, the connection that has been idle for longest makes room for the next one:
whoever has a request gets an answer, however many connections idle. A connection without a request is closed after
`IDLE_S`; that is aiohttp's keep-alive timeout, which counts from the start and for a half-sent head, too.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler

IDLE_S = 10.0
_MOST = 250  # more than any honest use needs, and few enough that no file handle reaches the 1024 of select(2)
_LEAST = 4
_SHARE = 4  # of the file handles that are left, connections get one in four


class Connections:
    """The open connections, at most `most`. Call it for the protocol of a new one."""

    def __init__(self, answering: Callable[[], asyncio.Protocol], most: int) -> None:
        self._answering = answering
        self._most = most
        self._open: dict[Connection, None] = {}  # the one that has been quiet for longest is the first

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self._answering(), self)

    def opened(self, connection: Connection) -> None:
        """Count a connection, and make room for it: end the longest idle one, or itself if none is idle."""
        self._open[connection] = None
        if len(self._open) > self._most:
            next(filter(lambda one: one.is_idle, self._open), connection).end()

    def heard(self, connection: Connection) -> None:
        """Note that a connection is used."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def ended(self, connection: Connection) -> None:
        """Count a connection no more."""
        self._open.pop(connection, None)


class Connection(asyncio.Protocol):
    """Passes on what comes in to the protocol that answers it."""

    def __init__(self, answering: asyncio.Protocol, connections: Connections) -> None:
        self.answers = False  # whether a request is being answered
        self._answering = answering
        self._connections = connections
        self._transport: asyncio.Transport | None = None

    @property
    def is_idle(self) -> bool:
        """Say whether no request is being answered, and no part of an answer is still to be sent."""
        return not self.answers and (self._transport is None or not self._transport.get_write_buffer_size())

    def end(self) -> None:
        """Close the connection at once, and make room for another."""
        self._connections.ended(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to answer."""
        self._transport = cast("asyncio.Transport", transport)
        self._answering.connection_made(transport)
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        """Pass on a part of a request."""
        self._connections.heard(self)
        self._answering.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on that no more requests will come."""
        return self._answering.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client reads too slowly."""
        self._answering.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client goes on reading."""
        self._answering.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is closed."""
        self._connections.ended(self)
        self._answering.connection_lost(exc)


class AnswerEnds(AbstractAccessLogger):
    """Notes the end of each answer. aiohttp calls an access log for that; nothing is logged."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Note that a request is answered."""
        del response, time
        if (connection := _connection(request)) is not None:
            connection.answers = False


@web.middleware
async def noting_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note that a request has come in, and is being answered."""
    if (connection := _connection(request)) is not None:
        connection.answers = True
    return await handler(request)


def _connection(request: web.BaseRequest) -> Connection | None:
    protocol = None if request.transport is None else request.transport.get_protocol()
    return protocol if isinstance(protocol, Connection) else None


def raise_file_limit() -> None:
    """Raise this process's limit of open files as far as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int:
    """Return how many connections there may be: a share of the file handles that are left."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        used = 0
    left = _MOST * _SHARE if soft == resource.RLIM_INFINITY else soft - used
    return max(_LEAST, min(_MOST, left // _SHARE))
