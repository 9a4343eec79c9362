"""The service where a run fails, the disk is full or the ledger is away: it says so, and goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

from collector.adapters.sinks import DirectorySink
from collector.core.exit_codes import ExitCode
from collector.errors import LedgerError, OutputError
from collector.ports import SealedFile
from collector.service.health import unready
from collector.service.loop import Loop
from tests.flow.service_world import ServiceWorld
from tests.flow.world import NOON
from tests.support.fake_api import FakeApi
from tests.support.orgs import make_org

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(tmp_path: Path) -> ServiceWorld:
    return ServiceWorld(tmp_path, schedule={"cron": "20 * * * *", "jitter": "0"})


def test_an_exception_in_a_run_is_told_and_tried_again_later_each_time_and_the_service_goes_on(
    world: ServiceWorld,
) -> None:
    secret = "do-not-show-me"
    errors = {1: ValueError(secret), 2: LedgerError("the disk is full: free some space"), 3: KeyError(secret)}
    world.fails = errors.get
    loop = world.serve(NOON, 15 * MINUTE)
    waits = [(b[0] - a[0]).total_seconds() for a, b in pairwise(world.began)]
    assert waits == pytest.approx([10, 30, 60], abs=1)
    whys = [view.why for view in world.ended]
    assert "ValueError" in whys[0]
    assert "the disk is full" in whys[1]
    assert secret not in str(whys)
    assert world.ended[-1].exit_code == ExitCode.OK
    assert loop.observed.runs[0].exit_code == ExitCode.OK


def test_what_a_run_could_not_seal_the_next_one_of_the_same_service_seals(
    world: ServiceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = DirectorySink.publish, [False]

    def publish(sink: DirectorySink, files: Sequence[SealedFile]) -> None:
        if not failed[0]:
            failed[0] = True
            raise OutputError("the output directory can't be written: No space left on device")
        real(sink, files)

    monkeypatch.setattr(DirectorySink, "publish", publish)
    world.serve(NOON, 15 * MINUTE)
    assert [view.exit_code for view in world.ended] == [ExitCode.OUTPUT, ExitCode.OK]
    assert "No space left" in world.ended[0].why
    slices = Counter((r["org"], r["population"], r["window_start"], r["product"]) for r in world.records)
    assert set(slices.values()) == {1}
    assert len(slices) == 2 * 2 * 3 * 2
    assert len(world.api.asked) == 12


def test_a_run_that_is_stopped_with_orgs_that_were_never_claimed_ends_as_it_should(world: ServiceWorld) -> None:
    world.orgs = [make_org(f"org-{n}") for n in range(200)]
    world.api = FakeApi(latency_s=lambda _org: 10.0)
    world.serve(NOON, timedelta(seconds=25))
    assert [view.exit_code for view in world.ended] == [ExitCode.TERMINATED]


def test_a_full_disk_is_told_as_one_also_with_orgs_that_were_never_claimed(
    world: ServiceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append(_sink: DirectorySink, _records: object) -> None:
        raise OutputError("the output directory can't be written: No space left on device")

    monkeypatch.setattr(DirectorySink, "append", append)
    world.orgs = [make_org(f"org-{n}") for n in range(200)]
    world.serve(NOON, timedelta(seconds=5))
    assert world.ended[0].exit_code == ExitCode.OUTPUT
    assert "No space left" in world.ended[0].why


def test_what_is_new_while_the_ledger_is_away_is_loaded_once_it_is_back(world: ServiceWorld) -> None:
    async def change(loop: Loop) -> None:
        await asyncio.sleep(60)
        world.away = True
        world.orgs = [*world.orgs, make_org("new")]
        world.version += 1
        loop.reload()
        await asyncio.sleep(120)
        assert [org.name for org in loop.config.orgs] == ["a", "b"]
        world.away = False
        await asyncio.sleep(60)
        assert [org.name for org in loop.config.orgs] == ["a", "b", "new"]

    world.serve(NOON, 10 * MINUTE, change)
    assert any(orgs == ("new",) for _, orgs in world.began)


def test_a_ledger_that_stays_away_is_tried_with_longer_and_longer_pauses_and_logged_once(world: ServiceWorld) -> None:
    async def change(loop: Loop) -> None:
        await asyncio.sleep(60)
        world.away = True
        world.version += 1
        del world.loads[:]
        with structlog.testing.capture_logs() as logs:
            await asyncio.sleep(250)
            waits = [later - earlier for earlier, later in pairwise(world.loads)]
            assert waits == pytest.approx([10, 30, 60, 60, 60], abs=6)
            (line,) = [line for line in logs if line["event"] == "config.not_loaded"]
            assert (line["message"], line["next_try_s"]) == ("the ledger can't be used: the server is away", 10)
            assert [str(problem) for problem in loop.observed.config_problems] == [line["message"]]
            world.why_away = "it is starting up"
            await asyncio.sleep(70)
            _, line = [line for line in logs if line["event"] == "config.not_loaded"]
            assert (line["message"], line["next_try_s"]) == ("the ledger can't be used: it is starting up", 60)
            assert [str(problem) for problem in loop.observed.config_problems] == [line["message"]]
            assert "collector_config_last_reload_successful 0.0" in world.metrics.text().decode()
            world.away = False
            loop.reload()
            await asyncio.sleep(1)
            assert not loop.observed.config_problems
            assert "collector_config_last_reload_successful 1.0" in world.metrics.text().decode()

    world.serve(NOON, 10 * MINUTE, change)


def test_a_ledger_whose_server_is_away_at_the_start_is_waited_for(world: ServiceWorld) -> None:
    world.away = True

    async def come_back(loop: Loop) -> None:
        await asyncio.sleep(60)
        assert unready(loop.observed) == "the ledger can't be used: the server is away"
        assert not loop.accepted.is_set()
        world.away = False
        await asyncio.sleep(10)
        assert unready(loop.observed) != "the ledger can't be used: the server is away"
        assert loop.accepted.is_set()

    with structlog.testing.capture_logs() as logs:
        world.serve(NOON, 10 * MINUTE, come_back)
    assert [line["event"] for line in logs if line["event"].startswith("ledger.")] == ["ledger.down", "ledger.up"]
    assert [f"{at:%H:%M}" for at, _ in world.began] == ["12:01"]


def test_a_service_that_waits_for_its_ledger_can_be_stopped(world: ServiceWorld) -> None:
    world.away = True
    world.serve(NOON, MINUTE)
    assert not world.began
