"""Waiting for orgs that another process works on: logged once for all of them, not once for each."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from collector.adapters.event_log import EventLog
from collector.app.command import Command
from collector.core.exit_codes import ExitCode
from collector.events import Event, LeaseAwaited, LeaseWaitEnded
from collector.ledger import SqlLedger
from collector.run.stop import Stop
from tests.flow.world import DAY, NOON, World
from tests.support.fake_api import FakeClock
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(minutes=2)])
def test_waiting_for_busy_orgs_is_logged_once_at_its_begin_and_its_end(wait: timedelta, world: World) -> None:
    world.orgs = [make_org(name) for name in "abcdef"]
    world.collect(NOON)
    other = SqlLedger.open(world.ledger_url, command="collector backfill", now=lambda: NOON, durable=False)
    command = Command(name="collect", range_=None, wait=wait)
    try:
        assert other.acquire([row.key for row in other.organizations() if row.name != "f"]) == {}
        with capture_logs() as logs:
            run = world.run(command, run_id="9", clock=FakeClock(NOON + DAY), stop=Stop(), emit=EventLog())
            assert run_virtual(run).exit_code == ExitCode.BUSY
    finally:
        other.close()
    lines = [
        (line["event"], line["log_level"], line["message"])
        for line in logs
        if line["event"].startswith(("lease.", "org.")) and line["log_level"] != "debug"
    ]
    process = f"`collector backfill`, pid {os.getpid()} on {socket.gethostname()}, running since 2026-06-24 12:00 UTC"
    awaited = "waiting up to 2 min for 5 orgs (a, b, c and 2 more), on which another process works: "
    ended = "5 orgs (a, b, c and 2 more) given up, as another process still works there: "
    assert lines == [
        *([("lease.awaited", "info", awaited + process)] if wait else []),
        ("lease.wait_ended", "error", f"{ended}{process}. Run the command again later, or with a longer --wait"),
    ]


def test_the_end_of_waiting_is_logged_when_the_orgs_are_released(world: World) -> None:
    world.collect(NOON)
    other = SqlLedger.open(world.ledger_url, command="collector backfill", now=lambda: NOON, durable=False)
    keys = [row.key for row in other.organizations()]
    seen: list[Event] = []

    def release(event: Event) -> None:
        seen.append(event)
        if isinstance(event, LeaseAwaited):
            other.release(keys)

    try:
        assert other.acquire(keys) == {}
        command = Command(name="collect", range_=None)
        run = world.run(command, run_id="9", clock=FakeClock(NOON + DAY), stop=Stop(), emit=release)
        assert run_virtual(run).exit_code == ExitCode.OK
    finally:
        other.close()
    awaited, ended = (event for event in seen if isinstance(event, LeaseAwaited | LeaseWaitEnded))
    assert isinstance(awaited, LeaseAwaited)
    assert isinstance(ended, LeaseWaitEnded)
    assert (awaited.orgs, awaited.wait_s, ended.busy) == (["a", "b"], 300, {})
    assert 0 < ended.waited_s <= 2


@pytest.mark.parametrize("later", [timedelta(0), DAY], ids=["nothing-left", "a-day-left"])
def test_busy_orgs_of_which_nothing_is_left_to_fetch_need_no_other_run(later: timedelta, world: World) -> None:
    world.collect(NOON)
    other = SqlLedger.open(world.ledger_url, command="collector backfill", now=lambda: NOON, durable=False)
    command = Command(name="collect", range_=None, wait=timedelta(minutes=2))
    try:
        assert other.acquire([row.key for row in other.organizations()]) == {}
        result = run_virtual(world.run(command, run_id="9", clock=FakeClock(NOON + later), stop=Stop()))
    finally:
        other.close()
    assert (result.exit_code, result.summary.planned) == ((ExitCode.BUSY, 12) if later else (ExitCode.OK, 0))
