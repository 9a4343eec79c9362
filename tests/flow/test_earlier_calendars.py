"""After an org's calendar was changed, what is not complete of the one before stays visible: a biller needs it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from collector.app.coverage import CoverageReader
from collector.core.coverage_lines import to_json_lines
from collector.core.exit_codes import ExitCode
from collector.ledger import open_reader
from collector.model import ApiRequest, Org, Zone
from tests.flow.world import DAY, NOON, World
from tests.support.fake_api import FakeApi, Step, answer

BERLIN, TOKYO = Zone.parse("Europe/Berlin"), Zone.parse("Asia/Tokyo")
LATER = NOON + 5 * DAY


def partly(org: Org, request: ApiRequest, _n: int) -> Step:
    return answer(org, request, partial=org.name == "a")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Org a was collected in part, by days in Berlin; then its zone was corrected."""
    world = World(tmp_path, api=FakeApi(partly))
    world.orgs = [replace(org, zone=BERLIN) for org in world.orgs]
    assert world.collect(NOON).exit_code is ExitCode.INCOMPLETE
    world.orgs = [replace(org, zone=TOKYO) if org.name == "a" else org for org in world.orgs]
    return world


def look(world: World, now: datetime) -> tuple[list[dict[str, Any]], float]:
    """What `status --json --all` says of org a, and how many hours it says are left out."""
    ledger = open_reader(world.ledger_url)
    assert ledger is not None
    try:
        reader = CoverageReader(world.config, days=None)
        org = reader.read_all(ledger, now)["a"]
        lines = [orjson.loads(line) for line in to_json_lines(reader.windows(ledger, org, now)).splitlines()]
        cut = reader.left_out(ledger, org, now)
        spans = cut.left_out if cut else ()
        return lines, sum(((span.end - span.start).total_seconds() for span in spans), 0.0) / 3600
    finally:
        ledger.close()


def test_a_refused_calendar_is_shown_window_by_window_as_the_ledger_has_it(world: World) -> None:
    """It ended in a KeyError."""
    lines, left_out = look(world, NOON)
    assert Counter((line["timezone"], line["state"], line["reason"]) for line in lines) == {
        (BERLIN.name, "partial", "partial"): 6
    }
    assert left_out == 0


def test_windows_of_the_calendar_before_stay_in_the_lines_and_what_is_left_out_is_told(world: World) -> None:
    world.orgs = [replace(org, since=date(2026, 6, 25)) if org.name == "a" else org for org in world.orgs]
    world.api = FakeApi()
    assert world.collect(LATER).exit_code is ExitCode.OK
    lines, left_out = look(world, LATER)
    counts = Counter((line["timezone"], line["state"]) for line in lines)
    assert counts[BERLIN.name, "partial"] == 6
    assert counts[TOKYO.name, "complete"] >= 2 * 4
    assert not [line for line in lines if line["timezone"] == TOKYO.name and line["window_date"] < "2026-06-25"]
    assert left_out >= 3 * 24
    assert len({(line["population"], line["window_start"]) for line in lines}) == len(lines)
    assert world.page(LATER + timedelta(hours=1))["b"].incomplete == 0
