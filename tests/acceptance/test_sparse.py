"""`backfill --sparse` and `plan --sparse` as people call them, with the simulated API over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Here, SimulatedApi, past_days, simulated_api

pytestmark = pytest.mark.slow
ORGS = 15
DAYS = 50


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("sparse"), orgs=ORGS, options=["--limit", "500/1s"]) as api:
        yield api


def backfilled(here: Here, api: SimulatedApi, *args: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the records without what differs between any two runs, and what the log says of the run's end."""
    done = here("backfill", "-c", api.config, "--state", "none", "-o", "-", *args, "--log-format", "json")
    assert done.code == 0
    left_out = {"collected_at", "run_id", "quality"}
    records = [{key: value for key, value in record.items() if key not in left_out} for record in done.records]
    return sorted(records, key=lambda record: str(record["record_id"])), done.event("run.finished")


@pytest.mark.parametrize("fault", ["", "*:not-additive"])
def test_the_records_are_the_same_with_fewer_requests(here: Here, api: SimulatedApi, fault: str) -> None:
    """A third of the simulated orgs use service accounts only on some days."""
    api.set_faults(*filter(None, [fault]))

    args = [*past_days(DAYS), "--population", "service-user"]
    sparse, told = backfilled(here, api, *args, "--sparse")
    plain, told_of_plain = backfilled(here, api, *args)

    assert sparse == plain
    assert told["inferred"] + told["requests"] >= told["planned"] == told_of_plain["requests"]
    assert told["requests"] <= 1.05 * told_of_plain["requests"]
    if not fault:
        assert told["inferred"] > 0


def test_plan_shows_what_a_sparse_backfill_costs_at_least_and_at_most(here: Here, api: SimulatedApi) -> None:
    api.set_faults()
    before = api.stats["total"]["asked"]

    plan: list[str | Path] = ["plan", "-c", api.config, *past_days(DAYS), "--sparse"]
    told = json.loads(here(*plan, "--json").stdout)
    shown = here(*plan).stdout

    assert told["requests"] < told["slices"] < told["requests_at_most"] <= 1.05 * told["slices"]
    assert all(org["requests"] <= org["slices"] <= org["requests_at_most"] for org in told["orgs"])
    assert f"{told['requests']} to {told['requests_at_most']}" in shown
    assert api.stats["total"]["asked"] == before
    assert timedelta(seconds=told["seconds"]) < timedelta(minutes=2)


def test_a_sparse_plan_needs_a_range(here: Here, api: SimulatedApi) -> None:
    done = here("plan", "-c", api.config, "--sparse")
    assert done.code == 2
    assert "needs a range" in done.stderr
