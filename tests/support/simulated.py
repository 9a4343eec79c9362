"""A simulated API that runs, and a client that asks it as one of its orgs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
from yarl import URL

from collector.simulator.endpoint import PATH
from collector.simulator.limits import Limit
from collector.simulator.scenario import Scenario
from collector.simulator.server import Simulator, running_simulator

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = {"type": "account-user", "from": "2026-11-17 00:00:00", "to": "2026-11-17 23:59:59"}
START = int(datetime(2026, 11, 17, tzinfo=UTC).timestamp())  # of that day


@dataclass
class Client:
    """Sends requests to a simulator as one of its orgs."""

    simulator: Simulator
    session: aiohttp.ClientSession

    async def fetch(
        self,
        org: str = "org-001",
        query: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        of = self.simulator.org(org)
        auth = aiohttp.encode_basic_auth(of.username, of.access_key)
        headers = {"Authorization": auth} if headers is None else headers
        url = self.simulator.base_url + PATH
        async with self.session.request(method, url, params={**DAY, **(query or {})}, headers=headers) as response:
            return Reply(response.status, response.headers.copy(), await response.read())

    async def control(self, path: str, *, method: str = "GET", body: object = None) -> Any:
        url = URL(self.simulator.base_url + path)
        async with self.session.request(method, url, json=body) as response:
            return await response.json() if response.status != 204 else None


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def products(self) -> dict[str, dict[str, int]]:
        products: dict[str, dict[str, int]] = self.json["data"]["products"]
        return products

    @property
    def partial(self) -> bool:
        return self.json["data"]["metadata"].get("partial", False) is True


@asynccontextmanager
async def simulated(*faults: str, orgs: int = 3, limit: Limit | None = None, **more: Any) -> AsyncIterator[Client]:
    scenario = Scenario(orgs=orgs, faults=faults, now=NOW, limit=limit, **more)
    async with running_simulator(scenario) as simulator, aiohttp.ClientSession() as session:
        yield Client(simulator, session)


def counts(products: dict[str, dict[str, int]]) -> list[int]:
    return [count for metrics in products.values() for count in metrics.values()]
