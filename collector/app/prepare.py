"""A command and a ledger: where each org stands, and what is wanted of it.

Finishes what an earlier run left, refuses calendars that would overlap, and hands the run
its part of the ledger. Called on the writer's thread, before anything is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog

from collector.adapters.sinks.directory import hidden
from collector.adapters.sinks.directory_id import VisibleDirectories, ensure_id
from collector.adapters.sinks.files import Files, OsFiles
from collector.app.command import Command, ages_of, first_wanted
from collector.config import LoadedConfig, Settings
from collector.core.ledger_entries import CalendarChanged, Standing
from collector.core.plan import BatchPlan
from collector.core.wanted import BackfillWanted, CollectWanted, Wanted, calendars_overlap
from collector.deliver.recovery import Recovered, recover, tell_awaited
from collector.errors import ConfigError, Problem
from collector.fetch.identity import Identities
from collector.ledger import SqlLedger
from collector.model import Org
from collector.ports import Clock, Ledger
from collector.run.org_task import Memory, Work, since_of

log = structlog.get_logger("collector")


def remember(
    ledger: Ledger, config: LoadedConfig, command: Command, run_id: str, clock: Clock, *, files: Files | None = None
) -> Memory:
    """Finish what an earlier run left, find where each org stands, and say what the command wants of them."""
    settings, now = config.settings, clock.now()
    directory = output_directory(settings)
    place = ensure_id(directory) if directory and ledger.across_machines else None
    recovered = recover_left(ledger, settings, files)
    tell_awaited(recovered.awaited)
    orgs = command.scope.of(config.orgs)
    since = find_standings(ledger, config, orgs, now)  # a run that is refused for a calendar hasn't begun
    for interrupted in ledger.begin_run(run_id, command.label, now):
        log.warning("run.interrupted", run_id=interrupted, message="it ended without saying so; what it lacks is asked")
    identities = Identities(allow_same=settings.same_organization == "allow")
    for org in orgs:
        if org_id := since[org.name].org_id:
            identities.remember(org, org_id)
    _remember_others(ledger, config, identities, {org.name for org in orgs})
    wanted = _wanted(ledger, settings, command, orgs=orgs, standings=since, now=now)
    return Memory(
        ledger=ledger,
        works=[
            Work(plan=BatchPlan(org), key=since[org.name].key, identified=since[org.name].org_id is not None)
            for org in orgs
        ],
        wanted=wanted,
        identities=identities,
        wait_s=command.wait.total_seconds(),
        directory=str(directory or ""),
        recovered=recovered.sealed,
        place=place,
    )


def _remember_others(ledger: Ledger, config: LoadedConfig, identities: Identities, ours: set[str]) -> None:
    """Note who answers for the orgs of other shards, so that one of ours that is the same organization is refused."""
    known = ledger.identified()
    for org in config.orgs:
        if org.name not in ours and org.name in known:
            identities.remember(org, known[org.name])


def recover_left(ledger: Ledger, settings: Settings, files: Files | None = None) -> Recovered:
    """Seal what dead processes left where this one sees it.

    Before a run, and after it: who was just taken for alive may be known to be dead by then.
    """
    own = output_directory(settings)
    return recover(ledger, files or OsFiles(), hidden, VisibleDirectories(own), own=own)


def output_directory(settings: Settings) -> Path | None:
    """Return where files go, if they do."""
    return None if settings.output.path == "-" else Path(settings.output.path).resolve()


def find_standings(ledger: Ledger, config: LoadedConfig, orgs: list[Org], now: datetime) -> dict[str, Standing]:
    """Find or make each org's row, and return where it stands. Raises ConfigError for calendars that would overlap."""
    wanted_from = {org.name: first_wanted(org, config.settings.schedule, now=now) for org in orgs}
    names = [org.name for org in config.orgs]
    standings = ledger.register(orgs, wanted_from=wanted_from, now=now, names=names)
    _refuse(config, orgs, {name: one for name, one in standings.items() if isinstance(one, CalendarChanged)})
    return {name: standing for name, standing in standings.items() if isinstance(standing, Standing)}


def refuse_overlaps(ledger: SqlLedger, config: LoadedConfig, orgs: Sequence[Org]) -> None:
    """Raise ConfigError for calendars that would overlap, as a run would; nothing is written."""
    _refuse(config, orgs, ledger.overlaps(orgs, names=[org.name for org in config.orgs]))


def _refuse(config: LoadedConfig, orgs: Sequence[Org], overlapping: Mapping[str, CalendarChanged]) -> None:
    problems = []
    for org in orgs:
        if changed := overlapping.get(org.name):
            message = calendars_overlap(
                org, zone=changed.zone, granularity=changed.granularity, covered_until=changed.covered_until
            )
            place = config.places.get(org.name, Problem(message=message))
            problems.append(replace(place, message=message))
    if problems:
        raise ConfigError(problems)


def _wanted(
    ledger: Ledger,
    settings: Settings,
    command: Command,
    *,
    orgs: list[Org],
    standings: Mapping[str, Standing],
    now: datetime,
) -> Wanted:
    schedule = settings.schedule
    ranges = ledger.wanted_of([standings[org.name].key for org in orgs])
    since = {org.name: since_of(standings[org.name], ranges.get(standings[org.name].key, ())) for org in orgs}
    if command.range_ is None:
        return CollectWanted(now=now, ages=ages_of(schedule), since=since)
    wanted = BackfillWanted(
        now=now,
        settle=schedule.settle,
        range_=command.range_,
        since=since,
        force=command.force,
    )
    for org in orgs:
        if span := wanted.span(org):
            ledger.want(standings[org.name].key, span)  # what of it fails is repaired, and a gap in it is told
    return wanted
