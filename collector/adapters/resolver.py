"""Resolves host names in threads of its own, so that a silent name server holds nothing else up.

`getaddrinfo` can't be interrupted, and takes as long as the machine's resolver is configured to wait. In the event
loop's default executor, lookups would take the threads that render pages, and the process would wait for
them at its end. Here each lookup has a daemon thread, and who waits for it has a deadline.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from collector.adapters.thread import in_daemon_thread

_THREADS = 64  # at most; other lookups wait
_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_Key = tuple[str, int, socket.AddressFamily]


class Resolver(AbstractResolver):
    """Resolves each host name once at a time. A name server that doesn't answer is a `socket.gaierror`."""

    def __init__(self, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._threads = asyncio.Semaphore(_THREADS)
        self._lookups: dict[_Key, asyncio.Task[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host name. Raises OSError if there are none, or after the deadline."""
        key = (host, port, family)
        lookup = self._lookups.get(key) or self._begin(key)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.shield(lookup)
        except TimeoutError as error:
            raise socket.gaierror(socket.EAI_AGAIN, "the name server doesn't answer") from error

    async def close(self) -> None:
        """Wait for no lookup any more. Their threads end by themselves, or with the process."""
        for lookup in self._lookups.values():
            lookup.cancel()

    def _begin(self, key: _Key) -> asyncio.Task[list[ResolveResult]]:
        """Begin a lookup. It goes on when nobody waits for it: a retry may use what it finds."""
        lookup = self._lookups[key] = asyncio.create_task(self._look_up(key))
        lookup.add_done_callback(lambda done: self._ended(key, done))
        return lookup

    def _ended(self, key: _Key, lookup: asyncio.Task[list[ResolveResult]]) -> None:
        del self._lookups[key]
        if not lookup.cancelled():
            lookup.exception()  # perhaps nobody waits for it any more

    async def _look_up(self, key: _Key) -> list[ResolveResult]:
        async with self._threads:
            return await in_daemon_thread(lambda: _addresses(*key), name="resolver")


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=socket.getnameinfo(address, _NUMERIC)[0],  # with the scope of a link-local address
            port=port,
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, proto, _, address in found
    ]
