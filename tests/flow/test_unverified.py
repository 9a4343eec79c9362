"""Zeros that may be deleted data: a state of their own wherever a window's state is shown, and no gap."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.core.exit_codes import ExitCode
from collector.core.org_coverage import CoverageState
from collector.model import ApiRequest, Org
from tests.flow.world import NOON, World, counting
from tests.support.fake_api import FakeApi, Step, answer

OLD, NEW = "2026-03-01", "2026-06-20"
DELETED = ("2026-02-28", "2026-03-01", "2026-03-02")  # an org's day may begin on the day before, in UTC
LATER = NOON + timedelta(minutes=5)
ZERO = {"automation": {"totalTests": 0, "totalDuration": 0}}


def forgetful(org: Org, request: ApiRequest, _n: int) -> Step:
    """The API has deleted the oldest days: it answers zero for them."""
    if request.from_[:10] in DELETED:
        return answer(org, request, products=ZERO, users=0)
    return counting(7)(org, request, _n)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, api=FakeApi(forgetful))
    assert world.backfill(NOON, OLD, OLD).exit_code is ExitCode.OK
    world.backfill(NOON, NEW, NEW)
    return world


def counts(world: World) -> dict[CoverageState, int]:
    found: dict[CoverageState, int] = {}
    for org in world.page(LATER).values():
        for population in org.populations:
            for state, windows in population.counts.items():
                found[state] = found.get(state, 0) + windows
    return found


def coverage_lines(world: World, run_id: str) -> list[dict[str, Any]]:
    text = (world.directory / "out" / f"coverage-{run_id}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_they_are_counted_apart_and_are_no_gap(world: World) -> None:
    assert counts(world)[CoverageState.UNVERIFIED] == 4  # a day of two populations of two orgs
    assert all(
        gap.window.start.date().isoformat() > OLD
        for org in world.page(LATER).values()
        for population in org.populations
        for gap in population.gaps
    )
    assert {one["state"] for one in coverage_lines(world, "0001")} == {"unverified"}
    assert {one["state"] for one in coverage_lines(world, "0002")} == {"complete"}
    assert {one["quality"] for one in world.records if one["window_date"] == OLD} == {"unverified"}


def test_they_are_not_fetched_again(world: World) -> None:
    asked = len(world.api.asked)
    assert world.backfill(LATER, OLD, OLD).summary.planned == 0
    assert len(world.api.asked) == asked


def test_a_number_that_comes_after_all_makes_the_window_complete(world: World) -> None:
    world.api = FakeApi(counting(7))
    world.backfill(LATER, OLD, OLD, force=True)
    assert CoverageState.UNVERIFIED not in counts(world)
    assert world.page(LATER)["a"].populations[0].oldest_usage is not None


def test_a_number_stays_complete_when_the_api_has_deleted_it_since(tmp_path: Path) -> None:
    world = World(tmp_path, api=FakeApi(counting(7)))
    world.backfill(NOON, OLD, OLD)
    world.api = FakeApi(forgetful)
    world.backfill(LATER, OLD, OLD, force=True)
    assert CoverageState.UNVERIFIED not in counts(world)
    assert {one["total_tests"] for one in world.records} == {7}
