"""Orgs and their slices to test with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from collector.core.plan import Batch
from collector.core.windows import Calendar
from collector.model import BasicCredential, Org, Slice, Window

START = datetime(2026, 6, 1, tzinfo=UTC)


def make_org(name: str = "acme", **changes: Any) -> Org:
    values: dict[str, Any] = {
        "name": name,
        "base_url": "http://127.0.0.1:9",
        "credential": BasicCredential(username=f"{name}@example.test", access_key=f"key-of-{name}"),
    }
    return Org(**(values | changes))


def slices_of(org: Org, span: Window) -> list[Slice]:
    """All slices of a span, oldest first."""
    windows = Calendar(org.zone, org.granularity).split(span)
    return [Slice(org, population, window) for window in windows for population in org.populations]


def plan_days(org: Org, days: int, start: datetime = START) -> Batch:
    """One batch with all slices of so many days."""
    return Batch(org=org, slices=slices_of(org, Window(start, start + timedelta(days=days))) if days else ())
