"""An API in memory, for the dispatch: answers by script, in virtual time, and keeps book of what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from collector.core.response import Reply
from collector.errors import Failure, Retriable
from collector.model import ApiRequest, Org

Step = Reply | Failure | None  # None is a good answer
Script = Callable[[Org, ApiRequest, int], Step]
PRODUCTS = {"automation": {"totalTests": 10, "totalDuration": 1000}, "smartui": {"totalScreenshots": 5}}


@dataclass
class FakeApi:
    """`script` says what the n-th request (from 0) of an org gets; `latency_s` how long it takes once it has left."""

    script: Script = lambda _org, _request, _n: None
    latency_s: Callable[[Org], float] = lambda _org: 0.1
    connect_s: Callable[[float], float] = lambda _now: 0.0  # how long connecting takes from then
    asked: list[tuple[float, str]] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)
    max_in_flight: Counter[str] = field(default_factory=Counter)
    _in_flight: Counter[str] = field(default_factory=Counter)

    async def fetch(self, org: Org, request: ApiRequest, *, on_sent: Callable[[], None]) -> Reply | Failure:
        n = self.count[org.name]
        self.count[org.name] += 1
        for key in (org.name, ""):
            self._in_flight[key] += 1
            self.max_in_flight[key] = max(self.max_in_flight[key], self._in_flight[key])
        loop = asyncio.get_running_loop()
        try:
            if connect_s := self.connect_s(loop.time()):
                await asyncio.sleep(connect_s)
            self.asked.append((loop.time(), org.name))
            on_sent()
            await asyncio.sleep(self.latency_s(org))
        finally:
            for key in (org.name, ""):
                self._in_flight[key] -= 1
        step = self.script(org, request, n)
        return answer(org, request) if step is None else step

    def busiest(self, period_s: float, org: str | None = None) -> int:
        """The most requests in any half-open window of that length."""
        most, window = 0, deque[float]()
        for at, name in self.asked:
            if org in (None, name):
                window.append(at)
                while window[0] <= at - period_s:
                    window.popleft()
                most = max(most, len(window))
        return most

    def times(self, org: str) -> list[float]:
        return [at for at, name in self.asked if name == org]


def answer(
    org: Org,
    request: ApiRequest,
    *,
    products: dict[str, dict[str, int]] | None = None,
    partial: bool | None = None,
    org_id: str | None = None,
    users: int = 3,
) -> Reply:
    """A good answer to a request, as documented."""
    metadata = {
        "type": request.population.value,
        "totalUsers": users,
        "from": request.from_,
        "to": request.to,
        "timezone": request.timezone,
        "organization": {"id": org_id or f"id-{org.name}", "name": f"{org.name} Inc."},
    }
    if partial:
        metadata["partial"] = True
    body = {"status": "success", "data": {"metadata": metadata, "products": PRODUCTS if products is None else products}}
    return Reply(status=200, body=json.dumps(body).encode())


def replies(*steps: Step) -> Script:
    """The same script for every org: these steps one after the other, then good answers."""
    return lambda _org, _request, n: steps[n] if n < len(steps) else None


def for_org(scripts: dict[str, Script]) -> Script:
    """A script of its own for each org; good answers for the others."""
    return lambda org, request, n: scripts[org.name](org, request, n) if org.name in scripts else None


def status(code: int, body: bytes = b"", **headers: str) -> Reply:
    return Reply(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


def _error(code: int, message: str) -> Reply:
    return status(code, json.dumps({"status": "error", "message": message}).encode())


UNAUTHORIZED = _error(401, "Invalid or missing Basic Auth credentials")
NOT_ADMIN = _error(403, "admin access required")
BLOCKED = status(403, b"<html><title>Access denied</title></html>")  # by a gateway
RESET = Retriable(code="connection_lost", message="the connection was lost")


class FakeClock:
    """A wall clock that stands, or goes with the loop."""

    def __init__(self, now: datetime = datetime(2026, 6, 24, 10, 20, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        try:
            return self._now + timedelta(seconds=asyncio.get_running_loop().time())
        except RuntimeError:
            return self._now
