"""The control plane: URLs by which people and tests inspect and control the simulator.

Owns all URLs except the endpoint: faults, journal, true usage, OpenAPI, and a start page. They need no
credential and never show one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson
from aiohttp import web

import collector
from collector.simulator import openapi, replies
from collector.simulator.answer import Reporter
from collector.simulator.endpoint import PATH
from collector.simulator.fault_kinds import FaultError
from collector.simulator.fault_script import FaultScript
from collector.simulator.habits import Population
from collector.simulator.journal import Journal
from collector.simulator.orgs import Directory

_PAGE = """\
usage collector {version}: simulated API. All organizations and numbers are invented.

{orgs} organizations, {first} to {last}. `collector simulate --config-out FILE` writes a config with their credentials.

  GET    {base}{path}
  GET    {base}/openapi.json
  GET    {base}/_simulator/requests?org={first}&limit=10   the requests so far, newest last
  DELETE {base}/_simulator/requests                        clear that list; faults start again
  GET    {base}/_simulator/stats                           counters, per org and in total
  GET    {base}/_simulator/faults                          active faults
  PUT    {base}/_simulator/faults                          replace them; the body is like ["{first}:500=1,first=2"]
  GET    {base}/_simulator/truth?org={first}&type=account-user&start=1782172800&end=1782259200

Request one day:

  curl -u {first}@example.test:ACCESS_KEY --get {base}{path} \\
    -d type=account-user --data-urlencode 'from=2026-06-23 00:00:00' \\
    --data-urlencode 'to=2026-06-23 23:59:59' --data-urlencode timezone=+05:30
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """The handlers. `base_url` is a function because it is known only once the server listens."""

    directory: Directory
    script: FaultScript
    reporter: Reporter
    journal: Journal
    now_s: Callable[[], int]
    base_url: Callable[[], str]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the control plane."""
        return [
            web.get("/", self._page),
            web.get("/openapi.json", self._openapi),
            web.get("/_simulator/requests", self._requests),
            web.delete("/_simulator/requests", self._clear),
            web.get("/_simulator/stats", self._stats),
            web.get("/_simulator/faults", self._faults),
            web.put("/_simulator/faults", self._replace_faults),
            web.get("/_simulator/truth", self._truth),
        ]

    async def _page(self, _: web.Request) -> web.Response:
        orgs = self.directory.orgs
        return web.Response(
            text=_PAGE.format(
                version=collector.__version__,
                orgs=len(orgs),
                first=orgs[0].name,
                last=orgs[-1].name,
                base=self.base_url(),
                path=PATH,
            )
        )

    async def _openapi(self, _: web.Request) -> web.Response:
        return replies.document(openapi.document(self.base_url()))

    async def _requests(self, request: web.Request) -> web.Response:
        limit = _number(request, "limit") if "limit" in request.query else None
        entries = self.journal.requests(request.query.get("org"), limit)
        # Bytes that aren't UTF-8 are surrogates in a str, and JSON can't represent surrogates.
        return replies.document([{key: _printable(value) for key, value in asdict(entry).items()} for entry in entries])

    async def _clear(self, _: web.Request) -> web.Response:
        self.journal.reset()
        self.script.reset()
        return web.Response(status=204)

    async def _stats(self, _: web.Request) -> web.Response:
        return replies.document(self.journal.stats())

    async def _faults(self, _: web.Request) -> web.Response:
        return replies.document(self.script.texts)

    async def _replace_faults(self, request: web.Request) -> web.Response:
        try:
            texts = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            texts = None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise _bad('the body must be a JSON list of faults, such as ["org-001:refused"]')
        try:
            self.script.replace(texts)
        except FaultError as error:
            raise _bad(str(error)) from None
        return replies.document(self.script.texts)

    async def _truth(self, request: web.Request) -> web.Response:
        org = self.directory.get(request.query.get("org", ""))
        if org is None:
            raise _bad("org must be the name of one of the orgs")
        try:
            population = Population(request.query.get("type", ""))
        except ValueError:
            raise _bad(f"type must be one of {', '.join(Population)}") from None
        start_s, end_s = _number(request, "start"), _number(request, "end")
        totals = self.reporter.truth(org.name, population, start_s, end_s, now_s=self.now_s())
        return replies.document({"users": totals.users, "products": totals.products})


def _bad(message: str) -> web.HTTPBadRequest:
    body = orjson.dumps({"status": "error", "message": message}).decode()
    return web.HTTPBadRequest(text=body, content_type="application/json")


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise _bad(f"{name} must be a whole number")
    return int(text)


def _printable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
