"""Beside the records stands what each window of the run is: one without records isn't zero, unless it is complete."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from signal import SIGTERM
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest

from collector.adapters.sinks import DirectorySink
from collector.app.command import Command
from collector.core.coverage_lines import coverage_schema
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Between, Moment
from collector.errors import OutputError
from collector.model import ApiRequest, Granularity, Org, SliceState, Zone
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from tests.flow.world import NOON, World, day_of
from tests.support.fake_api import UNAUTHORIZED, FakeApi, FakeClock, Step, status
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual

VALIDATOR = jsonschema.Draft202012Validator(coverage_schema())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def lines_of(world: World, result: RunResult) -> list[dict[str, Any]]:
    """Return the lines of a run's file, which is as its manifest says."""
    told = world.manifest(result)["coverage"]
    content = (world.directory / "out" / f"coverage-{result.run_id}.jsonl").read_bytes()
    assert told == {
        "name": f"coverage-{result.run_id}.jsonl",
        "windows": content.count(b"\n"),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "orgs_left_out": 0,
    }
    lines = [json.loads(line) for line in content.splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
        assert line["run_id"] == result.run_id
    assert len({(line["org"], line["population"], line["window_start"]) for line in lines}) == len(lines)
    return lines


def test_each_planned_window_has_a_line_with_its_state_as_the_manifest_counts_them(world: World) -> None:
    def faulty(org: Org, request: ApiRequest, _n: int) -> Step:
        if org.name == "refused":
            return UNAUTHORIZED
        return status(400) if org.name == "failing" and day_of(request) == "2026-06-12" else None

    world.orgs = [make_org(name, labels={"team": "x"}) for name in ("fine", "failing", "refused")]
    world.api = FakeApi(script=faulty)
    result = world.backfill(NOON, "2026-06-10", "2026-06-14")
    lines = lines_of(world, result)
    counts = world.manifest(result)["slices"]
    assert Counter(line["state"] for line in lines) == {
        "complete": counts["complete"],
        "failed": counts["failed"],
        "refused": counts["refused"],
    }
    assert len(lines) == counts["planned"] == 3 * 2 * 5
    failed = [line for line in lines if line["state"] == "failed"]
    assert {(line["org"], line["window_date"]) for line in failed} == {("failing", "2026-06-12")}
    assert all(line["reason"] for line in lines if line["state"] != "complete")
    assert {line["reason"] for line in lines if line["org"] == "refused"} == {"refused_credential"}
    assert {line["org_id"] for line in lines if line["org"] == "refused"} == {None}
    joined = {
        (line["org_id"], line["population"], line["window_date"]) for line in lines if line["state"] == "complete"
    }
    assert joined == {(r["org_id"], r["population"], r["window_date"]) for r in world.records}


def test_a_recheck_in_vain_leaves_the_window_complete(world: World) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-20", "2026-06-21")
    world.api = FakeApi(script=lambda *_: UNAUTHORIZED)
    again = world.backfill(NOON + timedelta(hours=1), "2026-06-20", "2026-06-22", force=True)
    assert again.exit_code == ExitCode.REFUSED
    assert {line["window_date"]: line["state"] for line in lines_of(world, again)} == {
        "2026-06-20": "complete",
        "2026-06-21": "complete",
        "2026-06-22": "refused",
    }


def test_many_gaps_that_were_not_requested_each_have_a_line(world: World) -> None:
    """The summary keeps a few spans; here all are told, hours with their local dates."""
    world.orgs = [make_org("a", granularity=Granularity.HOUR, zone=Zone.parse("Asia/Kolkata"))]
    world.api = FakeApi(script=lambda _org, _request, n: UNAUTHORIZED if n > 40 else None)
    result = world.backfill(NOON, "2026-06-10", "2026-06-14")
    lines = lines_of(world, result)
    assert len(lines) == result.summary.planned == 5 * 24 * 2
    assert Counter(line["window_date"] for line in lines) == {f"2026-06-{day}": 48 for day in range(10, 15)}
    assert Counter(line["state"] for line in lines) == {
        state.value: count for state in SliceState if (count := result.summary.count(state))
    }


def test_a_stopped_run_tells_what_it_did_not_request(world: World) -> None:
    stop = Stop()

    def stopping(_org: Org, _request: ApiRequest, n: int) -> Step:
        if n == 3:
            stop.request(SIGTERM)
        return None

    world.orgs = [make_org("a")]
    world.api = FakeApi(script=stopping)
    command = Command(name="backfill", range_=Between(Moment.parse("2026-06-01"), Moment.parse("2026-06-20")))
    result = run_virtual(world.run(command, run_id="0001", clock=FakeClock(NOON), stop=stop))
    lines = lines_of(world, result)
    missing = [line for line in lines if line["state"] == "missing"]
    assert len(missing) == result.summary.count(SliceState.NOT_ASKED) > 0
    assert {(line["reason"], line["fetched_at"]) for line in missing} == {("stopped", None)}
    assert len(lines) == result.summary.planned == 40


def test_a_run_with_nothing_due_leaves_no_file(world: World) -> None:
    world.collect(NOON)
    again = world.collect(NOON)
    assert world.manifest(again)["coverage"] is None
    assert len(list((world.directory / "out").glob("coverage-*"))) == 1


def test_anomalies_stand_beside_the_state(world: World) -> None:
    world.orgs = [make_org("a")]
    lines = lines_of(world, world.backfill(NOON, "2026-06-10", "2026-06-14"))
    assert {line["population"]: "same_totals" in line["anomalies"] for line in lines} == {
        "account-user": False,
        "service-user": True,
    }


@pytest.mark.parametrize("method", ["append_coverage", "seal_coverage"])
def test_a_disk_that_is_full_by_then_fails_the_run_which_still_leaves_its_records_and_its_manifest(
    world: World, method: str
) -> None:
    with patch.object(DirectorySink, method, side_effect=OutputError("the disk is full")):
        result = world.backfill(NOON, "2026-06-10", "2026-06-14")
    assert (result.exit_code, str(result.output_error)) == (ExitCode.OUTPUT, "the disk is full")
    told = world.manifest(result)
    assert (told["exit_code"], told["coverage"], told["slices"]["complete"]) == (5, None, 20)
    assert len(world.records_of_run(result)) == told["records"] > 0
