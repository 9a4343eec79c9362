"""The socket: routes to what renders, each answer made on a thread so that the loop goes on.

Owns which path gives what. `guard` decides who may see it, the pages what it shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiMapping

from collector.errors import ConfigError, place_of
from collector.service.web.assets import Asset, load_assets
from collector.service.web.choice import Choice
from collector.service.web.connections import IDLE_S, AnswerEnds, Connections, most_connections, noting_answers
from collector.service.web.frozen import frozen
from collector.service.web.guard import Guarding, add_headers, guard
from collector.service.web.page import Page
from collector.service.web.site import Site
from collector.service.web.status_json import status_bytes

T = TypeVar("T")
log = structlog.get_logger("collector")

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KEPT = "private, max-age=31536000, immutable"
_WORTH_COMPRESSING = 2048  # bytes
_SHUTDOWN_S = 1.0
_WAITING = 128  # connections that the system keeps until they are accepted
_RENDERED_AT_ONCE = 2  # pages: more would only take turns


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._assets = load_assets()
        self._by_name: Mapping[str, Asset] = {asset.name: asset for asset in self._assets.values()}
        self._page = Page(self._assets)
        self._rendering = asyncio.Semaphore(_RENDERED_AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.overview),
            web.get("/orgs/", self.org),
            web.get("/orgs/{name:.+}", self.org),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
            web.get("/api/status", self.status),
            web.get("/static/{name}", self.static),
        ]

    async def overview(self, request: web.Request) -> web.Response:
        choice = Choice.of(_pairs(request.query))
        seen, now = frozen(self._site.observed()), self._site.now()
        html = await self._aside(lambda: self._page.overview(seen, choice, now=now))
        return _answer(html, "text/html")

    async def org(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name") or request.query.get("name", "")
        seen, now = frozen(self._site.observed()), self._site.now()
        html = await self._aside(lambda: self._page.org(seen, name, now=now))
        if html is None:
            html = await self._aside(lambda: self._page.unknown_org(seen, name, now=now))
            return _answer(html, "text/html", status=404)
        return _answer(html, "text/html")

    async def status(self, request: web.Request) -> web.Response:
        choice = Choice.of(_pairs(request.query))
        seen, now = frozen(self._site.observed()), self._site.now()
        return _answer(await self._aside(lambda: status_bytes(seen, choice, now=now)), "application/json")

    async def metrics(self, request: web.Request) -> web.Response:
        del request
        body = self._site.metrics()
        response = web.Response(
            body=body, headers={"Content-Type": METRICS_TYPE}, zlib_executor_size=_WORTH_COMPRESSING * 16
        )
        return _compressed(response, len(body))

    async def healthz(self, request: web.Request) -> web.Response:
        del request
        return _verdict(self._site.unhealthy())

    async def readyz(self, request: web.Request) -> web.Response:
        del request
        return _verdict(self._site.unhealthy() or self._site.unready())

    async def static(self, request: web.Request) -> web.Response:
        asset = self._by_name.get(request.match_info["name"])
        if asset is None:
            return web.Response(status=404, text="There is no such file.\n")
        response = web.Response(
            body=asset.content,
            content_type=asset.content_type,
            charset="utf-8",
            headers={"Cache-Control": _KEPT},
        )
        return _compressed(response, len(asset.content))

    async def _aside(self, render: Callable[[], T]) -> T:
        async with self._rendering:
            return await asyncio.to_thread(render)


def make_app(site: Site, guarding: Guarding | Callable[[], Guarding]) -> web.Application:
    """Return the application that shows a site to whom the guard lets through."""
    app = web.Application(middlewares=[noting_answers, _unfailing, guard(guarding)])
    app.on_response_prepare.append(add_headers)
    app.add_routes(_Routes(site).routes())
    return app


@asynccontextmanager
async def serving(app: web.Application, *, host: str, port: int, most: int | None = None) -> AsyncIterator[int]:
    """Listen, and say on which port: 0 takes a free one. Raises ConfigError if that address can't be had.

    There are at most `most` connections; by default as many as the limit of open files leaves room for.
    """
    runner = web.AppRunner(
        app,
        access_log_class=AnswerEnds,
        handle_signals=False,
        keepalive_timeout=IDLE_S,
        shutdown_timeout=_SHUTDOWN_S,
    )
    await runner.setup()
    try:
        async with _listening(runner, host=host, port=port, most=most or most_connections()) as listening:
            yield listening
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _listening(runner: web.AppRunner, *, host: str, port: int, most: int) -> AsyncIterator[int]:
    answering = runner.server
    if answering is None:
        raise RuntimeError("the runner is not set up")
    connections = Connections(answering, most)
    try:
        # The loop accepts `backlog` at once, and more before the first of them is heard: they must not displace it.
        server = await asyncio.get_running_loop().create_server(connections, host, port, backlog=max(1, most // 4))
        for listening in server.sockets:
            with listening.dup() as same:
                same.listen(_WAITING)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"service.host and service.port: {host}:{port} can't be listened on: {reason}") from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@web.middleware
async def _unfailing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in words whatever goes wrong; the log says what it was."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.Response(status=error.status, text=f"{error.status}: {error.reason}\n")
    except Exception as error:  # noqa: BLE001 - logged without its text, which may contain anything
        log.error("page.failed", path=request.path, exception=type(error).__name__, where=place_of(error))
        return web.Response(status=500, text="This page failed; the log of the service says why.\n")


def _pairs(query: MultiMapping[str]) -> list[tuple[str, str]]:
    return list(query.items())


def _verdict(wrong: str | None) -> web.Response:
    return web.Response(status=503 if wrong else 200, text=f"{wrong or 'ok'}\n")


def _answer(body: bytes, content_type: str, *, status: int = 200) -> web.Response:
    response = web.Response(
        status=status, body=body, content_type=content_type, charset="utf-8", zlib_executor_size=_WORTH_COMPRESSING * 16
    )
    return _compressed(response, len(body))


def _compressed(response: web.Response, size: int) -> web.Response:
    if size >= _WORTH_COMPRESSING:
        response.enable_compression()
    return response
