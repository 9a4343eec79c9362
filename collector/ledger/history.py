"""What the status page reads of an org: its slices as few stretches, and its tests day by day.

The recent slices are read each time. Of the older ones a digest is kept by the caller and
handed in again: it holds for as long as none of them was booked, which one aggregate tells.
So a ledger of years costs little more to look at than one of months.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from collector.core.emission import Emission
from collector.errors import REFUSED_CODES
from collector.ledger import schema, views
from collector.ledger.codec import (
    POPULATION,
    STATE,
    emission_of,
    instant_of,
    micros,
    population_of,
    state_of,
    tests_of,
)
from collector.ledger.schema import slice_
from collector.ledger.statements import batches
from collector.model import Population, SliceState, Window

_COMPLETE = STATE[SliceState.COMPLETE]
_boundary = lru_cache(maxsize=65_536)(instant_of)  # the same few thousand for all orgs
_window = lru_cache(maxsize=65_536)(lambda start, end: Window(_boundary(start), _boundary(end)))

_READ = (
    slice_.c.start,
    slice_.c.end,
    slice_.c.state,
    slice_.c.code,
    slice_.c.asked_at,
    slice_.c.complete_at,
    slice_.c.emission,
)

# Made once: for thousands of orgs, making a statement costs as much as executing it.
_MARKS = (
    select(
        slice_.c.population,
        func.count(),
        func.max(slice_.c.asked_at),
        func.sum(slice_.c.state),  # a slice that was taken back keeps the time when it was asked
        func.max(slice_.c.complete_at),
    )
    .where(slice_.c.org == bindparam("org"), slice_.c.start < bindparam("before"))
    .group_by(slice_.c.population)
)
_RECENT = (
    select(*_READ)
    .where(
        slice_.c.org == bindparam("org"),
        slice_.c.population == bindparam("population"),
        slice_.c.start >= bindparam("from"),
    )
    .order_by(slice_.c.start)
)

Piece = tuple[SliceState, Window]
SliceLine = Any  # a row of those columns


@dataclass(frozen=True, slots=True)
class Asking:
    """The last time that an org was asked anything, and what came of it."""

    at: datetime
    state: SliceState
    code: str | None
    complete_at: datetime | None


@dataclass(frozen=True, slots=True)
class Digest:
    """What is kept of the slices before an instant; valid for as long as their `marks` are the same."""

    before: datetime
    marks: Mapping[int, tuple[int, int, int, int | None]]
    stretches: Mapping[Population, Sequence[Piece]]
    oldest_usage: Mapping[Population, Window]


@dataclass(slots=True)
class PopulationHistory:
    """One population: its stretches, oldest first, and what its recent slices say."""

    stretches: list[Piece] = field(default_factory=list)
    tests: dict[datetime, int | None] = field(default_factory=dict)  # of recent, complete windows, by their start
    reasons: Counter[str] = field(default_factory=Counter)  # why recent slices are not complete
    last_success: datetime | None = None
    oldest_usage: Window | None = None
    newest: tuple[Window, Emission] | None = None  # the newest recent window of which anything was emitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An org, from when on its slices count as recent, and the digest of the last look, if there was one."""

    key: int
    recent_from: datetime
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What there is of an org."""

    ranges: Sequence[Window]  # that backfills were asked for
    populations: Mapping[Population, PopulationHistory]
    last_asking: Asking | None
    refused_since: datetime | None  # the first refusal after the last success
    digest: Digest


def histories(tx: Connection, asked: Sequence[Asked]) -> list[History]:
    """Return the histories of orgs, in the same order."""
    ranges = _ranges(tx, [one.key for one in asked])
    return [_history(tx, one, ranges.get(one.key, ())) for one in asked]


def _history(tx: Connection, asked: Asked, ranges: Sequence[Window]) -> History:
    digest = _digest(tx, asked)
    populations = {
        population_of(code): PopulationHistory(
            stretches=list(digest.stretches.get(population_of(code), ())),
            last_success=None if complete_at is None else instant_of(complete_at),
            oldest_usage=digest.oldest_usage.get(population_of(code)),
        )
        for code, (_, _, _, complete_at) in digest.marks.items()
    }
    asking = _last_asking(tx, asked.key, digest, _read_recent(tx, asked, populations))
    refused = asking is not None and asking.code in REFUSED_CODES
    return History(
        ranges=ranges,
        populations=populations,
        last_asking=asking,
        refused_since=_refused_since(tx, asked.key, populations) if refused else None,
        digest=digest,
    )


def _digest(tx: Connection, asked: Asked) -> Digest:
    """Return what is to know of the slices that are not recent; the last one, if nothing was booked since."""
    values = {"org": asked.key, "before": micros(asked.recent_from)}
    marks = {code: (count, at, int(states), done) for code, count, at, states, done in tx.execute(_MARKS, values)}
    last = asked.digest
    if last is not None and last.before == asked.recent_from and last.marks == marks:
        return last
    stretches: dict[Population, list[Piece]] = {}
    oldest: dict[Population, Window] = {}
    if marks:
        for stretch in views.stretches(tx, asked.key, before=asked.recent_from):
            stretches.setdefault(stretch.population, []).append((stretch.state, stretch.span))
        for population in stretches:
            usage = views.oldest_usage(tx, asked.key, population, before=asked.recent_from)
            if usage is not None:
                oldest[population] = usage
    return Digest(before=asked.recent_from, marks=marks, stretches=stretches, oldest_usage=oldest)


def _read_recent(tx: Connection, asked: Asked, populations: dict[Population, PopulationHistory]) -> SliceLine | None:
    """Add what the recent slices say; return the one that was asked last."""
    last = None
    for population, code in POPULATION.items():
        values = {"org": asked.key, "population": code, "from": micros(asked.recent_from)}
        rows = tx.execute(_RECENT, values).all()
        if rows:
            _read(populations.setdefault(population, PopulationHistory()), rows)
            last = max((*rows, last) if last is not None else rows, key=attrgetter("asked_at"))
    return last


def _read(history: PopulationHistory, rows: Sequence[Any]) -> None:
    """Add what a population's slices say, oldest first. The loop of all loops: it only looks up and compares."""
    successes, newest = [], None
    run_state, run_start, run_end = rows[0].state, rows[0].start, rows[0].start
    for row in rows:
        start, end, state, code, _, complete_at, emission = row
        if state != run_state or start != run_end:
            history.stretches.append((state_of(run_state), _window(run_start, run_end)))
            run_state, run_start = state, start
        run_end = end
        if complete_at is not None:
            successes.append(complete_at)
        if emission is not None:
            newest = row
            tests, used = tests_of(emission)
            if state == _COMPLETE:
                history.tests[_boundary(start)] = tests
            if used and history.oldest_usage is None:
                history.oldest_usage = _window(start, end)
        if state != _COMPLETE:
            history.reasons[code or state_of(state).value] += 1
    history.stretches.append((state_of(run_state), _window(run_start, run_end)))
    if successes:
        last = instant_of(max(successes))
        history.last_success = max(last, history.last_success or last)
    if newest is not None:
        history.newest = (_window(newest.start, newest.end), emission_of(newest.emission))


def _last_asking(tx: Connection, key: int, digest: Digest, recent: SliceLine | None) -> Asking | None:
    """Return what came of what was asked last, be it a recent slice or an old one."""
    before = max((mark[1] for mark in digest.marks.values()), default=None)
    if before is not None and (recent is None or before > recent.asked_at):
        query = select(*_READ).where(slice_.c.org == key, slice_.c.asked_at == before).order_by(slice_.c.start.desc())
        recent = tx.execute(query.limit(1)).one()
    if recent is None:
        return None
    return Asking(
        at=instant_of(recent.asked_at),
        state=state_of(recent.state),
        code=recent.code,
        complete_at=None if recent.complete_at is None else instant_of(recent.complete_at),
    )


def _refused_since(tx: Connection, key: int, populations: Mapping[Population, PopulationHistory]) -> datetime | None:
    last_success = max((p.last_success for p in populations.values() if p.last_success), default=None)
    query = select(func.min(slice_.c.asked_at)).where(slice_.c.org == key, slice_.c.code.in_(REFUSED_CODES))
    if last_success is not None:
        query = query.where(slice_.c.asked_at > micros(last_success))
    at = tx.execute(query).scalar_one()
    return None if at is None else instant_of(at)


def _ranges(tx: Connection, keys: Sequence[int]) -> dict[int, list[Window]]:
    wanted = schema.wanted.c
    found: dict[int, list[Window]] = {}
    for batch in batches(keys):
        query = select(wanted.org, wanted.start, wanted.end).where(wanted.org.in_(batch)).order_by(wanted.start)
        for key, start, end in tx.execute(query):
            found.setdefault(key, []).append(Window(instant_of(start), instant_of(end)))
    return found
