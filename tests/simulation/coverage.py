"""What the ledger holds against what is wanted: nothing due is missing that should not be, nothing is done twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from collector.config.settings import Settings
from collector.core.exit_codes import ExitCode
from collector.core.windows import Calendar, start_of_date
from collector.ledger.codec import POPULATION, STATE, instant_of
from collector.model import SliceState, Window, Zone
from tests.simulation.scenario import Fault, OrgSpec
from tests.simulation.trace import Broken
from tests.simulation.truth import SliceId, windows_of

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

SOON_S = 2.0  # of work may be asked again after a crash
_COMPLETE = STATE[SliceState.COMPLETE]
States = dict[SliceId, int]


def note_identified(world: World) -> None:
    """Let the API know whose answers the ledger could tell from another's."""
    rows = query(world, "select org_id from org where org_id is not null")
    world.api.identified = {org_id for (org_id,) in rows}


def unsealed(world: World) -> list[str]:
    """Return the files that the ledger still knows."""
    return [name for (name,) in query(world, "select name from file")]


def intended(world: World) -> set[str]:
    """Return the files whose seal is booked, and that it is done is not."""
    return {name for (name,) in query(world, "select name from file where seal_intended")}


def states(world: World) -> States:
    """Return the state of every slice in the ledger, by what it is to the API."""
    sql = "select org_id, population, start, end, state from slice join org on org.id = slice.org"
    populations = {code: population for population, code in POPULATION.items()}
    return {
        SliceId(org_id, populations[population], instant_of(start), instant_of(end)): state
        for org_id, population, start, end, state in query(world, sql)
        if org_id is not None
    }


def query(world: World, sql: str) -> list[Any]:
    """Look into the ledger, past the collector."""
    with closing(sqlite3.connect(world.ledger_path)) as db:
        return db.execute(sql).fetchall()


def booked_soon(world: World, process: Process) -> None:
    """What was wholly answered more than a while before a process is killed is booked."""
    if process.failed_by:
        return
    before = world.now() - SOON_S
    answered = [
        r.slice
        for r in world.api.of_run(process.run_id)
        if r.answer
        and not r.is_span
        and not r.answer.partial
        and r.ended is not None
        and r.ended < before
        and r.answer.org_id == r.slice.org_id
    ]
    if not answered:
        return
    booked = states(world)
    for slice_ in answered:
        if booked.get(slice_) != _COMPLETE:
            raise Broken("again", f"{slice_} was answered long before the crash of {process.run_id} and isn't booked")


def check_collected(world: World, last: Process) -> None:
    """What `collect` should fill by itself is complete, and was looked at again at its ages."""
    schedule = world.settings.schedule
    now = world.api.instant(last.began)
    booked = states(world)
    filled = min(schedule.catch_up, schedule.repair_for) - timedelta(days=1)
    specs = {spec.org_id: spec for spec in world.scenario.orgs}
    last_answer = {
        window: world.api.instant(r.ended)
        for r in world.api.requests
        if r.answer and not r.answer.partial and r.ended is not None
        for window in windows_of(specs[r.slice.org_id], r.slice)
    }
    oldest_age = max(schedule.recheck, default=None)
    horizon = max(schedule.catch_up, schedule.repair_for, *schedule.recheck) - timedelta(days=5)
    for slice_ in wanted(world, now):
        age = now - slice_.end
        if age < filled and booked.get(slice_) != _COMPLETE:
            raise Broken("coverage", f"{slice_} is {booked.get(slice_)} after days of collects")
        if oldest_age is not None and oldest_age < age < horizon and booked.get(slice_) == _COMPLETE:
            at = last_answer[slice_]
            if at < slice_.end + oldest_age - timedelta(hours=7):
                raise Broken("recheck", f"{slice_} was last answered at {at}, and is complete since")


def check_complete(world: World, last: Process) -> None:
    """After collects and a backfill over everything nothing that is wanted and due is missing."""
    booked = states(world)
    for slice_ in wanted(world, world.api.instant(last.began)):
        if booked.get(slice_) != _COMPLETE:
            raise Broken("coverage", f"{slice_} is {booked.get(slice_)} at the end")


def check_nothing_left(world: World, last: Process) -> None:
    """A collect after all that has nothing to do."""
    schedule = world.settings.schedule
    now = world.api.instant(last.began)
    well = {spec.org_id for spec in healthy(world)}
    before = {
        r.slice: world.api.instant(r.ended)
        for r in world.api.requests
        if r.run != last.run_id and r.answer and not r.answer.partial and r.ended is not None
    }
    for slice_ in {r.slice for r in world.api.of_run(last.run_id) if r.slice.org_id in well}:
        at = before.get(slice_)
        if at is not None and not any(at < slice_.end + age <= now for age in schedule.recheck):
            raise Broken("coverage", f"{slice_} is asked again when all is done")
    if last.exit_code not in (ExitCode.OK, ExitCode.REFUSED):
        raise Broken("exit code", f"{last.exit_code} when all is done")


def wanted(world: World, now: datetime) -> Iterator[SliceId]:
    """Yield what is wanted and due of the orgs that nothing is wrong with."""
    settings = world.settings
    for spec in healthy(world):
        calendar = Calendar(Zone.parse(spec.zone), spec.granularity)
        due = calendar.floor(now - settings.schedule.settle)
        for start in _wanted_from(world, spec, calendar, settings):
            if start < due:
                for window in calendar.split(Window(start, due)):
                    for population in spec.populations:
                        yield SliceId(spec.org_id, population, window.start, window.end)


def _wanted_from(world: World, spec: OrgSpec, calendar: Calendar, settings: Settings) -> list[datetime]:
    if spec.since is not None:
        return [calendar.ceil(start_of_date(spec.since, calendar.zone))]
    seen = world.first_seen.get(spec.number)
    return [] if seen is None else [calendar.floor(seen - settings.schedule.lookback)]


def healthy(world: World) -> list[OrgSpec]:
    for_good = [e for e in world.scenario.episodes if e.ends == float("inf") and e.fault is Fault.REFUSED]
    orgs = world.configured(len(world.scenario.steps) - 1)
    return [spec for spec in orgs if not any(e.org in (None, spec.number) for e in for_good)]
