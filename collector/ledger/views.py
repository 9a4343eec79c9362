"""What `status` reads: the orgs, their slices as few stretches of time, the runs that are going on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, select, true

from collector.core.ledger_entries import UnsealedFile
from collector.ledger import schema
from collector.ledger.codec import (
    POPULATION,
    emission_of,
    instant_of,
    micros,
    population_of,
    state_of,
    usages_of,
)
from collector.ledger.schema import BEGINNING, calendar, org, run, slice_
from collector.ledger.unsealed import file_of
from collector.model import Population, ProductUsage, SliceState, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An org as the ledger has it."""

    key: int
    name: str  # in the config, the one last used
    org_id: str | None
    org_name: str | None
    wanted_from: datetime
    zone: str
    granularity: str
    calendar_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Slices of one state that follow each other without a gap.

    They are in doubt if their last records stand in a file that a dead process left and nobody has sealed yet.
    """

    population: Population
    state: SliceState
    span: Window
    slices: int
    in_doubt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """A run that has ended; without an exit code it was interrupted."""

    run_id: str
    command: str
    started_at: datetime
    ended_at: datetime
    exit_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedFile:
    """A file that a dead process left: it is sealed when that directory is seen again, or said to be lost."""

    file: UnsealedFile
    slices: int  # that are in doubt
    begun_at: datetime | None  # its run


def organizations(tx: Connection) -> list[Organization]:
    """Return all orgs, by name."""
    newest = select(calendar.c.org, func.max(calendar.c.since).label("since")).group_by(calendar.c.org).subquery()
    query = (
        select(org, calendar.c.zone, calendar.c.granularity, calendar.c.since)
        .join(newest, newest.c.org == org.c.id)
        .join(calendar, (calendar.c.org == org.c.id) & (calendar.c.since == newest.c.since))
        .order_by(org.c.name, org.c.id)
    )
    return [
        Organization(
            key=row.id,
            name=row.name,
            org_id=row.org_id,
            org_name=row.org_name,
            wanted_from=instant_of(row.wanted_from),
            zone=row.zone,
            granularity=row.granularity,
            calendar_since=None if row.since == BEGINNING else instant_of(row.since),
        )
        for row in tx.execute(query)
    ]


def stretches(tx: Connection, key: int, *, before: datetime | None = None) -> Iterator[Stretch]:
    """Yield the stretches of an org, by population, oldest first; a slice is read and forgotten."""
    in_doubt = and_(slice_.c.file.is_not(None), schema.file.c.holder.is_(None))
    query = (
        select(slice_.c.population, slice_.c.state, in_doubt, slice_.c.start, slice_.c.end)
        .outerjoin(schema.file, schema.file.c.id == slice_.c.file)
        .where(slice_.c.org == key, _starts_before(before))
        .order_by(slice_.c.population, slice_.c.start)
    )
    last: tuple[tuple[int, int, bool], int, int, int] | None = None
    for population, state, doubt, start, end in tx.execute(query).yield_per(1000):
        kind = (population, state, bool(doubt))
        if last is not None and last[0] == kind and last[2] == start:
            last = (kind, last[1], end, last[3] + 1)
            continue
        if last is not None:
            yield _stretch(*last)
        last = (kind, start, end, 1)
    if last is not None:
        yield _stretch(*last)


def oldest_usage(tx: Connection, key: int, population: Population, *, before: datetime | None = None) -> Window | None:
    """Return the oldest window that anything was counted in."""
    query = (
        select(slice_.c.start, slice_.c.end, slice_.c.emission)
        .where(
            slice_.c.org == key,
            slice_.c.population == POPULATION[population],
            slice_.c.emission.is_not(None),
            _starts_before(before),
        )
        .order_by(slice_.c.start)
    )
    for start, end, text in tx.execute(query).yield_per(100):
        emission = emission_of(text)
        if emission.users or any(not emitted.usage.is_zero for emitted in emission.products.values()):
            return Window(instant_of(start), instant_of(end))
    return None


def shrunk(tx: Connection, key: int) -> dict[tuple[Population, Window], dict[str, ProductUsage]]:
    """Return the smaller answers that were kept beside what was emitted, by product."""
    query = (
        select(slice_.c.population, slice_.c.start, slice_.c.end, slice_.c.shrunk)
        .where(slice_.c.org == key, slice_.c.shrunk.is_not(None))
        .order_by(slice_.c.population, slice_.c.start)
    )
    return {
        (population_of(population), Window(instant_of(start), instant_of(end))): usages_of(text)
        for population, start, end, text in tx.execute(query)
    }


def _starts_before(instant: datetime | None) -> ColumnElement[bool]:
    return true() if instant is None else slice_.c.start < micros(instant)


def ended_runs(tx: Connection, command: str, limit: int) -> list[EndedRun]:
    """Return the runs of a command that have ended, newest first."""
    query = (
        select(run.c.run_id, run.c.command, run.c.started_at, run.c.ended_at, run.c.exit_code)
        .where(run.c.ended_at.is_not(None), run.c.command == command)
        .order_by(run.c.started_at.desc(), run.c.run_id.desc())
        .limit(limit)
    )
    return [
        EndedRun(
            run_id=row.run_id,
            command=row.command,
            started_at=instant_of(row.started_at),
            ended_at=instant_of(row.ended_at),
            exit_code=row.exit_code,
        )
        for row in tx.execute(query)
    ]


def awaited(tx: Connection) -> list[AwaitedFile]:
    """Return the files that dead processes left, oldest first."""
    slices = select(func.count()).where(slice_.c.file == schema.file.c.id).scalar_subquery()
    query = (
        select(schema.file, slices.label("slices"), run.c.started_at)
        .outerjoin(run, run.c.run_id == schema.file.c.run_id)
        .where(schema.file.c.holder.is_(None))
        .order_by(schema.file.c.id)
    )
    return [
        AwaitedFile(
            file=file_of(row),
            slices=row.slices,
            begun_at=None if row.started_at is None else instant_of(row.started_at),
        )
        for row in tx.execute(query)
    ]


def _stretch(kind: tuple[int, int, bool], start: int, end: int, slices: int) -> Stretch:
    population, state, in_doubt = kind
    return Stretch(
        population=population_of(population),
        state=state_of(state),
        span=Window(instant_of(start), instant_of(end)),
        slices=slices,
        in_doubt=in_doubt,
    )
