"""Sends a body that many clients share, piece by piece, as each of them reads.

A connection gets a copy of a piece, so a client that reads nothing costs that much, and not a body. All clients
together get `_BYTES_PER_S`: sending takes the event loop's time, and a run needs it.
"""

from __future__ import annotations

import asyncio

from aiohttp import payload, web
from aiohttp.abc import AbstractStreamWriter

from collector.service.web.rendering import Body

_PIECE = 64 * 1024
_BYTES_PER_S = 16 * 1024 * 1024


class Pace:
    """Gives each piece its turn: one for all connections."""

    def __init__(self) -> None:
        self._next_s = 0.0

    async def turn(self, size: int) -> None:
        """Return when that many more bytes may be sent."""
        now_s = asyncio.get_running_loop().time()
        turn_s = max(now_s, self._next_s)
        self._next_s = turn_s + size / _BYTES_PER_S
        await asyncio.sleep(turn_s - now_s)


class _Pieces(payload.Payload):
    def __init__(self, content: bytes, pace: Pace) -> None:
        super().__init__(content)
        self._size = len(content)
        self._content = content
        self._pace = pace

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._content.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for start in range(0, len(self._content), _PIECE):
            piece = self._content[start : start + _PIECE]
            await self._pace.turn(len(piece))
            await writer.write(piece)
            await writer.drain()


def answer(request: web.Request, body: Body, content_type: str, pace: Pace, *, status: int = 200) -> web.Response:
    """Return the answer with a body, compressed if the client accepts it; 304 if the client has the same."""
    headers = {"ETag": f'W/"{body.tag}"', "Vary": "Accept-Encoding"}
    if status == 200 and any(known.value in {"*", body.tag} for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = content_type
    content = body.plain
    if body.zipped is not None and _accepts_gzip(request.headers.get("Accept-Encoding", "")):
        content, headers["Content-Encoding"] = body.zipped, "gzip"
    return web.Response(status=status, body=_Pieces(content, pace), headers=headers)


def _accepts_gzip(accepted: str) -> bool:
    for coding in accepted.lower().split(","):
        name, _, quality = coding.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
