"""Bodies to be answered with: the documented one changed in one place, with a marker that must never show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from collector.model import Answer, ApiRequest, Population, ProductUsage

NOW = datetime(2026, 6, 24, 10, 20, tzinfo=UTC)
REQUEST = ApiRequest(
    population=Population.ACCOUNT_USER, from_="2026-06-23 00:00:00", to="2026-06-23 23:59:59", timezone="+00:00"
)
MARKER = "xK9-hostile-marker"
ABSENT = object()
PRODUCTS: dict[str, Any] = {
    "automation": {"totalTests": 8450, "totalDuration": 312540},
    "app-automation": {"totalTests": 1200, "totalDuration": 98400},
    "hyperexecute": {"totalTests": 3100, "totalDuration": 210000},
    "realtime": {"totalTests": 540, "totalDuration": 43200},
    "realdevice": {"totalTests": 275, "totalDuration": 22000},
    "smartui": {"totalScreenshots": 0},
}
METADATA: dict[str, Any] = {
    "type": "account-user",
    "totalUsers": 12,
    "from": "2026-06-23 00:00:00",
    "to": "2026-06-23 23:59:59",
    "timezone": "+00:00",
    "organization": {"id": "12345", "name": "Acme Corp"},
}
USAGES = {
    "automation": ProductUsage(total_tests=8450, total_duration=312540),
    "app-automation": ProductUsage(total_tests=1200, total_duration=98400),
    "hyperexecute": ProductUsage(total_tests=3100, total_duration=210000),
    "realtime": ProductUsage(total_tests=540, total_duration=43200),
    "realdevice": ProductUsage(total_tests=275, total_duration=22000),
    "smartui": ProductUsage(total_screenshots=0),
}
ANSWER = Answer(org_id="12345", org_name="Acme Corp", users=12, products=USAGES)


def success(
    metadata: Mapping[str, Any] | None = None, products: Any = PRODUCTS, *, status: Any = "success", **beside: Any
) -> bytes:
    """The documented body with other metadata (ABSENT takes a key away), other products, and keys `beside` `data`."""
    merged = {key: value for key, value in (METADATA | dict(metadata or {})).items() if value is not ABSENT}
    data = {"metadata": merged, "products": products}
    body = {"status": status, "data": {key: value for key, value in data.items() if value is not ABSENT}} | beside
    return json.dumps({key: value for key, value in body.items() if value is not ABSENT}).encode()


def hostile(metadata: Mapping[str, Any] | None = None, products: Any = PRODUCTS, **beside: Any) -> bytes:
    """The same with the marker wherever a text may stand that no document fixes."""
    marked = {"organization": {"id": "12345", "name": MARKER}, MARKER: MARKER} | dict(metadata or {})
    if isinstance(products, dict):
        products = products | {MARKER: {MARKER: MARKER}}
    return success(marked, products, **({MARKER: MARKER} | beside))


def counts(text: str) -> bytes:
    """The hostile body with `automation`'s totalTests written literally so."""
    return hostile().replace(b"8450", text.encode())


def changed(product: str, **metrics: Any) -> dict[str, Any]:
    """The documented products with some metrics of one set (or taken away, by ABSENT)."""
    merged = PRODUCTS.get(product, {}) | metrics
    return PRODUCTS | {product: {key: value for key, value in merged.items() if value is not ABSENT}}


def error(message: str) -> bytes:
    """What the service itself answers where something is wrong."""
    return json.dumps({"status": "error", "message": message}).encode()


def page(title: str) -> bytes:
    """What a gateway answers."""
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{MARKER}</body></html>".encode()
