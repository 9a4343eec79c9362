"""`backfill --sparse`: the same records with fewer requests, and never a zero that is not true."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from collector.core.org_coverage import CoverageState
from collector.fetch import RateLimit
from collector.model import Granularity, Org, Population, Zone
from tests.flow.harness import FAST
from tests.flow.sparse import (
    BOTH,
    DAYS,
    MONTHS,
    NOW,
    PEOPLE,
    SERVICES,
    backfill,
    days,
    in_stretches,
    ranged,
    world,
)
from tests.flow.world import DAY
from tests.support.breadth import some_of
from tests.support.orgs import make_org
from tests.support.spans import SpanApi, noon_of


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


@pytest.mark.parametrize("month", some_of(MONTHS, 4))
def test_one_active_month_costs_at_most_13_percent(tmp_path: Path, month: int) -> None:
    assert share(tmp_path, [day for day in DAYS if day.month == month]) <= 0.13


@pytest.mark.parametrize("seed", range(3))
def test_five_percent_of_active_days_cost_at_most_35_percent(tmp_path: Path, seed: int) -> None:
    assert share(tmp_path, sorted(random.Random(seed).sample(DAYS, 18))) <= 0.35


@pytest.mark.parametrize("seed", range(2))
def test_half_of_the_weekdays_cost_at_most_5_percent_more(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    assert share(tmp_path, days(day.weekday() < 5 and draw.random() < 0.5 for day in DAYS)) <= 1.05


def test_a_year_of_usage_costs_at_most_5_percent_more(tmp_path: Path) -> None:
    assert share(tmp_path, DAYS) <= 1.05


ZONES = ["America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "+05:30"]


@pytest.mark.parametrize("zone", some_of(ZONES, 2))
@pytest.mark.parametrize("granularity", ["hour", "day", "week", "month"])
def test_both_populations_have_the_same_records_on_any_calendar(tmp_path: Path, zone: str, granularity: str) -> None:
    org = make_org("a", zone=Zone.parse(zone), granularity=Granularity(granularity))
    draw = random.Random(f"{zone} {granularity}")
    usage = {population: in_stretches(draw, 365 * 24) for population in BOTH}
    api, plain = SpanApi(usage), SpanApi(usage)
    first, last = ("2025-03-24", "2025-04-08") if granularity == "hour" else ("2025-01-01", "2025-12-31")

    records, without = (
        ranged(world(tmp_path / name, org), used, first, last, sparse=used is api)
        for name, used in (("sparse", api), ("plain", plain))
    )

    assert records == without
    assert all(api.requests("a", one) <= plain.requests("a", one) * 1.05 for one in BOTH)
    assert max(span.elapsed for _, _, span in api.requested) <= 90 * DAY


def test_what_is_inferred_says_so_and_nothing_else_does(tmp_path: Path) -> None:
    api = SpanApi({PEOPLE: noon_of([DAYS[40]]), SERVICES: {}})
    there = world(tmp_path)

    backfill(there, api)

    inferred = {(r["population"], r["window_start"]) for r in there.records if r["quality"] == "inferred"}
    (manifest,) = (json.loads(path.read_bytes()) for path in (tmp_path / "out").glob("run-*.json"))
    assert manifest["inferred"] == len(inferred) > 600
    assert manifest["slices"]["complete"] == manifest["slices"]["planned"] == 730
    assert manifest["requests"] == len(api.requested)
    assert [one.count(CoverageState.COMPLETE) for one in there.page(NOW)["a"].populations] == [365, 365]
    singles = {(of, span.start) for _, of, span in api.requested if span.elapsed == DAY}
    for record in there.records:
        single = (Population(record["population"]), datetime.fromisoformat(record["window_start"])) in singles
        assert record["quality"] == ("measured" if single else "inferred")
        if not single:
            assert record["org_users"] == 0
            assert not record["total_tests"]
            assert not record["total_screenshots"]


def test_a_low_rate_that_cuts_batches_costs_no_request_more(tmp_path: Path) -> None:
    active = sorted(random.Random(3).sample(DAYS, 30))
    fast, slow = (SpanApi({PEOPLE: noon_of(active), SERVICES: noon_of(DAYS[100:130])}) for _ in range(2))
    limits = replace(FAST, org_rate=RateLimit(1, 8.0))

    records = backfill(world(tmp_path / "slow", limits=limits), slow)

    assert records == backfill(world(tmp_path / "fast"), fast)
    for population in BOTH:
        assert slow.requests("a", population) == fast.requests("a", population)


@pytest.mark.parametrize("permits", [1, 2, 8])
def test_requests_are_the_same_however_many_may_be_under_way(tmp_path: Path, permits: int) -> None:
    usage = {PEOPLE: noon_of(DAYS[50:70]), SERVICES: noon_of(DAYS[::9])}
    api, one = SpanApi(usage), SpanApi(usage)

    backfill(world(tmp_path / "many", limits=replace(FAST, org_concurrency=permits)), api)
    backfill(world(tmp_path / "one", limits=replace(FAST, org_concurrency=1)), one)

    assert len(api.requested) == len(one.requested)
    assert {(p, s) for _, p, s in api.requested} == {(p, s) for _, p, s in one.requested}
