"""What the ledger notes of restatements, against the revisions that readers have."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from collector.ledger.codec import POPULATION, emission_of, instant_of
from tests.simulation.archive import Row
from tests.simulation.coverage import query
from tests.simulation.trace import Broken
from tests.simulation.truth import SliceId

if TYPE_CHECKING:
    from tests.simulation.world import World

Noted = dict[tuple[SliceId, str, object], tuple[object, str]]


def check(world: World, histories: Iterable[list[Row]]) -> None:
    """Each restatement in a sealed file is noted with what it replaced, and no other; a backup may not know all."""
    told: Noted = {}
    earlier: dict[tuple[SliceId, str], list[object]] = {}
    for history in histories:
        for old, new in pairwise(history):
            earlier.setdefault((new.slice, new.product), []).append(old.content)
            if old.content != new.content:
                told[new.slice, new.product, new.collected_at] = (old.content, new.run_id)
    noted = _noted(world)
    for (slice_, product, at), (content, run_id) in noted.items():
        if content not in earlier.get((slice_, product), ()):
            raise Broken(
                "restatements", f"{slice_}/{product} never was {content}, which {run_id} is said to replace at {at}"
            )
    if world.scenario.restore is None and noted != told:
        wrong = sorted(f"{key[0]}/{key[1]} at {key[2]}" for key in noted.keys() ^ told.keys())
        raise Broken("restatements", f"the ledger and the files differ: {wrong[:3]}")


def _noted(world: World) -> Noted:
    rows = query(
        world,
        "select org_id, r.population, r.start, s.end, at, run_id, replaced from restatement r "
        "join org on org.id = r.org "
        "join slice s on s.org = r.org and s.population = r.population and s.start = r.start",
    )
    populations = {code: population for population, code in POPULATION.items()}
    noted: Noted = {}
    for org_id, population, start, end, at, run_id, text in rows:
        slice_ = SliceId(org_id, populations[population], instant_of(start), instant_of(end))
        before = emission_of(text)
        for product, one in before.products.items():
            usage = one.usage
            numbers = (usage.total_tests, usage.total_duration, usage.total_screenshots)
            content = (numbers, usage.extra or None, before.users, one.quality.value)
            noted[slice_, product, instant_of(at)] = (content, run_id)
    return noted
