"""What a command is about: which orgs, which range, and what that comes to without a ledger.

Owns what is told about a range that was widened or cut. Asks nobody.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collector.config import LoadedConfig
from collector.config.sections import Schedule
from collector.core.coverage import Ages
from collector.core.plan import LanePlan
from collector.core.ranges import Last, Range, Selection, select
from collector.core.shards import Shard
from collector.core.windows import Calendar, start_of_date
from collector.errors import ConfigError
from collector.model import Org, Population
from collector.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which part of the config a command is about: everything, unless orgs, populations or a shard are named."""

    orgs: tuple[str, ...] = ()
    populations: tuple[Population, ...] = ()
    shard: Shard | None = None

    def of(self, orgs: Iterable[Org]) -> list[Org]:
        """Return the orgs in it, each with the populations in it. Raises ConfigError for a name that is none.

        A shard may have none of the orgs, or none of those that are named: then there is nothing to do.
        """
        by_name = {org.name: org for org in orgs}
        for name in self.orgs:
            if name not in by_name:
                near = difflib.get_close_matches(name, by_name, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ConfigError(f"--org: there is no org {name!r} in the config{hint}")
        chosen = [by_name[name] for name in dict.fromkeys(self.orgs)] or list(by_name.values())
        if self.shard is not None:
            chosen = [org for org in chosen if self.shard.has(org)]
        if not self.populations:
            return chosen
        return [replace(org, populations=tuple(p for p in org.populations if p in self.populations)) for org in chosen]


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """What would be asked of each org, and what the user has to be told about the range."""

    lanes: list[LanePlan]
    notes: list[str]

    @property
    def total(self) -> int:
        """How many slices there are."""
        return sum(lane.total for lane in self.lanes)

    @property
    def slices(self) -> dict[str, int]:
        """How many there are of each org."""
        return {lane.org.name: lane.total for lane in self.lanes}


def has_ledger(config: LoadedConfig) -> bool:
    """Say whether runs of this config remember anything."""
    return config.settings.state.url.get_secret_value() != "none"


def lookback(config: LoadedConfig) -> Range:
    """Return what `collect` asks for while there is no ledger."""
    return Last(config.settings.schedule.lookback)


def ages_of(schedule: Schedule) -> Ages:
    """Return how old a window may be for what. What the first run looks back for is caught up in any case."""
    return Ages(
        settle=schedule.settle,
        recheck=schedule.recheck,
        repair_for=schedule.repair_for,
        catch_up=max(schedule.catch_up, schedule.lookback),
    )


def first_wanted(org: Org, schedule: Schedule, *, now: datetime) -> datetime:
    """Return from when an org is wanted that no run has begun yet."""
    if org.since:
        return start_of_date(org.since, org.zone)
    return Calendar(org.zone, org.granularity).floor(now - schedule.lookback)


def make_plans(config: LoadedConfig, *, range_: Range, scope: Scope, clock: Clock) -> Plans:
    """Return the plan of each org for a range. Raises ConfigError for a range that selects nothing sensible."""
    now = clock.now()
    settle = config.settings.schedule.settle
    lanes: list[LanePlan] = []
    told: dict[str, list[str]] = {}
    for org in scope.of(config.orgs):
        calendar = Calendar(org.zone, org.granularity)
        try:
            selection = select(range_, calendar, now=now, settle=settle, since=org.since)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        lanes.append(LanePlan(org, selection.span))
        for note in _notes(selection, calendar):
            told.setdefault(note, []).append(org.name)
    return Plans(lanes=lanes, notes=[f"{_names(orgs)}: {note}" for note, orgs in told.items()])


def _notes(selection: Selection, calendar: Calendar) -> list[str]:
    zone, unit = calendar.zone, calendar.granularity.value
    notes = []
    if asked := selection.widened_from:
        start, end = (at.astimezone(zone.tz).isoformat() for at in (asked.start, asked.end))
        notes.append(f"the range {start} to {end} is widened to whole {unit}s of {zone.name}")
    if selection.cut_since:
        notes.append(f"nothing before {selection.cut_since.astimezone(zone.tz).isoformat()} is wanted (`since`)")
    if selection.cut_due:
        until = selection.cut_due.astimezone(zone.tz).isoformat()
        notes.append(f"the range is cut at {until}: later {unit}s are not due yet (`schedule.settle`)")
    if selection.span is None:
        notes.append(f"no {unit} of the range is due: nothing is asked")
    return notes


def _names(orgs: list[str]) -> str:
    return ", ".join(orgs) if len(orgs) <= 3 else f"{len(orgs)} orgs ({', '.join(orgs[:2])}, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A run as it was called: `range_` is None for what `collect` asks by itself."""

    name: str
    range_: Range | None
    scope: Scope = EVERYTHING
    force: bool = False
    wait: timedelta = timedelta(minutes=5)

    @property
    def label(self) -> str:
        """What the ledger calls its runs: those of one shard are not another's."""
        return f"{self.name} {self.scope.shard}" if self.scope.shard else self.name
