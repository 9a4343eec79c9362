"""Orgs and plans to test with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from collector.core.plan import LanePlan
from collector.model import BasicCredential, Org, Window

START = datetime(2026, 6, 1, tzinfo=UTC)


def make_org(name: str = "acme", **changes: Any) -> Org:
    values: dict[str, Any] = {
        "name": name,
        "base_url": "http://127.0.0.1:9",
        "credential": BasicCredential(username=f"{name}@example.test", access_key=f"key-of-{name}"),
    }
    return Org(**(values | changes))


def plan_days(org: Org, days: int, start: datetime = START) -> LanePlan:
    return LanePlan(org, Window(start, start + timedelta(days=days)))
