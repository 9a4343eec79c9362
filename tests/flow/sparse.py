"""A year of one org for tests of `backfill --sparse`."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.core.exit_codes import ExitCode
from collector.core.response import Reply
from collector.model import Org, Population
from tests.flow.world import DAY, World
from tests.support.fake_api import FakeApi
from tests.support.orgs import make_org
from tests.support.spans import SpanApi

BOTH = tuple(Population)
PEOPLE, SERVICES = BOTH
HOUR = timedelta(hours=1)
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = [FIRST + number * DAY for number in range(365)]
NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
YEARS = timedelta(days=2000)
MONTHS = range(1, 13)


def world(tmp_path: Path, org: Org | None = None, **changes: Any) -> World:
    changes = {"trust_zero_for": YEARS, **changes}
    return World(tmp_path, orgs=[org or make_org("a")], **changes)


def days(active: Iterable[bool]) -> list[datetime]:
    return [day for day, is_active in zip(DAYS, active, strict=False) if is_active]


def backfill(there: World, api: SpanApi, *, sparse: bool = True, script: Any = None) -> list[dict[str, Any]]:
    """Backfill 2025 and return the records, without what differs between any two runs."""
    there.api = FakeApi(script or api.script)
    result = there.backfill(NOW, "2025-01-01", "2025-12-31", sparse=sparse)
    assert result.exit_code is ExitCode.OK
    return comparable(there.records)


def comparable(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    left_out = {"collected_at", "run_id", "quality"}
    kept = [{key: value for key, value in record.items() if key not in left_out} for record in records]
    return sorted(kept, key=lambda record: (record["record_id"], record["revision"]))


def in_stretches(draw: random.Random, hours: int) -> dict[datetime, int]:
    """Return usage at some hours of some stretches of the last weeks of a year."""
    usage: dict[datetime, int] = {}
    for _ in range(draw.randint(0, 4)):
        begin, length = draw.randrange(hours), draw.randint(1, 200)
        usage |= {FIRST + (begin + n) * HOUR: draw.randint(1, 9) for n in range(length) if draw.random() < 0.6}
    return usage


def ranged(there: World, api: SpanApi, first: str, last: str, *, sparse: bool = True) -> list[dict[str, Any]]:
    there.api = FakeApi(api.script)
    assert there.backfill(NOW, first, last, sparse=sparse).exit_code is ExitCode.OK
    return comparable(there.records)


def in_part(reply: Reply) -> Reply:
    """Return the same answer as a partial one in which all is zero."""
    body = json.loads(reply.body)
    metadata = body["data"]["metadata"] | {"partial": True}
    products = {name: dict.fromkeys(metrics, 0) for name, metrics in body["data"]["products"].items()}
    return replace(reply, body=json.dumps(body | {"data": {"metadata": metadata, "products": products}}).encode())
