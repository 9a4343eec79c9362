"""The simulated API's faults on demand, over real sockets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from collector.simulator.endpoint import PATH
from collector.simulator.fault_kinds import FaultError
from tests.support.simulated import DAY, START, counts, simulated
from tests.support.waiting import wait_until_async


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        ("refused", 401, "Invalid or missing Basic Auth credentials"),
        ("not-admin", 403, "admin access required"),
        ("no-permission", 403, "access restricted: your role does not have the required permissions"),
        ("500", 500, "failed to resolve org users"),
        ("429", 429, "too many requests"),
        ("503,body=json", 503, "service unavailable"),
    ],
)
async def test_a_fault_applies_to_its_org_only_with_the_documented_message(
    fault: str, status: int, message: str
) -> None:
    async with simulated(f"org-002:{fault}") as client:
        hit, other = await client.fetch("org-002"), await client.fetch("org-001")
    assert hit.status == status
    assert hit.json["message"].startswith(message)
    assert other.status == 200


@pytest.mark.parametrize(
    ("fault", "content_type", "body"),
    [
        ("502", "text/html", b"<html>"),
        ("504,body=empty", "application/octet-stream", b""),
        ("429,body=html", "text/html", b"<html>"),
        ("garbage", "text/html", b"<html>"),
    ],
)
async def test_gateway_errors_have_the_body_that_was_set(fault: str, content_type: str, body: bytes) -> None:
    async with simulated(f"*:{fault}") as client:
        reply = await client.fetch()
    assert reply.headers.get("Content-Type", "application/octet-stream").startswith(content_type)
    assert reply.body[:6] == body


async def test_retry_after_is_sent_in_every_form() -> None:
    async with simulated(
        "org-001:429", "org-002:429,retry-after=0", "org-003:503,retry-after=7", "org-004:429,retry-after=date", orgs=4
    ) as client:
        got = [(await client.fetch(f"org-00{number}")).headers.get("Retry-After") for number in (1, 2, 3, 4)]
    assert got[:3] == [None, "0", "7"]
    ahead = parsedate_to_datetime(got[3] or "") - datetime.now(UTC)  # noqa: TID251 -- HTTP dates use the real clock
    assert timedelta(0) < ahead <= timedelta(seconds=2)


async def test_a_sequence_can_be_scripted_with_first_and_after() -> None:
    async with simulated("*:429,first=2", "*:500,after=3,first=4") as client:
        assert [(await client.fetch()).status for _ in range(5)] == [429, 429, 200, 500, 200]
        assert (await client.fetch("org-002")).status == 429


async def test_random_faults_are_the_same_in_every_run_of_a_seed() -> None:
    runs = []
    for seed in (1, 1, 2):
        async with simulated("*:500=0.5", seed=seed) as client:
            runs.append([(await client.fetch()).status for _ in range(30)])
    assert runs[0] == runs[1] != runs[2]
    assert {200, 500} == set(runs[0])


async def test_latency_delays_its_org_only() -> None:
    async with simulated("org-002:latency=1h", "org-003:latency=20ms") as client:
        late = asyncio.create_task(client.fetch("org-002"))
        await wait_until_async(lambda: client.simulator.journal.load("org-002").in_flight == 1)
        for org in ("org-001", "org-003"):
            assert (await client.fetch(org)).status == 200
        assert not late.done()
        late.cancel()


async def test_a_reset_ends_the_connection_without_an_answer() -> None:
    async with simulated("*:reset") as client:
        with pytest.raises((aiohttp.ServerDisconnectedError, ConnectionResetError, aiohttp.ClientOSError)):
            await client.fetch()
        entry = client.simulator.journal.requests()[-1]
        assert (entry.status, entry.fault) == (None, "reset")


async def test_a_truncated_body_is_shorter_than_its_length_says() -> None:
    async with simulated("*:truncate") as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.fetch()


async def test_a_slow_body_sends_its_headers_at_once_and_is_complete_at_the_end() -> None:
    async with simulated("org-001:slow-body=1h", "org-002:slow-body=20ms") as client:
        org = client.simulator.org("org-001")
        auth = {"Authorization": aiohttp.encode_basic_auth(org.username, org.access_key)}
        async with client.session.get(client.simulator.base_url + PATH, params=DAY, headers=auth) as response:
            assert (response.status, response.content.at_eof()) == (200, False)
        assert (await client.fetch("org-002")).json["status"] == "success"


async def test_partial_once_is_complete_the_second_time_for_every_query() -> None:
    async with simulated("*:partial=once") as client:
        seen = [(await client.fetch(query={"type": of})).partial for of in ("account-user", "service-user") * 2]
    assert seen == [True, True, False, False]


async def test_partial_always_omits_the_same_group_each_time() -> None:
    async with simulated("org-001:partial=always", "org-002:partial,group=automation") as client:
        replies = [await client.fetch() for _ in range(5)]
        automation = await client.fetch("org-002")
        truth = client.simulator.usage.totals("org-002", "account-user", START, START + 86_400)
    assert all(reply.partial for reply in replies)
    assert len({reply.body for reply in replies}) == 1
    assert counts(automation.products)[:8] == [0] * 8
    assert counts(automation.products)[8:] == counts(truth.products)[8:]


async def test_partial_often_omits_varying_groups() -> None:
    async with simulated("*:partial=often") as client:
        replies = [await client.fetch() for _ in range(40)]
    assert len({reply.body for reply in replies if reply.partial}) > 1
    assert 5 < sum(reply.partial for reply in replies) < 35


async def test_late_usage_is_counted_in_part_only() -> None:
    async with simulated("org-001:late=3d:0.5") as client:
        last, before = (
            await client.fetch(),
            await client.fetch(query={"from": "2026-11-16 00:00:00", "to": "2026-11-16 23:59:59"}),
        )
        usage = client.simulator.usage
        truth = usage.totals("org-001", "account-user", START, START + 86_400).products["automation"]["totalTests"]
        assert last.products["automation"]["totalTests"] == truth // 2
        assert before.products == usage.totals("org-001", "account-user", START - 86_400, START).products


async def test_an_exclusive_end_excludes_the_last_second() -> None:
    second = {"from": "2026-11-17 11:59:59", "to": "2026-11-17 12:00:00"}
    async with simulated("org-001:range-end=exclusive") as client:
        reply = await client.fetch(query=second)
        whole_day = await client.fetch(query={"to": "2026-11-18 00:00:00"})
        usage = client.simulator.usage
        noon = START + 12 * 3600
        assert reply.products == usage.totals("org-001", "account-user", noon - 1, noon).products
        assert whole_day.products == usage.totals("org-001", "account-user", START, START + 86_400).products


async def test_parts_that_do_not_add_up_differ_from_the_whole() -> None:
    async with simulated("*:not-additive") as client:
        whole = counts((await client.fetch()).products)
        parts = [
            counts((await client.fetch(query=part)).products)
            for part in ({"to": "2026-11-17 11:59:59"}, {"from": "2026-11-17 12:00:00"})
        ]
    assert sum(whole) < sum(map(sum, parts))


async def test_retention_returns_zeros_for_old_usage() -> None:
    async with simulated("*:retention=3d") as client:
        old = await client.fetch(query={"from": "2026-11-16 00:00:00", "to": "2026-11-16 23:59:59"})
        young = await client.fetch()
    assert set(counts(old.products)) == {0}
    assert old.json["data"]["metadata"]["totalUsers"] == 0
    assert sum(counts(young.products)) > 0


async def test_same_types_returns_the_sum_for_both_types() -> None:
    async with simulated("org-002:same-types") as client:
        humans, machines = [await client.fetch("org-002", {"type": of}) for of in ("account-user", "service-user")]
        usage = client.simulator.usage
        parts = [usage.totals("org-002", of, START, START + 86_400) for of in ("account-user", "service-user")]
    assert humans.products == machines.products
    assert counts(humans.products) == [
        sum(pair) for pair in zip(*(counts(part.products) for part in parts), strict=True)
    ]


async def test_same_as_returns_the_answer_of_the_other_org() -> None:
    async with simulated("org-003:same-as=org-001") as client:
        assert (await client.fetch("org-003")).body == (await client.fetch("org-001")).body
        assert [entry.org for entry in client.simulator.journal.requests()] == ["org-003", "org-001"]


async def test_an_extra_product_and_metric_are_added() -> None:
    async with simulated("*:extra-product") as client:
        products = (await client.fetch()).products
    assert set(products["kaneai"]) == {"totalTests", "totalDuration"}
    assert products["automation"]["totalMinutes"] > 0


async def test_faults_that_match_no_org_are_refused() -> None:
    for fault, problem in (("org-9*:refused", "matches none of"), ("org-001:same-as=org-999", "is not one of")):
        with pytest.raises(FaultError, match=f"{problem} the orgs org-001 to org-003"):
            async with simulated(fault):
                pass


async def test_replacing_faults_keeps_the_counting_of_those_that_stay() -> None:
    async with simulated("org-001:refused", "org-002:500,first=2") as client:
        assert [(await client.fetch(org)).status for org in ("org-001", "org-002")] == [401, 500]
        now = await client.control(
            "/_simulator/faults", method="PUT", body=["org-002:500,first=2", "org-001:503,first=1"]
        )
        assert now == await client.control("/_simulator/faults") == ["org-002:500,first=2", "org-001:503,first=1"]
        assert [(await client.fetch("org-002")).status for _ in range(2)] == [500, 200]
        assert [(await client.fetch("org-001")).status for _ in range(2)] == [503, 200]


@pytest.mark.parametrize("body", ["refused", [1], ["org-001:refusd"], {"faults": []}])
async def test_invalid_faults_change_nothing(body: object) -> None:
    async with simulated("org-001:refused") as client:
        refused = await client.control("/_simulator/faults", method="PUT", body=body)
        assert refused["status"] == "error"
        assert await client.control("/_simulator/faults") == ["org-001:refused"]
