"""Runs whose clock is wrong: nothing false is committed, and nothing stays missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from collector.core.exit_codes import ExitCode
from collector.core.response import Reply
from collector.ledger import SqlLedger
from collector.model import ApiRequest, Org, SliceState, Window
from tests.flow.world import DAY, NOON, World
from tests.support.fake_api import FakeApi, answer


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def dated(org: Org, request: ApiRequest, date: datetime) -> Reply:
    """A good answer whose `Date` header says when it was sent."""
    reply = answer(org, request)
    return replace(reply, headers={"date": format_datetime(date, usegmt=True)})


@pytest.mark.parametrize("ahead", [timedelta(days=400), timedelta(days=10), timedelta(minutes=11), -timedelta(days=2)])
def test_a_clock_that_is_wrong_commits_nothing_and_leaves_no_hole(world: World, ahead: timedelta) -> None:
    """By a clock 10 days ahead, days that had not happened were complete for ever; 400 days left nothing wanted."""
    world.api = FakeApi(script=lambda org, request, _n: dated(org, request, NOON))
    wrong = world.collect(NOON + ahead)
    assert (wrong.exit_code, world.records) == (ExitCode.OUTPUT, [])
    assert "clock" in str(wrong.output_error)
    assert ("ahead of" if ahead > timedelta(0) else "behind") in str(wrong.output_error)
    assert wrong.summary.count(SliceState.NOT_ASKED) + wrong.summary.count(SliceState.FAILED) == wrong.summary.planned
    assert len(world.api.asked) <= 2 * 2
    right = world.collect(NOON)
    assert right.exit_code == ExitCode.OK
    assert right.summary.count(SliceState.COMPLETE) == right.summary.planned >= 2 * 2 * 3


def test_what_a_clock_that_was_ahead_had_completed_is_fetched_again(world: World) -> None:
    """The API sent no `Date` then, so that nothing told."""
    world.collect(NOON + 10 * DAY)
    result = world.collect(NOON + 4 * DAY)
    assert result.exit_code == ExitCode.OK
    assert result.summary.count(SliceState.COMPLETE) == result.summary.planned > 0
    ledger = SqlLedger.open(world.ledger_url, command="look", now=lambda: NOON, durable=False)
    try:
        rows = [row.key for row in ledger.organizations()]
        known = [one for key in rows for one in ledger.coverage(key, Window(NOON - 90 * DAY, NOON + 4 * DAY)).values()]
    finally:
        ledger.close()
    assert all(one.complete_at is not None and one.complete_at <= NOON + 5 * DAY for one in known)


def test_a_clock_that_differs_by_minutes_is_good_enough(world: World) -> None:
    world.api = FakeApi(script=lambda org, request, _n: dated(org, request, NOON + timedelta(minutes=9)))
    assert world.collect(NOON).exit_code == ExitCode.OK
