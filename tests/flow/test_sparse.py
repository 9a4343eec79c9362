"""`backfill --sparse`: the same records with fewer requests, and never a zero that is not true."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.core.exit_codes import ExitCode
from collector.model import Org, Population
from tests.flow.world import DAY, World
from tests.support.fake_api import FakeApi
from tests.support.orgs import make_org
from tests.support.spans import SpanApi, noon_of

BOTH = tuple(Population)
PEOPLE, SERVICES = BOTH
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


def share(tmp_path: Path, active: Sequence[datetime], org: Org | None = None) -> float:
    """Return the requests for one population against one for each day; the records have to be the same."""
    org = org or make_org("a", populations=(PEOPLE,))
    api, plain = (SpanApi({PEOPLE: noon_of(active), SERVICES: {}}) for _ in range(2))

    records = backfill(world(tmp_path / "sparse", org), api)

    assert records == backfill(world(tmp_path / "plain", org), plain, sparse=False)
    assert plain.requests("a", PEOPLE) == 365
    return api.requests("a", PEOPLE) / 365


def test_a_year_without_usage_costs_five_requests(tmp_path: Path) -> None:
    assert share(tmp_path, []) * 365 == 5


@pytest.mark.parametrize("month", MONTHS)
def test_one_active_month_costs_at_most_13_percent(tmp_path: Path, month: int) -> None:
    assert share(tmp_path, [day for day in DAYS if day.month == month]) <= 0.13


@pytest.mark.parametrize("seed", range(5))
def test_five_percent_of_active_days_cost_at_most_35_percent(tmp_path: Path, seed: int) -> None:
    assert share(tmp_path, sorted(random.Random(seed).sample(DAYS, 18))) <= 0.35


@pytest.mark.parametrize("seed", range(3))
def test_half_of_the_weekdays_cost_at_most_5_percent_more(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    assert share(tmp_path, days(day.weekday() < 5 and draw.random() < 0.5 for day in DAYS)) <= 1.05


def test_a_year_of_usage_costs_at_most_5_percent_more(tmp_path: Path) -> None:
    assert share(tmp_path, DAYS) <= 1.05
