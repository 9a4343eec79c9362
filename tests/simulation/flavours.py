"""Seeds that are about one thing, in which what usual seeds meet rarely happens all the time.

Each takes what a seed has drawn and bends it, with a chance of its own: other seeds stay the stories they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from collector.core.layout import Compression, Layout, PartitionKey, RecordFormat
from collector.fetch import RateLimit
from collector.model import Granularity
from tests.simulation.scenario import (
    LONG_WAIT_S,
    Ending,
    Episode,
    Fault,
    Launch,
    OrgSpec,
    Restore,
    Scenario,
    Step,
    Usage,
)

LAYOUTS = [
    Layout(),
    Layout(compression=Compression.GZIP),
    Layout(format=RecordFormat.CSV, compression=Compression.ZSTD),
    Layout(format=RecordFormat.PARQUET),
    Layout(partition_by=(PartitionKey.MONTH,)),
    Layout(format=RecordFormat.CSV, partition_by=(PartitionKey.ORG, PartitionKey.POPULATION)),
    Layout(format=RecordFormat.PARQUET, partition_by=(PartitionKey.MONTH, PartitionKey.PRODUCT)),
]
_SEALING = (
    "rename .usage",
    "renamed",
    "names synced",
    "remove",
    "ledger intend_seal",
    "ledger sealed",
    "half appended",
)
_DAY = timedelta(days=1)
_HOUR_S = 3600.0


def flavoured(scenario: Scenario) -> Scenario:
    """Bend the scenario of every third seed or so."""
    flavour = _FLAVOURS.get(scenario.seed % 25)
    return scenario if flavour is None else flavour(scenario, random.Random(f"flavour {scenario.seed}"))


def _restating(scenario: Scenario, rng: random.Random) -> Scenario:
    """Numbers grow and shrink all the time, everything is asked again and again, and clocks go back in between."""
    usage = Usage(
        idle=0.1,
        late=1.0,
        late_by=20 * timedelta(hours=1),
        corrected=0.6,
        forgets_after=rng.choice((4, 6)) * _DAY,
        new_product_after=None,
    )
    steps = []
    for step in scenario.steps:
        again = _backfill(scenario, step, days=8, force=True)
        steps.append(replace(step, launches=(again,), clock_jump=timedelta(0)))
        later, back = rng.uniform(1, 5) * _HOUR_S, -rng.uniform(6, 12) * timedelta(hours=1)
        steps.append(replace(step, begins=step.begins + later, launches=(again,), clock_jump=back))
    return replace(
        scenario,
        orgs=_by_day(scenario, usage=usage),
        schedule=scenario.schedule | {"settle": "6h", "recheck": ("6h", "36h"), "restate_for": "2d"},
        trust_zero_for=60 * _DAY,
        steps=_in_order(steps),
    )


def _crowded(scenario: Scenario, rng: random.Random) -> Scenario:
    """Several processes fill the same gaps at the same time."""
    steps = []
    for step in scenario.steps:
        one = _backfill(scenario, step, days=14)
        beside = [replace(one, directory=rng.randint(0, 1), delay=rng.uniform(0.1, 8)) for _ in range(2)]
        steps.append(replace(step, launches=(one, *beside), clock_jump=timedelta(0)))
    limits = replace(scenario.limits, org_concurrency=2, org_rate=RateLimit(4, 1.0))
    return replace(scenario, orgs=_by_day(scenario), limits=limits, machine=(), steps=tuple(steps))


def _stalled(scenario: Scenario, rng: random.Random) -> Scenario:
    """Connections take long, and then all leave at once."""
    stalls = tuple(
        Episode(fault=Fault.STALL, begins=step.begins + rng.uniform(0, 2), ends=step.begins + 120, org=None, share=1.0)
        for step in scenario.steps
    )
    limits = replace(
        scenario.limits,
        concurrency=100,
        rate=RateLimit(1000, 1.0),
        org_concurrency=4,
        org_rate=RateLimit(4, 2.0),
    )
    steps = [replace(step, launches=(_backfill(scenario, step, days=14),)) for step in scenario.steps]
    orgs = _by_day(scenario, latency=0.03)
    return replace(scenario, orgs=orgs, limits=limits, episodes=stalls, steps=tuple(steps))


def _powerless(scenario: Scenario, rng: random.Random) -> Scenario:
    """The power goes in the middle of long runs that have sealed nothing yet."""
    limits = replace(scenario.limits, org_concurrency=2, org_rate=RateLimit(3, 1.0))
    steps = []
    for step in scenario.steps:
        endings = tuple(Ending(at=rng.uniform(3, 9), power=True) for _ in range(3))
        steps.append(replace(step, launches=(replace(_backfill(scenario, step, days=14), endings=endings),)))
    orgs = _by_day(scenario)
    return replace(scenario, orgs=orgs, limits=limits, seal_at=500_000, readers_every=0.0, steps=tuple(steps))


def _restored(scenario: Scenario, rng: random.Random) -> Scenario:
    """The ledger is restored from a backup, mostly one of mid-run, and the clock may be behind by then.

    Numbers change all the time. Readers leave the files where they are: what they move away can't be known again.
    """
    usage = Usage(
        idle=0.1,
        late=1.0,
        late_by=60 * timedelta(hours=1),
        corrected=0.4,
        forgets_after=rng.choice((None, 5 * _DAY)),
        new_product_after=None,
    )
    steps = []
    for step in scenario.steps:
        launches = [replace(launch, directory=0, only=()) for launch in step.launches]
        if rng.random() < 0.5:
            launches[0] = replace(_backfill(scenario, step, days=6, force=True), endings=launches[0].endings)
        back = -rng.uniform(0, 3) * timedelta(hours=1)
        steps.append(replace(step, launches=tuple(launches), clock_jump=back, readers_come=False))
    backup = rng.randrange(len(steps) - 1)
    return replace(
        scenario,
        orgs=_by_day(scenario, usage=usage),
        limits=replace(scenario.limits, org_rate=RateLimit(4, 1.0)),
        schedule=scenario.schedule | {"settle": "6h", "recheck": ("6h", "36h")},
        seal_at=rng.choice((5_000, 50_000, 500_000)),
        readers_every=0.0,
        steps=tuple(steps),
        restore=Restore(backup=steps[backup].begins + rng.uniform(0.1, 12), step=rng.randrange(backup + 1, len(steps))),
    )


def _waiting(scenario: Scenario, rng: random.Random) -> Scenario:
    """A collect comes while a backfill has minutes of work with each org; nothing goes wrong then."""
    first, *later = (
        replace(step, launches=tuple(replace(launch, only=()) for launch in step.launches)) for step in scenario.steps
    )
    long = _backfill(scenario, first, days=400)
    collect = Launch(command="collect", delay=rng.uniform(2, 10), wait=LONG_WAIT_S)
    steps = (replace(first, launches=(long, collect), clock_jump=timedelta(0)), *later)
    limits = replace(scenario.limits, concurrency=8, org_concurrency=2, org_rate=RateLimit(2, 1.0))
    orgs = _by_day(scenario, latency=0.1)[:2]
    return replace(scenario, orgs=orgs, limits=limits, episodes=(), machine=(), steps=steps)


def _relabelled(scenario: Scenario, rng: random.Random) -> Scenario:
    """Labels change before each step, and earlier records are restated while others collect; processes are killed."""
    steps = []
    for step in scenario.steps:
        killed = tuple(
            Ending(operation=rng.randint(20, 90), power=rng.random() < 0.3, tampered=rng.random() < 0.6)
            for _ in range(rng.randint(0, 3))
        )
        first = _backfill(scenario, step, days=8)
        relabel = replace(first, command="relabel", delay=rng.choice((0.0, 2.0, 8.0)), endings=killed)
        steps.append(replace(step, launches=(*step.launches, relabel)))
    return replace(scenario, steps=tuple(steps), relabels=True)


def _reconciled(scenario: Scenario, rng: random.Random) -> Scenario:
    """Numbers come late and are corrected after the rechecks, and reconciles find them: beside others, and killed."""
    usage = Usage(
        idle=0.3,
        late=rng.choice((0.05, 0.3)),
        late_by=rng.choice((6, 14)) * _DAY,
        corrected=rng.choice((0.0, 0.2)),
        forgets_after=rng.choice((None, None, 9 * _DAY)),
        new_product_after=None,
    )
    steps = []
    for step in scenario.steps:
        killed = tuple(
            Ending(operation=rng.randint(20, 90), power=rng.random() < 0.3, tampered=rng.random() < 0.4)
            for _ in range(rng.randint(0, 2))
        )
        compare = replace(_backfill(scenario, step, days=14), command="reconcile", delay=rng.choice((0.0, 4.0, 20.0)))
        others = (replace(launch, only=()) for launch in step.launches)
        steps.append(replace(step, launches=(*others, replace(compare, endings=killed))))
    first, *later = steps
    first = replace(first, launches=(_backfill(scenario, first, days=14), *first.launches))
    return replace(
        scenario,
        orgs=_by_day(scenario, usage=usage),
        schedule=scenario.schedule | {"recheck": ("1d",), "restate_for": rng.choice(("5d", "30d"))},
        steps=(first, *later),
        reconciles=True,
    )


def _searched(scenario: Scenario, rng: random.Random) -> Scenario:
    """Long ranges with little usage are backfilled by searches: killed, at low rates, with answers that don't fit."""
    usage = Usage(
        idle=rng.choice((0.7, 0.9, 0.95)),
        late=rng.choice((0.0, 0.3)),
        late_by=rng.choice((2, 20)) * timedelta(hours=1),
        corrected=rng.choice((0.0, 0.4)),
        forgets_after=None,
        new_product_after=None,
        one_product=rng.random() < 0.7,
    )
    steps = []
    for step in scenario.steps:
        search = replace(
            _backfill(scenario, step, days=rng.randint(30, 70), force=rng.random() < 0.1),
            sparse=True,
            delay=rng.choice((0.0, 3.0)),
            endings=tuple(Ending(at=rng.uniform(1, 40), power=rng.random() < 0.3) for _ in range(rng.randint(0, 2))),
        )
        others = (replace(launch, only=()) for launch in step.launches)
        steps.append(replace(step, launches=(*others, search)))
    begins = scenario.steps[0].begins
    strange = [
        Episode(fault=fault, begins=begins, ends=begins + 24 * _HOUR_S, org=None, share=share, value="first")
        for fault, share in ((Fault.DOUBLED, 0.5), (Fault.PARTIAL, 0.2))
        if rng.random() < 0.7
    ]
    return replace(
        scenario,
        orgs=_by_day(scenario, usage=usage)[:3],
        limits=replace(scenario.limits, org_rate=rng.choice((RateLimit(1, 2.0), RateLimit(4, 1.0)))),
        schedule=scenario.schedule | {"settle": "6h", "restate_for": "30d"},
        trust_zero_for=rng.choice((30, 100)) * _DAY,
        episodes=(*strange, *scenario.episodes),
        steps=tuple(steps),
    )


def _formatted(scenario: Scenario, rng: random.Random) -> Scenario:
    """Small files of all formats, which change from process to process; many are killed while they seal."""
    within = rng.choice((_restored, _powerless, _crowded, _relabelled, lambda same, _: same))
    base = within(scenario, rng)
    steps = []
    for step in base.steps:
        killed = tuple(
            Ending(
                operation=rng.randint(1, 12),
                point=rng.choice(_SEALING),
                power=rng.random() < 0.3,
                tampered=rng.random() < 0.2,
            )
            for _ in range(rng.randint(1, 4))
        )
        launches = [replace(one, endings=(*one.endings, *killed)) for one in step.launches]
        steps.append(replace(step, launches=tuple(launches)))
    layouts = [layout for layout in LAYOUTS if rng.random() < 0.4] or LAYOUTS
    return replace(base, layouts=tuple(layouts), seal_at=rng.choice((3_000, 10_000, 60_000)), steps=tuple(steps))


def _backfill(scenario: Scenario, step: Step, *, days: int, force: bool = False) -> Launch:
    today = (scenario.start + timedelta(seconds=step.begins)).date()
    return Launch(command="backfill", first_day=today - days * _DAY, last_day=today, force=force)


def _by_day(scenario: Scenario, **changes: Any) -> tuple[OrgSpec, ...]:
    """Return few orgs of days, of both populations, so that there is enough to ask and not too much."""
    days = [replace(org, granularity=Granularity.DAY, since=None, **changes) for org in scenario.orgs]
    return tuple(days[:4])


def _in_order(steps: list[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.begins))


_FLAVOURS: Mapping[int, Callable[[Scenario, random.Random], Scenario]] = {
    3: _restating,
    6: _crowded,
    9: _stalled,
    12: _powerless,
    15: _relabelled,
    16: _formatted,
    19: _reconciled,
    21: _restored,
    22: _searched,
    24: _waiting,
}
