"""What aiohttp does with a connection, as this service wants it: whatever comes in, the answer is ours.

A request that is no HTTP doesn't reach the application. Its answer has the same headers as each other one, and shows
nothing of what came in.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler

from collector.service.web.connections import Connection
from collector.service.web.guard import HEADERS, HEALTH

MALFORMED = "This is not a request that HTTP allows.\n"
FAILED = "This page failed; the log of the service says why.\n"
BUSY = "Too many answers are under way. Try again in a moment.\n"
_BUSY_S = 1


class Answering(web.RequestHandler):
    """Answers the requests of one connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is malformed, or what failed outside of the application."""
        super().handle_error(request, status, exc, message)  # logs it, or raises if a part of an answer is sent
        answer = web.Response(status=status, text=MALFORMED if status < 500 else FAILED, headers=HEADERS)
        answer.force_close()
        return answer


class AnswerEnds(AbstractAccessLogger):
    """Notes the end of each answer. aiohttp calls an access log for that; nothing is logged."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Note that a request is answered."""
        del response, time
        if (connection := _connection(request)) is not None:
            connection.answered()


@web.middleware
async def noting_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note that a request is being answered. What isn't health waits if too many answers are under way."""
    connection = _connection(request)
    if connection is not None and not connection.begin(large=request.path not in HEALTH):
        return web.Response(status=503, text=BUSY, headers={"Retry-After": str(_BUSY_S)})
    return await handler(request)


def _connection(request: web.BaseRequest) -> Connection | None:
    protocol = None if request.transport is None else request.transport.get_protocol()
    return protocol if isinstance(protocol, Connection) else None
