"""What is read for operators beside the slices: orgs, runs, and the files that dead processes left."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from collector.core.ledger_entries import CalendarChanged, DoubtfulSlice, SliceKey, UnsealedFile
from collector.ledger import schema
from collector.ledger.codec import instant_of, population_of
from collector.ledger.schema import BEGINNING, UNREAD, calendar, org, run, slice_
from collector.ledger.statements import batches
from collector.ledger.unsealed import file_of
from collector.model import Window


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
    changed: CalendarChanged | None = None  # why the next run refuses the calendar of the config


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """A run that has ended; without an exit code it was interrupted."""

    run_id: str
    command: str
    started_at: datetime
    ended_at: datetime
    exit_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A run: with no end it is under way, or its process is dead."""

    run_id: str
    started_at: datetime
    ended_at: datetime | None


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
            org_id=None if row.org_name is None else row.org_id,
            org_name=row.org_name,
            wanted_from=instant_of(row.wanted_from),
            zone=row.zone,
            granularity=row.granularity,
            calendar_since=None if row.since == BEGINNING else instant_of(row.since),
        )
        for row in tx.execute(query)
    ]


def ended_runs(tx: Connection, command: str, limit: int) -> list[EndedRun]:
    """Return the runs of a command that have ended, newest first."""
    return _ended(tx, run.c.command == command, limit)


def ended_beside(tx: Connection, command: str, limit: int) -> list[EndedRun]:
    """Return the runs of other commands that have ended, newest first, without those of other shards of a command."""
    shards = run.c.command.startswith(f"{command.partition(' ')[0]} ", autoescape=True)
    return _ended(tx, and_(run.c.command != command, run.c.command != UNREAD, ~shards), limit)


def _ended(tx: Connection, which: ColumnElement[bool], limit: int) -> list[EndedRun]:
    query = (
        select(run.c.run_id, run.c.command, run.c.started_at, run.c.ended_at, run.c.exit_code)
        .where(run.c.ended_at.is_not(None), which)
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


def awaited(tx: Connection, *, dead: Collection[str]) -> list[AwaitedFile]:
    """Return the files that dead processes left, oldest first; `dead` are those whose rows still exist."""
    slices = select(func.count()).where(slice_.c.file == schema.file.c.id).scalar_subquery()
    query = (
        select(schema.file, slices.label("slices"), run.c.started_at)
        .outerjoin(run, run.c.run_id == schema.file.c.run_id)
        .where(_left(dead))
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


def has_file(tx: Connection, name: str) -> bool:
    """Return whether there is an unsealed file of that name."""
    return tx.scalar(select(schema.file.c.id).where(schema.file.c.name == name).limit(1)) is not None


def has_run(tx: Connection, run_id: str) -> bool:
    """Return whether a run is known."""
    return tx.scalar(select(run.c.run_id).where(run.c.run_id == run_id)) is not None


def run_of(tx: Connection, run_id: str) -> KnownRun | None:
    """Return a run; None if it isn't known."""
    row = tx.execute(select(run.c.run_id, run.c.started_at, run.c.ended_at).where(run.c.run_id == run_id)).first()
    if row is None:
        return None
    ended_at = None if row.ended_at is None else instant_of(row.ended_at)
    return KnownRun(run_id=run_id, started_at=instant_of(row.started_at), ended_at=ended_at)


def in_doubt(tx: Connection, *, dead: Collection[str]) -> dict[int, frozenset[int]]:
    """Return the files that dead processes left, by the orgs that have slices in them; other orgs are left out."""
    query = (
        select(slice_.c.org, slice_.c.file)
        .join(schema.file, schema.file.c.id == slice_.c.file)
        .where(_left(dead), slice_.c.file.is_not(None))
        .distinct()
    )
    found: dict[int, set[int]] = {}
    for key, file_id in tx.execute(query):
        found.setdefault(key, set()).add(file_id)
    return {key: frozenset(files) for key, files in found.items()}


def doubtful_slices(tx: Connection, file_ids: Collection[int]) -> list[DoubtfulSlice]:
    """Return the slices whose records are in files that dead processes left, of these files; oldest first."""
    found = []
    for batch in batches(sorted(file_ids)):
        query = (
            select(slice_.c.org, slice_.c.population, slice_.c.start, slice_.c.end, schema.file.c.name)
            .join(schema.file, schema.file.c.id == slice_.c.file)
            .where(slice_.c.file.in_(batch), _left(()))
        )
        for key, population, start, end, name in tx.execute(query):
            window = Window(instant_of(start), instant_of(end))
            slice_key = SliceKey(key=key, population=population_of(population), start=window.start)
            found.append(DoubtfulSlice(slice=slice_key, window=window, file=name))
    return sorted(found, key=lambda one: one.window.start)


def _left(dead: Collection[str]) -> ColumnElement[bool]:
    return or_(schema.file.c.holder.is_(None), schema.file.c.holder.in_(dead))
