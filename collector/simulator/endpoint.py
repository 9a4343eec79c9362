"""The endpoint: it identifies the caller, applies the faults, and answers.

Owns the order of checks: faults of a gateway come first, then the credential (401), the role (403), the
query (400), and last the usage. Every request is in the journal from its arrival to its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from collector.simulator import query, replies
from collector.simulator.answer import Reporter
from collector.simulator.fault_script import FaultScript, RequestFaults
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
    script: FaultScript
    reporter: Reporter
    journal: Journal
    gate: Gate | None  # None if limits are counted but not enforced
    now_s: Callable[[], int]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request and record it in the journal."""
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
                return _recorded(ticket.entry, None, replies.method_not_allowed())
            faults = self.script.draw_for(org) if org else RequestFaults(ordinal=0)
            if self.gate is not None and not self.gate.admit(org, arrived_s):
                return _recorded(ticket.entry, "limit", replies.error(429, "too many requests"))
            return await self._answer(request, caller, given, faults, ticket.entry)
        finally:
            ticket.close()

    async def _answer(
        self, request: web.Request, caller: Caller, given: dict[str, str], faults: RequestFaults, entry: Entry
    ) -> web.StreamResponse:
        if latency := faults.get("latency"):
            await asyncio.sleep(latency.value.duration_s)
        if "reset" in faults:
            entry.fault = "reset"
            return replies.reset(request)
        if failing := faults.status():
            return _recorded(entry, failing.kind, replies.failure(failing))
        if "garbage" in faults:
            return _recorded(entry, "garbage", replies.garbage())
        response = self._usage_or_error(caller, given, faults, entry)
        entry.status = response.status
        if "truncate" in faults:
            entry.fault = "truncate"
            return await replies.truncated(request, response)
        if slow := faults.get("slow-body"):
            return await replies.in_pieces(request, response, slow.value.duration_s)
        return response

    def _usage_or_error(
        self, caller: Caller, given: dict[str, str], faults: RequestFaults, entry: Entry
    ) -> web.Response:
        """Return the usage, or the documented error."""
        if caller.org is None or not caller.accepted:
            return replies.error(401, replies.UNAUTHORIZED)
        for kind, (status, message) in _REFUSALS.items():
            if kind in faults:
                entry.fault = kind
                return replies.error(status, message)
        range_end = faults.get("range-end")
        try:
            usage_query = query.read(given, range_end=range_end.value.choice if range_end else "inclusive")
        except query.BadQueryError as error:
            return replies.error(400, str(error))
        answered = self.reporter.answer(caller.org, usage_query, faults, now_s=self.now_s())
        entry.fault = "partial" if answered.partial else None
        return replies.document(answered.body)


def _recorded(entry: Entry, fault: str | None, response: web.Response) -> web.Response:
    entry.status, entry.fault = response.status, fault
    return response
