"""The service's loop: when it runs, what it does with a changed config, and what it survives."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGTERM

import pytest

from collector.core.exit_codes import ExitCode
from collector.errors import ConfigError
from collector.model import ApiRequest, BasicCredential, Org, Zone
from collector.service import config_reload, timetable
from collector.service.loop import Loop
from collector.service.quarantine import QUARANTINE_FOR
from tests.flow.service_world import ServiceWorld
from tests.flow.world import NOON
from tests.support.fake_api import BLOCKED, UNAUTHORIZED, FakeApi, Step, answer, for_org, status
from tests.support.orgs import make_org

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
# Half past two and half past two, a minute of jitter, and when 02:30 is skipped.
TIMES = {"02:30", "02:31", "14:30", "14:31", "03:00", "03:01"}


@pytest.fixture
def world(tmp_path: Path) -> ServiceWorld:
    return ServiceWorld(tmp_path, schedule={"cron": "20 * * * *", "jitter": "0"})


def renewed(org: Org) -> Org:
    return replace(org, credential=BasicCredential(username=f"{org.name}@example.test", access_key="renewed"))


def refusing(*keys: str) -> FakeApi:
    """An API that refuses the credentials with those keys."""

    def script(org: Org, _request: ApiRequest, _n: int) -> Step:
        assert isinstance(org.credential, BasicCredential)
        return UNAUTHORIZED if org.credential.access_key in keys else None

    return FakeApi(script=script)


def test_it_runs_at_once_and_then_at_the_schedules_times(world: ServiceWorld) -> None:
    world.serve(NOON, 3 * HOUR)
    assert [f"{at:%H:%M}" for at, _ in world.began] == ["12:00", "12:20", "13:20", "14:20"]
    assert {view.exit_code for view in world.ended} == {0}


def test_after_a_restart_the_run_of_the_same_time_is_not_made_again_and_a_missed_one_is_made_once(
    world: ServiceWorld,
) -> None:
    world.serve(NOON, 30 * MINUTE)
    world.serve(NOON + 40 * MINUTE, 10 * MINUTE)
    assert [f"{at:%H:%M}" for at, _ in world.began] == ["12:00", "12:20"]
    world.serve(NOON + 5 * HOUR, 10 * MINUTE)
    assert [f"{at:%H:%M}" for at, _ in world.began[2:]] == ["17:00"]


def test_a_run_missed_while_the_machine_slept_is_made_up_once(world: ServiceWorld) -> None:
    async def sleep(_: Loop) -> None:
        await asyncio.sleep(30 * 60)
        world.clock.ahead += 7 * HOUR  # timers stood still, the wall clock did not

    world.serve(NOON, 2 * HOUR, sleep)
    times = [f"{at:%H:%M}" for at, _ in world.began]
    assert times[:2] == ["12:00", "12:20"]
    assert times[2].startswith("19:3")
    assert times[3:] == ["20:20"]


def test_a_clock_that_is_set_back_makes_no_run_wait_for_days(world: ServiceWorld) -> None:
    async def set_clock(_: Loop) -> None:
        await asyncio.sleep(60)
        world.clock.ahead += timedelta(days=2)
        await asyncio.sleep(5 * 60)
        world.clock.ahead -= timedelta(days=2)

    world.serve(NOON, 2 * HOUR, set_clock)
    assert any(at.hour == 13 and at.day == NOON.day for at, _ in world.began)


def test_a_run_that_takes_longer_than_its_interval_is_followed_by_one(world: ServiceWorld) -> None:
    world.api = FakeApi(latency_s=lambda _org: 1500.0)  # so that the first run takes 1 h 40 min
    world.serve(NOON, 3 * HOUR)
    assert [f"{at:%H:%M}" for at, _ in world.began] == ["12:00", "13:40", "14:20"]


def test_a_removed_org_is_asked_no_more_and_a_new_one_at_once(world: ServiceWorld) -> None:
    async def change(_: Loop) -> None:
        await asyncio.sleep(25 * 60)
        world.orgs = [make_org("b"), make_org("new")]
        world.version += 1

    world.serve(NOON, 85 * MINUTE, change)
    assert world.began[2][1] == ("new",)
    assert timedelta(0) < world.began[2][0] - (NOON + 25 * MINUTE) < timedelta(seconds=10)
    assert world.began[3][1] == ("b", "new")


def test_a_refused_org_is_parked_and_asked_again_within_seconds_of_its_secret_changing(world: ServiceWorld) -> None:
    world.api = refusing("key-of-a")

    async def renew(loop: Loop) -> None:
        await asyncio.sleep(90 * 60)
        assert set(loop.quarantine.quarantined) == {"a"}
        world.orgs = [renewed(world.orgs[0]), world.orgs[1]]
        world.version += 1
        await asyncio.sleep(10)
        assert not loop.quarantine.quarantined

    world.serve(NOON, 95 * MINUTE, renew)
    assert [orgs for _, orgs in world.began] == [("a", "b"), ("b",), ("b",), ("a",)]
    assert len(world.api.times("a")) == 2 + 6  # refused twice, then collected
    assert {r["org"] for r in world.records} == {"a", "b"}


def test_a_parked_org_is_tried_again_after_a_while_and_at_a_hangup(world: ServiceWorld) -> None:
    world.api = refusing("key-of-a")

    async def hang_up(loop: Loop) -> None:
        await asyncio.sleep(100)
        loop.reload()

    world.serve(NOON, QUARANTINE_FOR + 2 * HOUR, hang_up)
    asked = world.api.times("a")
    assert len(asked) == 6  # twice each: at the start, at the hangup, and after a while
    assert asked[2] < 110
    assert asked[4] >= QUARANTINE_FOR.total_seconds()


def test_a_bad_config_is_refused_and_the_old_one_stays(world: ServiceWorld) -> None:
    async def break_it(loop: Loop) -> None:
        await asyncio.sleep(60)
        world.refused = ConfigError("orgs[0].timezone: unknown time zone")
        world.version += 1
        await asyncio.sleep(60)
        assert "unknown time zone" in str(loop.observed.config_problems[0])
        assert loop.observed.config_refused_at is not None
        world.refused = None  # mended by something that nobody watches
        await asyncio.sleep(60)
        assert not loop.observed.config_problems

    world.serve(NOON, 30 * MINUTE, break_it)
    assert [orgs for _, orgs in world.began] == [("a", "b"), ("a", "b")]


def test_a_reload_in_mid_run_disturbs_no_slice_and_the_next_run_goes_on_at_once(world: ServiceWorld) -> None:
    world.api = FakeApi(latency_s=lambda _org: 10.0)

    async def change(_: Loop) -> None:
        await asyncio.sleep(15)
        world.orgs = [*world.orgs, make_org("new")]
        world.version += 1

    world.serve(NOON, 15 * MINUTE, change)
    first, second = world.ended[:2]
    assert first.why == "the config changed: the next run continues with it"
    assert (second.started_at - first.ended_at) < timedelta(seconds=1)
    assert world.began[1][1] == ("a", "b", "new")
    slices = Counter((r["org"], r["population"], r["window_start"], r["product"]) for r in world.records)
    assert set(slices.values()) == {1}
    assert len({key[:3] for key in slices}) == 3 * 6
    assert sum(world.api.count.values()) == 3 * 6  # nothing was asked twice


def test_a_clock_that_is_set_back_in_mid_run_makes_no_run_wait_for_weeks(world: ServiceWorld) -> None:
    world.api = FakeApi(latency_s=lambda _org: 10.0)

    async def set_clock(_: Loop) -> None:
        await asyncio.sleep(15)
        world.clock.ahead -= timedelta(days=30)

    world.serve(NOON, 3 * HOUR, set_clock)
    assert len(world.began) >= 3


def test_a_run_that_a_reload_cut_short_is_made_up_for_at_a_restart(world: ServiceWorld) -> None:
    world.api = FakeApi(latency_s=lambda _org: 10.0)

    async def roll_out(loop: Loop) -> None:
        await asyncio.sleep(15)
        world.orgs = [*world.orgs, make_org("new")]
        world.version += 1
        while not loop.observed.runs:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(0.1)
        loop.stop(SIGTERM)

    world.serve(NOON, 5 * MINUTE, roll_out)
    world.api = FakeApi()
    world.serve(NOON + 5 * MINUTE, 5 * MINUTE)
    assert world.began[-1][0] == NOON + 5 * MINUTE
    assert len({(r["org"], r["population"], r["window_start"]) for r in world.records}) == 3 * 6


def test_orgs_that_one_host_refuses_all_at_once_are_tried_again_in_the_next_run(world: ServiceWorld) -> None:
    """An API whose check of credentials is out of order says that each is wrong."""
    world.api = refusing("key-of-a", "key-of-b")

    async def recover(loop: Loop) -> None:
        await asyncio.sleep(10 * 60)
        assert set(loop.quarantine.quarantined) == {"a", "b"}
        world.api.script = lambda *_: None
        await asyncio.sleep(15 * 60)
        assert not loop.quarantine.quarantined

    world.serve(NOON, 25 * MINUTE, recover)
    assert [orgs for _, orgs in world.began] == [("a", "b"), ("a", "b")]
    assert {r["org"] for r in world.records} == {"a", "b"}


def test_an_org_that_a_gateway_blocks_is_tried_again_in_the_next_run(world: ServiceWorld) -> None:
    world.api = FakeApi(script=for_org({"a": lambda *_: BLOCKED}))
    world.serve(NOON, 25 * MINUTE)
    assert [orgs for _, orgs in world.began] == [("a", "b"), ("a", "b")]
    assert world.ended[0].exit_code == ExitCode.REFUSED


def test_an_org_that_was_refused_as_a_duplicate_is_asked_again_when_the_config_changes(world: ServiceWorld) -> None:
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))

    async def allow(loop: Loop) -> None:
        await asyncio.sleep(60)
        assert len(loop.quarantine.quarantined) == 1
        world.same_organization = "allow"
        world.version += 1
        await asyncio.sleep(30)
        assert not loop.quarantine.quarantined

    world.serve(NOON, 10 * MINUTE, allow)


def test_sigterm_in_mid_run_drains_and_what_was_there_is_kept(world: ServiceWorld) -> None:
    world.api = FakeApi(latency_s=lambda _org: 10.0)
    loop = world.serve(NOON, timedelta(seconds=25))
    assert loop.observed.next_run is None
    assert world.ended[-1].exit_code == ExitCode.TERMINATED
    assert (
        len({(r["org"], r["population"], r["window_start"]) for r in world.records}) == 10
    )  # two and two beside the first


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_a_year_with_daylight_saving_restarts_and_outages_collects_each_window_once(
    world: ServiceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice a day on the wall, in a zone with daylight saving; down or restarted now and then; the API, too."""
    # No file changes and nobody sets the clock: a year has 6 million times five seconds, and half a million minutes.
    monkeypatch.setattr(config_reload, "LOOK_EVERY_S", 3600.0)
    monkeypatch.setattr(timetable, "_CLOCK_EVERY_S", 3600.0)
    zone = Zone.parse("Europe/Berlin")
    start, end = datetime(2026, 1, 5, 9, tzinfo=UTC), datetime(2027, 1, 5, 9, tzinfo=UTC)
    world.schedule = {"cron": "30 2,14 * * *", "timezone": zone.name, "jitter": "60s", "recheck": [], "reconcile": None}
    world.orgs = [make_org("a", zone=zone), make_org("b")]
    down = [(datetime(2026, 3, 28, tzinfo=UTC), 30), (datetime(2026, 7, 1, tzinfo=UTC), 60)]

    def script(_org: Org, _request: ApiRequest, _n: int) -> Step:
        now = world.clock.now()
        return status(503) if any(at <= now < at + hours * HOUR for at, hours in down) else None

    world.api = FakeApi(script=script)
    at, lives = start, 0
    while at < end:
        lives += 1
        lasting = min(timedelta(days=23, hours=lives % 7), end - at)
        world.serve(at, lasting)
        at += lasting + (3 * lives % 40) * HOUR  # down for up to 40 hours
    windows = Counter((r["org"], r["population"], r["window_start"], r["product"]) for r in world.records)
    assert set(windows.values()) == {1}
    for org in ("a", "b"):
        days = sorted({key[2][:10] for key in windows if key[0] == org})
        assert len(days) == (datetime.fromisoformat(days[-1]) - datetime.fromisoformat(days[0])).days + 1
        assert len(days) >= 360
    local = [began.astimezone(zone.tz) for began, _ in world.began]
    on_time = [f"{began:%m-%d %H}" for began in local if f"{began:%H:%M}" in TIMES]
    assert len(on_time) == len(set(on_time))  # none twice
    assert len(local) - len(on_time) <= lives  # the others were made up at a start
    assert len(on_time) > 600
