"""The endpoint: who asks, what happens on the way, what is answered.

Owns the order of events: gateway troubles come first, then the credential (401), the role
(403), the query (400), and only then the usage. Every request is journalled from its
arrival to its end, whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from collector.simulator import query, replies
from collector.simulator.answer import Reporter
from collector.simulator.fault_book import FaultBook, Met
from collector.simulator.journal import Entry, Journal
from collector.simulator.limits import Gate
from collector.simulator.orgs import Caller, Directory

PATH = "/insights/api/v3/public/usage-report/summary"
_REFUSALS = {
    "refused": (401, replies.UNAUTHORIZED),
    "not-admin": (403, replies.NOT_ADMIN),
    "no-permission": (403, replies.NO_PERMISSION),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Answers `GET` on PATH, and 405 to every other method."""

    directory: Directory
    book: FaultBook
    reporter: Reporter
    journal: Journal
    gate: Gate | None  # none where limits are only counted
    now_s: Callable[[], int]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request and write it down."""
        arrived_s = time.monotonic()
        caller = self.directory.caller(request.headers.get("Authorization"))
        org = caller.org.name if caller.org else None
        path, _, raw_query = request.raw_path.partition("?")
        given = query.parameters(raw_query)
        ticket = self.journal.arrive(
            arrived_s,
            org=org,
            population=given.get("type"),
            method=request.method,
            path=path,
            query=raw_query,
            user_agent=request.headers.get("User-Agent"),
            auth_scheme=caller.scheme,
        )
        try:
            if request.method != "GET":
                return _noted(ticket.entry, None, replies.method_not_allowed())
            met = self.book.meet(org) if org else Met(ordinal=0)
            if self.gate is not None and not self.gate.admit(org, arrived_s):
                return _noted(ticket.entry, "limit", replies.error(429, "too many requests"))
            return await self._answer(request, caller, given, met, ticket.entry)
        finally:
            ticket.close()

    async def _answer(
        self, request: web.Request, caller: Caller, given: dict[str, str], met: Met, entry: Entry
    ) -> web.StreamResponse:
        if latency := met.get("latency"):
            await asyncio.sleep(latency.value.duration_s)
        if "reset" in met:
            entry.fault = "reset"
            return replies.reset(request)
        if failing := met.status():
            return _noted(entry, failing.kind, replies.failure(failing))
        if "garbage" in met:
            return _noted(entry, "garbage", replies.garbage())
        response = self._settled(caller, given, met, entry)
        entry.status = response.status
        if "truncate" in met:
            entry.fault = "truncate"
            return await replies.truncated(request, response)
        if slow := met.get("slow-body"):
            return await replies.dribbled(request, response, slow.value.duration_s)
        return response

    def _settled(self, caller: Caller, given: dict[str, str], met: Met, entry: Entry) -> web.Response:
        """Return the usage, or the reason why there is none."""
        if caller.org is None or not caller.accepted:
            return replies.error(401, replies.UNAUTHORIZED)
        for kind, (status, message) in _REFUSALS.items():
            if kind in met:
                entry.fault = kind
                return replies.error(status, message)
        range_end = met.get("range-end")
        try:
            question = query.read(given, range_end=range_end.value.word if range_end else "inclusive")
        except query.BadQueryError as error:
            return replies.error(400, str(error))
        answered = self.reporter.answer(caller.org, question, met, now_s=self.now_s())
        entry.fault = "partial" if answered.partial else None
        return replies.document(answered.body)


def _noted(entry: Entry, fault: str | None, response: web.Response) -> web.Response:
    entry.status, entry.fault = response.status, fault
    return response
