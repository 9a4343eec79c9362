"""How many connections there may be, and which of them are closed. It holds with and without a token.

Each connection costs a file handle, and a run needs handles for the API, its files and the ledger. So connections get a
share of them. If all of that share is used, one makes room for the next one: the one that has been idle for longest,
else the one whose client has read nothing of its answer for longest. So whoever has a request gets an answer.

A connection is closed
- after `IDLE_S` without a whole request. That is aiohttp's keep-alive timeout, which counts from the start;
- after `UNREAD_S` in which its client reads nothing of what is to be sent. aiohttp would wait for it for ever, also
  after it has closed the connection;
- if its client reads one answer for `ANSWER_S`.

Answers other than health are under way on at most `_AT_ONCE` connections: each may be large. If there are so many, one
whose client has read nothing for `_STALLED_S` makes room.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

IDLE_S = 10.0
UNREAD_S = 10.0
ANSWER_S = 60.0
_LOOK_EVERY_S = 1.0
_STALLED_S = 1.0
_AT_ONCE = 16
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
        """Count a connection, and make room for it: end an idle or a stalled one, or itself if there is none."""
        self._open[connection] = None
        if len(self._open) > self._most:
            idle = next((one for one in self._open if one.is_idle), None)
            (idle or longest_unread(self._open) or connection).end()

    def has_room(self, connection: Connection) -> bool:
        """Say whether a connection may begin an answer that may be large. Ends one whose client doesn't read for it."""
        under_way = [one for one in self._open if one.answers_large and one is not connection]
        if len(under_way) < _AT_ONCE:
            return True
        stalled = longest_unread(one for one in under_way if one.unread_s() >= _STALLED_S)
        if stalled is not None:
            stalled.end()
        return stalled is not None

    def heard(self, connection: Connection) -> None:
        """Note that a connection is used."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def ended(self, connection: Connection) -> None:
        """Count a connection no more."""
        self._open.pop(connection, None)

    async def keep_deadlines(self) -> None:
        """Close connections whose clients don't read, until cancelled."""
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, UNREAD_S / 4))
            for one in list(self._open):
                if one.unread_s() >= UNREAD_S or one.answering_s() >= ANSWER_S:
                    one.end()


class Connection(asyncio.Protocol):
    """Passes on what comes in to the protocol that answers it."""

    def __init__(self, answering: asyncio.Protocol, connections: Connections) -> None:
        self.answers_large = False  # whether the answer under way may be large
        self._answers = False  # whether a request is being answered
        self._began_s = 0.0
        self._read_at_s = 0.0  # when the client was last seen to read, or had nothing to read
        self._unsent = 0  # bytes of answers, at the last look
        self._answering = answering
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    @property
    def is_idle(self) -> bool:
        """Say whether no request is being answered, and no part of an answer is still to be sent."""
        return not self._answers and not self._size()

    def begin(self, *, large: bool) -> bool:
        """Note that a request is being answered. Return False if its answer would be one large answer too many."""
        self._answers, self._began_s = True, self._loop.time()
        self.answers_large = large and self._connections.has_room(self)
        return self.answers_large or not large

    def answered(self) -> None:
        """Note the end of an answer."""
        self._answers = self.answers_large = False

    def unread_s(self) -> float:
        """Return for how long the client has read nothing, though there is something to read. Looks at it now."""
        size, now_s = self._size(), self._loop.time()
        if not size or size < self._unsent:
            self._read_at_s = now_s
        self._unsent = size
        return now_s - self._read_at_s

    def answering_s(self) -> float:
        """Return for how long the client has been reading the answer under way."""
        return self._loop.time() - self._began_s if self._answers and self._size() else 0.0

    def end(self) -> None:
        """Close the connection at once, and make room for another."""
        self._connections.ended(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to answer."""
        self._transport = cast("asyncio.Transport", transport)
        self._read_at_s = self._loop.time()
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
        self._read_at_s = self._loop.time()
        self._answering.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is closed."""
        self._connections.ended(self)
        self._answering.connection_lost(exc)

    def _size(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()


def longest_unread(connections: Iterable[Connection]) -> Connection | None:
    """Return the connection whose client has read nothing for longest, of those that have something to read."""
    unread = {one: unread_s for one in connections if (unread_s := one.unread_s())}
    return max(unread, key=unread.__getitem__, default=None)


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
