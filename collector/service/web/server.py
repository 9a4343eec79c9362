"""The socket, and which path gives what.

`connections` bounds who is connected, `guard` decides who may see it, the pages what it shows. `rendering` and
`sending` bound what many or slow clients cost.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import MultiMapping

from collector.adapters.repeats import Repeats
from collector.errors import ConfigError, place_of
from collector.service.view import Observed
from collector.service.web.assets import load_assets
from collector.service.web.choice import Choice
from collector.service.web.connections import IDLE_S, Connections, most_connections
from collector.service.web.frozen import frozen
from collector.service.web.guard import Guarding, add_headers, guard, route_of
from collector.service.web.page import Page
from collector.service.web.protocol import FAILED, AnswerEnds, Answering, noting_answers
from collector.service.web.rendering import Body, Rendering
from collector.service.web.reports import POLICY, Chosen, ReportError, Reports
from collector.service.web.sending import Pace, answer
from collector.service.web.site import Site
from collector.service.web.status_json import status_bytes

log = structlog.get_logger("collector")

HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KEPT = "private, max-age=31536000, immutable"
_SHUTDOWN_S = 1.0
_WAITING = 128  # connections that the system keeps until they are accepted
_SENT_AHEAD = 64 * 1024  # bytes that the system keeps for a client that doesn't read


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site
        assets = load_assets()
        self._static = {asset.name: (asset, Body.of(asset.content)) for asset in assets.values()}
        self._page = Page(assets)
        self._rendering = Rendering()
        self._reports = Reports(site.report_options)
        self._pace = Pace()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.overview),
            web.get("/orgs/", self.org),
            web.get("/orgs/{name:.+}", self.org),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
            web.get("/api/status", self.status),
            web.get("/report", self.report),
            web.get("/static/{name}", self.static),
        ]

    async def overview(self, request: web.Request) -> web.Response:
        choice = Choice.of(_pairs(request.query))
        return await self._view(request, HTML, partial(self._page.overview, choice=choice), "/", choice)

    async def org(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name") or request.query.get("name", "")
        known = name in self._site.observed().orgs
        return await self._view(
            request, HTML, partial(self._page.org, name=name), "/orgs/", name, known, status=200 if known else 404
        )

    async def status(self, request: web.Request) -> web.Response:
        choice = Choice.of(_pairs(request.query))
        return await self._view(request, JSON, partial(status_bytes, choice=choice), "/api/status", choice)

    async def report(self, request: web.Request) -> web.Response:
        try:
            chosen = Chosen.of(request.query)
            body = await self._reports.get(chosen)
        except ValueError as error:
            return web.Response(status=400, text=f"This is no range of a report: {error}.\n")
        except ReportError as error:
            return web.Response(status=400 if error.is_chosen else 503, text=f"The report can't be shown: {error}.\n")
        response = answer(request, body, HTML, self._pace)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    async def metrics(self, request: web.Request) -> web.Response:
        def begin() -> Callable[[], bytes]:
            text = self._site.metrics()
            return lambda: text

        return answer(request, await self._rendering.get("/metrics", begin), METRICS_TYPE, self._pace)

    async def _view(
        self, request: web.Request, content_type: str, render: Callable[..., bytes], *view: object, status: int = 200
    ) -> web.Response:
        """Answer with a view of what is observed."""

        def begin() -> Callable[[], bytes]:
            if request.transport is None:
                raise ConnectionResetError("the client has gone")
            return partial(render, self._observed(), now=self._site.now())

        body = await self._rendering.get(view, begin, self._observed)
        return answer(request, body, content_type, self._pace, status=status)

    def _observed(self) -> Observed:
        return frozen(self._site.observed())

    async def healthz(self, request: web.Request) -> web.Response:
        del request
        return _verdict(self._site.unhealthy())

    async def readyz(self, request: web.Request) -> web.Response:
        del request
        return _verdict(self._site.unhealthy() or self._site.unready())

    async def static(self, request: web.Request) -> web.Response:
        asset, body = self._static.get(request.match_info["name"], (None, None))
        if asset is None or body is None:
            return web.Response(status=404, text="There is no such file.\n")
        response = answer(request, body, f"{asset.content_type}; charset=utf-8", self._pace)
        response.headers["Cache-Control"] = _KEPT
        return response


def make_app(site: Site, guarding: Guarding | Callable[[], Guarding]) -> web.Application:
    """Return the application that shows a site to whom the guard lets through."""
    app = web.Application(middlewares=[noting_answers, unfailing(), guard(guarding)])
    app.on_response_prepare.append(add_headers)
    app.add_routes(_Routes(site).routes())
    return app


@asynccontextmanager
async def serving(
    app: web.Application,
    *,
    host: str,
    port: int,
    most: int | None = None,
    first: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[int]:
    """Listen, and say on which port: 0 takes a free one. Raises ConfigError if that address can't be had.

    There are at most `most` connections; by default as many as the limit of open files leaves room for. `first` is
    called once the address is ours and before a connection is accepted. What it raises passes through.
    """
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        async with _listening(runner, host=host, port=port, most=most or most_connections(), first=first) as listening:
            yield listening
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _listening(
    runner: web.AppRunner, *, host: str, port: int, most: int, first: Callable[[], Awaitable[None]] | None
) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    connections = Connections(
        partial(Answering, runner.server, loop=loop, keepalive_timeout=IDLE_S, access_log_class=AnswerEnds), most
    )
    with _refused_address(host, port):
        # The loop accepts `backlog` at once, and more before the first of them is heard: they must not displace it.
        server = await loop.create_server(connections, host, port, backlog=max(1, most // 4), start_serving=False)
    try:
        if first is not None:
            await first()
        with _refused_address(host, port):
            await server.start_serving()
            for listening in server.sockets:
                with listening.dup() as same:
                    same.listen(_WAITING)
                    same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT_AHEAD)  # connections inherit it
        deadlines = loop.create_task(connections.keep_deadlines())
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            deadlines.cancel()
    finally:
        server.close()


@contextmanager
def _refused_address(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"service.host and service.port: {host}:{port} can't be listened on: {reason}") from error


def unfailing() -> Middleware:
    """Return the middleware that answers in words whatever goes wrong; the log says what it was."""
    repeats = Repeats()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=f"{error.status}: {error.reason}\n")
        except ConnectionError:
            raise  # the client has gone
        except Exception as error:  # noqa: BLE001 - logged without its text, which may contain anything
            kind = {"exception": type(error).__name__, "where": place_of(error)}
            if (repeated := repeats.due(tuple(kind.values()))) is not None:
                log.error("page.failed", path=route_of(request), repeated=repeated, **kind)
            return web.Response(status=500, text=FAILED)

    return middleware


def _pairs(query: MultiMapping[str]) -> list[tuple[str, str]]:
    return list(query.items())


def _verdict(wrong: str | None) -> web.Response:
    return web.Response(status=503 if wrong else 200, text=f"{wrong or 'ok'}\n")
