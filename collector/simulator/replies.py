"""HTTP responses: the documented errors, error pages of gateways, and bodies that break off.

Owns messages, content types and the socket operations. Doesn't decide which response a request gets:
`endpoint` does.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from email.utils import formatdate
from http import HTTPStatus

import orjson
from aiohttp import web

from collector.simulator.faults import Fault

UNAUTHORIZED = "Invalid or missing Basic Auth credentials"
NOT_ADMIN = "admin access required"
# The documents show only the beginning and the end of this message.
NO_PERMISSION = (
    "access restricted: your role does not have the required permissions to perform this action. "
    "Required permissions to add: analytics:admin"
)
UNRESOLVED = "failed to resolve org users"
_DATE_AHEAD_S = 2
_PIECES = 20


def document(body: object, status: int = 200) -> web.Response:
    """Return a JSON response."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def error(status: int, message: str) -> web.Response:
    """Return an error in the documented shape."""
    response = document({"status": "error", "message": message}, status)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="usage-report", charset="UTF-8"'
    return response


def method_not_allowed() -> web.Response:
    """Return the answer to any method but GET."""
    response = error(405, "method not allowed")
    response.headers["Allow"] = "GET"
    return response


def failure(fault: Fault) -> web.Response:
    """Return the error status and the body of the fault."""
    status = HTTPStatus(int(fault.kind))
    gateway = status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
    match fault.body or ("html" if gateway else "json"):
        case "html":
            response = _html(status)
        case "empty":
            response = web.Response(status=status)
        case _:
            internal = status == HTTPStatus.INTERNAL_SERVER_ERROR
            response = error(status, UNRESOLVED if internal else status.phrase.lower())
    if fault.retry_after == "date":
        response.headers["Retry-After"] = formatdate(time.time() + _DATE_AHEAD_S, usegmt=True)  # noqa: TID251 -- HTTP dates use the real clock
    elif fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


def garbage() -> web.Response:
    """Return a 200 with HTML instead of JSON."""
    return _html(HTTPStatus.OK)


def reset(request: web.Request) -> web.Response:
    """Abort the connection. The returned response is never sent."""
    if request.transport is not None:
        if (sock := request.transport.get_extra_info("socket")) is not None:
            # With a linger time of 0 the peer gets a reset instead of a normal close.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


async def truncated(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Send half of the body with the Content-Length of the whole body, then close."""
    body = _bytes(whole)
    response = await _started(request, whole)
    response.force_close()
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def in_pieces(request: web.Request, whole: web.Response, duration_s: float) -> web.StreamResponse:
    """Send the headers at once, and the body in pieces over `duration_s`."""
    body = _bytes(whole)
    response = await _started(request, whole)
    size = max(1, -(-len(body) // _PIECES))
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    for piece in pieces:
        await asyncio.sleep(duration_s / len(pieces))
        await response.write(piece)
    return response


async def _started(request: web.Request, whole: web.Response) -> web.StreamResponse:
    response = web.StreamResponse(status=whole.status)
    response.content_type = whole.content_type
    response.content_length = len(_bytes(whole))
    await response.prepare(request)
    return response


def _bytes(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


def _html(status: HTTPStatus) -> web.Response:
    title = f"{status.value} {status.phrase}"
    page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
    return web.Response(body=page.encode(), status=status, content_type="text/html")
