"""Who may see what: methods, the Host of a request, the token, and the headers for browsers.

The page shows no secret, but it shows who the customers are. So it is answered only under a
name that the config allows (a foreign page that is rebound to our address has another one), only to whoever
has the token where there is one, and only as itself: never framed, cached or sniffed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from collector.adapters.repeats import Repeats

log = structlog.get_logger("collector")

HEALTH = frozenset({"/healthz", "/readyz"})
METRICS = "/metrics"
METHODS = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Server": "usage-collector",
}
_OWN = ("Cache-Control", "Content-Security-Policy")  # an answer may have one of its own
CHALLENGES = ('Basic realm="usage collector: any user name, the token as password", charset="UTF-8"', "Bearer")

WRONG_HOST = (
    "This service doesn't answer under that host name. If the name is right, add it to service.allowed_hosts "
    "in the config; on the machine itself, use localhost.\n"
)
LOCKED = (
    "The token is needed: send `Authorization: Bearer TOKEN`, or in a browser give it as the password, with any "
    "user name. It is in the file that service.token_file names.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarding:
    """What the config says of who may see the page. `token` is called for each request: its file may change."""

    token: Callable[[], str | None] = field(default=lambda: None)
    allowed_hosts: Collection[str] = ()


def guard(guarding: Guarding | Callable[[], Guarding]) -> Middleware:
    """Return the middleware that lets through what may be answered."""
    repeats = Repeats()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        now = guarding() if callable(guarding) else guarding
        return refusal(request, now, repeats) or await handler(request)

    return middleware


def refusal(request: web.Request, guarding: Guarding, repeats: Repeats) -> web.Response | None:
    """Return the answer to a request that isn't let through; None for one that is."""
    if request.method not in METHODS:
        return _said(
            405, "Only GET and HEAD are answered here: the page shows, and changes nothing.\n", Allow="GET, HEAD"
        )
    token = guarding.token()
    if not _is_host_fine(request.path, request.headers.get("Host", ""), guarding.allowed_hosts, token):
        return _said(421, WRONG_HOST)
    if request.path in HEALTH or token is None or has_token(request.headers.get("Authorization", ""), token):
        return None
    if "Authorization" in request.headers and (repeated := repeats.due("page.token_refused")) is not None:
        log.warning("page.token_refused", path=route_of(request), peer=request.remote, repeated=repeated)
    refused = _said(401, LOCKED)
    for challenge in CHALLENGES:
        refused.headers.add("WWW-Authenticate", challenge)
    return refused


def _is_host_fine(path: str, host: str, allowed: Collection[str], token: str | None) -> bool:
    """Say whether a path may be seen under a Host: probes and scrapes use an address, and a foreign page a name."""
    if path in HEALTH or (path == METRICS and (token is not None or is_address(host_name(host.strip().lower())))):
        return True
    return is_allowed_host(host, allowed)


def is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    """Say whether a Host header names loopback, or one of the allowed hosts, with or without its port."""
    whole = host.strip().lower()
    name = host_name(whole)
    if not name:
        return False
    names = {entry.strip().lower().removesuffix(".") for entry in allowed}
    return is_loopback(name) or name in names or f"[{name}]" in names or whole in names


def host_name(host: str) -> str:
    """Return a Host header's name without port, brackets and the dot at its end; empty if it is none."""
    name, bracket, port = host.partition("]")
    if bracket:
        name, port = name.removeprefix("["), port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    return name.removesuffix(".") if not port or (port.isascii() and port.isdigit()) else ""


def is_loopback(name: str) -> bool:
    """Say whether a name is this machine's own."""
    return name == "localhost" or (is_address(name) and ipaddress.ip_address(name).is_loopback)


def is_address(name: str) -> bool:
    """Say whether a name is an IP address: no name server is needed to find it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def has_token(authorization: str, token: str) -> bool:
    """Say whether an Authorization header has the token: as Bearer, or as the password of Basic."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer":
            given = value.encode("utf-8", "surrogateescape")
        case "basic":
            try:
                given = base64.b64decode(value, validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return False
        case _:
            return False
    return bool(token) and hmac.compare_digest(given, token.encode())


def route_of(request: web.Request) -> str | None:
    """Return which page is requested, for the log: what the client sent may have the token in it."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Tell browsers what the answer may do: nothing but be shown."""
    del request
    for name, value in HEADERS.items():
        if not (name in _OWN and name in response.headers):
            response.headers[name] = value


def _said(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=text, headers=headers)
