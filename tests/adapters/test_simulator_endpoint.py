"""The simulated API over real sockets: the endpoint as documented."""

from __future__ import annotations

import pytest

from tests.support.simulated import DAY, START, counts, simulated


async def test_a_day_is_answered_in_the_documented_shape_with_the_true_usage() -> None:
    async with simulated() as client:
        reply = await client.fetch(query={"timezone": "-330"})
        org = client.simulator.org("org-001")
        start = START - 19_800
        truth = client.simulator.usage.totals("org-001", "account-user", start, start + 86_400)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json == {
        "status": "success",
        "data": {
            "metadata": {
                **DAY,
                "totalUsers": truth.users,
                "timezone": "+05:30",
                "organization": {"id": org.org_id, "name": org.display_name},
            },
            "products": truth.products,
        },
    }
    assert sum(counts(truth.products)) > 0


async def test_a_bearer_token_is_accepted_like_the_access_key() -> None:
    async with simulated() as client:
        bearer = await client.fetch(headers={"Authorization": f"Bearer {client.simulator.org('org-001').token}"})
        assert bearer.status == 200
        assert bearer.body == (await client.fetch()).body


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic /w==",
        "Bearer",
        "Bearer x",
        "Digest a=b",
        "Basic b3JnLTAwMUBleGFtcGxlLnRlc3Q6eA==",
    ],
)
async def test_without_a_valid_credential_the_answer_is_401(authorization: str | None) -> None:
    async with simulated() as client:
        reply = await client.fetch(headers={} if authorization is None else {"Authorization": authorization})
    assert reply.status == 401
    assert reply.json == {"status": "error", "message": "Invalid or missing Basic Auth credentials"}
    assert "WWW-Authenticate" in reply.headers


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_any_other_method_is_405_and_names_the_allowed_one(method: str) -> None:
    async with simulated() as client:
        reply = await client.fetch(method=method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET")


async def test_an_invalid_query_is_400_after_the_credential_was_checked() -> None:
    async with simulated() as client:
        bad = await client.fetch(query={"timezone": "IST"})
        unknown = await client.fetch(query={"timezone": "IST"}, headers={})
    assert (bad.status, unknown.status) == (400, 401)
    assert bad.json["message"] == "invalid timezone format: IST (expected +HH:MM or -HH:MM, e.g. +05:30)"


async def test_there_is_no_usage_after_the_simulators_now() -> None:
    async with simulated() as client:
        days = {"from": "2026-11-16 00:00:00", "to": "2026-12-16 23:59:59"}
        until_later, until_now = (
            await client.fetch(query=days),
            await client.fetch(query=days | {"to": "2026-11-19 23:59:59"}),
        )
    assert until_later.products == until_now.products
