"""From a seed to its scenario: which orgs, settings, histories and misfortunes there are, and how often."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from signal import SIGINT, SIGTERM
from typing import Any

from collector.core.retry import RetryPolicy
from collector.core.shards import Shard
from collector.fetch import Limits, RateLimit
from collector.model import Granularity, Population
from tests.simulation.flavours import flavoured
from tests.simulation.scenario import (
    Ending,
    Episode,
    Fault,
    Launch,
    MachineEpisode,
    OrgSpec,
    Scenario,
    Step,
    Trouble,
    Usage,
)

HOUR_S, DAY_S = 3600.0, 86400.0
_SHARDED = 5  # one seed in so many is of shards
DAY = timedelta(days=1)
STARTS = (  # before clocks change, at a year's end, and on usual days
    datetime(2026, 3, 5, 9, tzinfo=UTC),
    datetime(2026, 3, 26, 15, tzinfo=UTC),
    datetime(2026, 4, 2, 1, tzinfo=UTC),
    datetime(2026, 6, 24, 12, tzinfo=UTC),
    datetime(2026, 10, 22, 20, tzinfo=UTC),
    datetime(2026, 10, 30, 6, tzinfo=UTC),
    datetime(2026, 12, 28, 18, tzinfo=UTC),
)
ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Auckland",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "+05:30",
    "-03:00",
)
WEIGHTED_FAULTS = (
    (Fault.STORM, 5),
    (Fault.ERROR, 3),
    (Fault.TIMEOUT, 2),
    (Fault.RESET, 3),
    (Fault.BROKEN, 2),
    (Fault.PARTIAL, 6),
    (Fault.SLOW, 2),
    (Fault.STALL, 1),
    (Fault.REFUSED, 3),
    (Fault.ZERO, 2),
    (Fault.LACKING, 1),
    (Fault.SWAPPED, 1),
)
POINTS = (  # where a crash is worth most
    "half appended",
    "appended",
    "synced",
    "name synced",
    "renamed",
    "names synced",
    "cut",
    "removed",
    "ledger open_file",
    "ledger commit",
    "ledger intend_seal",
    "ledger sealed",
    "ledger acquire",
    "ledger release",
    "ledger identify",
    "ledger lost",
    "ledger left_behind",
    "ledger end_run",
)
RETRY_AFTER = ("", "", "0", "2", "7", "40", "date", "100000")


@dataclass(frozen=True, slots=True)
class Draw:
    """Chance, in the words of a scenario."""

    rng: random.Random

    def often(self, share: float) -> bool:
        return self.rng.random() < share

    def between(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high)

    def longest_rarely(self, low: float, high: float) -> float:
        """Any order of magnitude is as likely as any other."""
        return float(low * (high / low) ** self.rng.random())


def scenario_of(seed: int) -> Scenario:
    """Return what a seed stands for."""
    draw = Draw(random.Random(f"scenario {seed}"))
    start = draw.rng.choice(STARTS)
    times = _times(draw)
    orgs = _orgs(draw, start, steps=len(times))
    schedule = _schedule(draw, orgs)
    steps = tuple(_step(draw, at, start=start, orgs=orgs, schedule=schedule) for at in times)
    scenario = Scenario(
        seed=seed,
        start=start,
        orgs=orgs,
        limits=_limits(draw, len(orgs)),
        timeout=draw.rng.choice((5.0, 10.0, 30.0)),
        schedule=schedule,
        trust_zero_for=draw.rng.choice((3, 10, 60)) * DAY,
        seal_at=round(draw.longest_rarely(2_000, 500_000)),
        readers_every=draw.rng.choice((0.0, 3.0, 20.0)),
        episodes=_episodes(draw, times, orgs),
        machine=_machine(draw, times),
        steps=steps,
    )
    scenario = flavoured(scenario)
    if seed % _SHARDED == 0:
        return replace(scenario, steps=_sharded(scenario.steps, random.Random(f"shards {seed}")))
    return scenario


def _sharded(steps: tuple[Step, ...], rng: random.Random) -> tuple[Step, ...]:
    """Return steps in half of which shards do together what one command did; their number changes from step to step."""
    return tuple(
        replace(step, launches=_shards(step.launches[0], rng)) if rng.random() < 0.5 else step for step in steps
    )


def _shards(launch: Launch, rng: random.Random) -> tuple[Launch, ...]:
    of = rng.randint(2, 4)
    dies = rng.randrange(of)
    return tuple(
        replace(
            launch,
            only=(),
            shard=Shard(index, of),
            directory=index,
            delay=launch.delay + rng.random() * 2,
            endings=launch.endings if index == dies else (),
        )
        for index in range(of)
    )


def _times(draw: Draw) -> list[float]:
    """Return when the steps begin: hours or days apart, sometimes at once."""
    at, times = 0.0, []
    for _ in range(draw.rng.randint(3, 8)):
        times.append(at)
        at += draw.rng.choice((60.0, HOUR_S, 6 * HOUR_S, DAY_S, DAY_S, DAY_S, 2 * DAY_S, 4 * DAY_S))
        at += draw.between(0, HOUR_S)
    return times


def _orgs(draw: Draw, start: datetime, *, steps: int) -> tuple[OrgSpec, ...]:
    number = round(draw.longest_rarely(2, 9.4))
    units = [Granularity.DAY] * 8 + [Granularity.WEEK, Granularity.MONTH]
    if number <= 3:
        units += [Granularity.HOUR]
    return tuple(_org(draw, n, start, draw.rng.choice(units), steps=steps) for n in range(number))


def _org(draw: Draw, number: int, start: datetime, granularity: Granularity, *, steps: int) -> OrgSpec:
    added = draw.rng.randrange(1, steps) if number and draw.often(0.1) else 0
    one = (draw.rng.choice(tuple(Population)),)
    return OrgSpec(
        number=number,
        zone=draw.rng.choice(ZONES),
        granularity=granularity,
        populations=one if draw.often(0.3) else tuple(Population),
        latency=draw.longest_rarely(0.02, 1.0),
        usage=_usage(draw),
        since=start.date() - draw.rng.randint(1, 6) * DAY if draw.often(0.2) else None,
        pinned=draw.often(0.3),
        added=added,
        removed=draw.rng.randrange(added + 1, steps + 1) if number and draw.often(0.06) else None,
        renamed=draw.rng.randrange(1, steps) if draw.often(0.12) else None,
    )


def _usage(draw: Draw) -> Usage:
    return Usage(
        idle=draw.rng.choice((0.0, 0.1, 0.6)),
        late=draw.rng.choice((0.0, 0.3, 1.0)),
        late_by=draw.rng.choice((2, 20, 60)) * timedelta(hours=1),
        corrected=draw.rng.choice((0.0, 0.0, 0.4)),
        forgets_after=draw.rng.choice((4, 12)) * DAY if draw.often(0.2) else None,
        new_product_after=draw.between(0, 6) * DAY if draw.often(0.15) else None,
    )


def _schedule(draw: Draw, orgs: tuple[OrgSpec, ...]) -> dict[str, Any]:
    hourly = any(org.granularity is Granularity.HOUR for org in orgs)
    lookback = 8 if hourly else 24 * draw.rng.randint(1, 4)
    catch_up = 24 * (2 if hourly else draw.rng.choice((3, 10, 35)))
    return {
        "settle": f"{draw.rng.choice((1, 6, 30))}h" if not hourly else "1h",
        "recheck": draw.rng.choice(((), ("1d",), ("1d", "3d"), ("6h", "36h"))) if not hourly else ("1d",),
        "lookback": f"{lookback}h",
        "catch_up": f"{catch_up}h",
        "repair_for": f"{draw.rng.choice((2, 8, 30))}d",
        "restate_for": f"{draw.rng.choice((2, 5, 30))}d",
    }


def _limits(draw: Draw, orgs: int) -> Limits:
    org_concurrency = draw.rng.randint(1, 4)
    per_org = draw.rng.choice((1, 2, 4, 6, 8, 10))
    roomy = draw.often(0.6)
    return Limits(
        concurrency=orgs * org_concurrency if roomy else draw.rng.randint(1, 8),
        rate=RateLimit(orgs * per_org + 5 if roomy else draw.rng.randint(3, 30), 1.0),
        org_concurrency=org_concurrency,
        org_rate=RateLimit(per_org, draw.rng.choice((1.0, 1.0, 2.0))),
        retry=RetryPolicy(
            attempts=draw.rng.randint(2, 6),
            base_delay_s=draw.rng.choice((0.2, 0.5, 2.0)),
            max_delay_s=draw.rng.choice((5.0, 60.0)),
            budget_s=draw.rng.choice((30.0, 120.0, 600.0)),
        ),
    )


def _episodes(draw: Draw, times: list[float], orgs: tuple[OrgSpec, ...]) -> tuple[Episode, ...]:
    faults, weights = zip(*WEIGHTED_FAULTS, strict=True)
    episodes = []
    for _ in range(draw.rng.choice((0, 1, 2, 2, 3, 4, 6))):
        fault = draw.rng.choices(faults, weights)[0]
        begins = draw.rng.choice(times) + draw.rng.choice((-1.0, 0.5, 3.0, 20.0))
        lasts = draw.longest_rarely(2.0, 600.0) if draw.often(0.6) else draw.between(0.5, 4) * DAY_S
        everyone = draw.often(0.2) and fault is not Fault.SWAPPED
        for_good = fault is Fault.REFUSED and draw.often(0.2)
        episodes.append(
            Episode(
                fault=fault,
                begins=begins,
                ends=float("inf") if for_good else begins + lasts,
                org=None if everyone else draw.rng.randrange(len(orgs)),
                share=draw.rng.choice((0.3, 0.7, 1.0)),
                value=_value(draw, fault),
            )
        )
    if draw.often(0.12):
        episodes.append(_outage(draw, times))
    return tuple(episodes)


def _outage(draw: Draw, times: list[float]) -> Episode:
    begins = draw.rng.choice(times) + draw.between(-1, 20)
    fault = draw.rng.choice((Fault.ERROR, Fault.RESET, Fault.TIMEOUT))
    return Episode(
        fault=fault, begins=begins, ends=begins + draw.longest_rarely(20, 1000), org=None, share=1.0, value="503"
    )


def _value(draw: Draw, fault: Fault) -> str:
    choices: dict[Fault, tuple[str, ...]] = {
        Fault.STORM: RETRY_AFTER,
        Fault.ERROR: ("500", "502", "503", "504"),
        Fault.BROKEN: ("cut", "html", "echo", "shape"),
        Fault.PARTIAL: ("first", "always", "always"),
        Fault.REFUSED: ("401", "403", "403-admin"),
    }
    return draw.rng.choice(choices.get(fault, ("",)))


def _machine(draw: Draw, times: list[float]) -> tuple[MachineEpisode, ...]:
    episodes = []
    while draw.often(0.22):
        begins = draw.rng.choice(times) + draw.longest_rarely(0.02, 20)
        episodes.append(
            MachineEpisode(
                trouble=draw.rng.choice(tuple(Trouble)),
                begins=begins,
                ends=begins + draw.longest_rarely(0.2, 100),
                share=draw.rng.choice((0.1, 0.5, 1.0)),
            )
        )
    return tuple(episodes)


def _step(draw: Draw, at: float, *, start: datetime, orgs: tuple[OrgSpec, ...], schedule: dict[str, Any]) -> Step:
    today = (start + timedelta(seconds=at)).date()
    several = draw.often(0.3)
    launches = [_launch(draw, today, orgs, directory=0)]
    while several and len(launches) < 3:
        launches.append(
            _launch(draw, today, orgs, directory=draw.rng.randint(0, 1), delay=draw.longest_rarely(0.01, 30))
        )
        several = draw.often(0.3)
    settle_h = float(str(schedule["settle"]).removesuffix("h"))
    return Step(
        begins=at,
        launches=tuple(launches),
        clock_jump=draw.between(-2, 0.9) * min(settle_h, 6.0) * timedelta(hours=1) if draw.often(0.2) else 0 * DAY,
        readers_come=draw.often(0.5),
    )


def _launch(draw: Draw, today: date, orgs: tuple[OrgSpec, ...], *, directory: int, delay: float = 0.0) -> Launch:
    backfill = draw.often(0.3)
    hourly = any(org.granularity is Granularity.HOUR for org in orgs)
    first = today - draw.rng.randint(1, 3 if hourly else 14) * DAY
    jump: Callable[[], timedelta] = lambda: draw.between(-600, 600) * timedelta(seconds=1)  # noqa: E731
    return Launch(
        command="backfill" if backfill else "collect",
        delay=delay,
        first_day=first if backfill else None,
        last_day=min(today, first + draw.rng.randint(0, 2 if hourly else 8) * DAY) if backfill else None,
        force=backfill and draw.often(0.4),
        only=tuple(sorted(draw.rng.sample(range(len(orgs)), len(orgs) // 2))) if draw.often(0.15) else (),
        directory=directory,
        wait=draw.rng.choice((2.0, 60.0, 300.0)),
        endings=tuple(_endings(draw)),
        clock_jump=(draw.between(0, 20), jump()) if draw.often(0.15) else None,
    )


def _endings(draw: Draw) -> list[Ending]:
    endings = []
    while draw.often(0.35):
        power = draw.often(0.4)
        match draw.rng.randrange(7):
            case 0:
                endings.append(
                    Ending(
                        at=draw.longest_rarely(0.05, 60),
                        signal=draw.rng.choice((SIGINT, SIGTERM)),
                        again=draw.longest_rarely(0.01, 10) if draw.often(0.3) else None,
                    )
                )
            case 1 | 2:
                endings.append(Ending(at=draw.longest_rarely(0.05, 60), power=power))
            case 3:
                endings.append(Ending(operation=round(draw.longest_rarely(1, 250)), power=power))
            case _:
                nth = round(draw.longest_rarely(1, 8))
                point = draw.rng.choice(POINTS)
                endings.append(Ending(operation=nth, point=point, power=power, tampered=draw.often(0.25)))
    return endings
