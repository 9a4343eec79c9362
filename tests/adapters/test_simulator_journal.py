"""The journal, the limits and the control plane of the simulated API."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace

import aiohttp
import pytest
from yarl import URL

from collector.simulator import endpoint
from collector.simulator.endpoint import PATH
from collector.simulator.limits import Limit
from tests.support.simulated import START, simulated
from tests.support.waiting import wait_until_async


async def test_requests_above_a_limit_are_counted_and_answered() -> None:
    async with simulated(limit=Limit(requests=2, period_s=60), limit_all=Limit(requests=3, period_s=60)) as client:
        statuses = [(await client.fetch(org)).status for org in ("org-001", "org-001", "org-001", "org-002")]
        journal = client.simulator.journal
    assert statuses == [200] * 4
    assert (journal.load("org-001").limit_exceeded, journal.load("org-002").limit_exceeded) == (1, 0)
    assert journal.total.limit_exceeded == 1


async def test_an_enforced_limit_answers_429_until_the_window_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(endpoint, "time", SimpleNamespace(monotonic=lambda: now[0]))
    async with simulated(limit=Limit(requests=2, period_s=1), enforce=True) as client:
        statuses = [(await client.fetch()).status for _ in range(4)]
        assert (await client.fetch("org-002")).status == 200
        now[0] += 1
        assert [*statuses, (await client.fetch()).status] == [200, 200, 429, 429, 200]


async def test_the_journal_counts_requests_in_flight_and_whether_the_first_was_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = asyncio.Barrier(3)  # each is answered when all are there
    monkeypatch.setattr(endpoint, "asyncio", SimpleNamespace(sleep=lambda _: together.wait()))
    async with simulated("*:latency=1ms") as client:
        await asyncio.gather(client.fetch("org-001"), client.fetch("org-001"), client.fetch("org-002"))
        together = asyncio.Barrier(2)
        await asyncio.gather(client.fetch("org-002"), client.fetch("org-002"))
        stats = await client.control("/_simulator/stats")
    one, two = stats["orgs"]["org-001"], stats["orgs"]["org-002"]
    assert (one["asked"], one["max_in_flight"], one["first_alone"]) == (2, 2, False)
    assert (two["asked"], two["max_in_flight"], two["first_alone"]) == (3, 2, True)
    assert (stats["total"]["max_in_flight"], stats["total"]["in_flight"]) == (3, 0)
    assert stats["orgs"]["org-001"]["by_status"] == {"200": 2}
    assert 3 <= stats["connections"] <= 4


async def test_a_request_of_a_disconnected_client_is_no_longer_in_flight() -> None:
    async with simulated("*:latency=20s") as client:
        load = partial(client.simulator.journal.load, "org-001")
        fetching = asyncio.create_task(client.fetch())
        await wait_until_async(lambda: load().in_flight == 1)
        fetching.cancel()
        await wait_until_async(lambda: load().in_flight == 0)
        assert dict(load().answered) == {"none": 1}


async def test_the_journal_keeps_the_raw_query() -> None:
    async with simulated() as client:
        org = client.simulator.org("org-001")
        auth = {"Authorization": aiohttp.encode_basic_auth(org.username, org.access_key), "User-Agent": "me/1"}
        raw = "type=account-user&from=2026-11-17+00%3A00%3A00&to=2026-11-17%2023:59:59&timezone=%2b05:30"
        url = URL(f"{client.simulator.base_url}{PATH}?{raw}", encoded=True)
        async with client.session.get(url, headers=auth) as response:
            assert response.status == 200
        (entry,) = await client.control("/_simulator/requests?org=org-001&limit=5")
    assert entry["query"] == raw
    assert (entry["org"], entry["population"], entry["path"]) == ("org-001", "account-user", PATH)
    assert (entry["user_agent"], entry["auth_scheme"], entry["status"]) == ("me/1", "basic", 200)


async def test_the_journal_can_be_read_in_part_and_reset() -> None:
    async with simulated("*:500,first=1") as client:
        for org in ("org-001", "org-002", "org-001"):
            await client.fetch(org)
        newest = await client.control("/_simulator/requests?limit=2")
        assert [entry["ordinal"] for entry in newest] == [2, 3]
        assert len(await client.control("/_simulator/requests?org=org-001")) == 2
        await client.control("/_simulator/requests", method="DELETE")
        assert await client.control("/_simulator/requests") == []
        assert (await client.control("/_simulator/stats"))["total"]["asked"] == 0
        assert (await client.fetch()).status == 500  # the counting of first= was restarted


async def test_the_true_usage_can_be_requested() -> None:
    async with simulated("*:refused") as client:
        truth = await client.control(
            f"/_simulator/truth?org=org-001&type=account-user&start={START}&end={START + 86_400}"
        )
        totals = client.simulator.usage.totals("org-001", "account-user", START, START + 86_400)
        assert truth == {"users": totals.users, "products": totals.products}
        assert (await client.control("/_simulator/truth?org=org-999"))["status"] == "error"
        assert (await client.control("/_simulator/truth?org=org-001&type=x"))["status"] == "error"
        assert (await client.control("/_simulator/truth?org=org-001&type=account-user&start=x"))["status"] == "error"


async def test_the_control_plane_never_shows_a_credential() -> None:
    async with simulated() as client:
        await client.fetch()
        shown = ""
        for path in ("/", "/openapi.json", "/_simulator/requests", "/_simulator/stats", "/_simulator/faults"):
            async with client.session.get(client.simulator.base_url + path) as response:
                assert response.status == 200
                shown += await response.text()
        for org in client.simulator.orgs:
            assert org.access_key not in shown
            assert org.token not in shown
            assert org.access_key not in repr(org)
        assert client.simulator.base_url in shown
