"""What is read of an org for its coverage: all slices as few spans, its recent ones also day by day.

The recent slices are read each time. Of the older ones a digest is kept by the caller and handed in again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from collector.core.org_coverage import CoverageState
from collector.core.org_history import History, LastFetch, PopulationHistory, Refusal
from collector.ledger.codec import (
    POPULATION,
    STATE,
    anomalies_of,
    emission_of,
    instant_of,
    micros,
    population_of,
    state_of,
    tests_of,
)
from collector.ledger.digest import STANDING, Digest, boundary, digest, merged, window
from collector.ledger.ranges import wanted_of
from collector.ledger.refusals import refusals_of
from collector.ledger.schema import slice_
from collector.model import Population, SliceState, Window

_COMPLETE = STATE[SliceState.COMPLETE]
_READ = (
    slice_.c.start,
    slice_.c.end,
    STANDING,
    slice_.c.file,
    slice_.c.state,
    slice_.c.code,
    slice_.c.asked_at,
    slice_.c.complete_at,
    slice_.c.emission,
    slice_.c.anomalies,
)

# Made once: for thousands of orgs, making a statement costs as much as executing it.
_RECENT = (
    select(*_READ)
    .where(
        slice_.c.org == bindparam("org"),
        slice_.c.population == bindparam("population"),
        slice_.c.start >= bindparam("from"),
    )
    .order_by(slice_.c.start)
)
_REASONS = (  # for a look at all of an org at once
    select(slice_.c.population, slice_.c.state, slice_.c.code, func.count().label("slices"))
    .where(slice_.c.org == bindparam("org"), slice_.c.state != _COMPLETE)
    .group_by(slice_.c.population, slice_.c.state, slice_.c.code)
)
_ANOMALIES = (
    select(slice_.c.population, slice_.c.start, slice_.c.end, slice_.c.file, slice_.c.anomalies)
    .where(slice_.c.org == bindparam("org"), slice_.c.anomalies.is_not(None))
    .order_by(slice_.c.start)
)
SliceLine = Any  # a row of those columns


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """An org, from when on its slices count as recent, which of its files are in doubt, and the last digest of it."""

    key: int
    recent_from: datetime | None  # None: no slice does
    in_doubt: frozenset[int] = frozenset()
    digest: Digest | None = None
    names: Sequence[str] = ()  # the entry's, the present one first: the first one that is refused counts


def histories(tx: Connection, queries: Sequence[HistoryQuery]) -> list[tuple[History, Digest]]:
    """Return the histories of orgs in the same order, each with the digest for the next look."""
    keys = [query.key for query in queries]
    ranges, refusals = wanted_of(tx, keys), refusals_of(tx, keys)
    return [_history(tx, query, ranges.get(query.key, ()), refusals.get(query.key, {})) for query in queries]


def _history(
    tx: Connection, query: HistoryQuery, ranges: Sequence[Window], refusals: Mapping[str, Refusal]
) -> tuple[History, Digest]:
    old = digest(tx, query.key, query.recent_from, query.in_doubt, query.digest)
    populations = {
        population: replace(known, spans=list(known.spans), tests={}, reasons=Counter(), anomalies=[])
        for population, known in old.populations.items()
    }
    if query.recent_from is None:
        newest = None
        _add_all(tx, query, populations)
    else:
        newest = _read_recent(tx, query, populations)
    history = History(
        ranges=ranges,
        populations=populations,
        last_fetch=_last_fetch(tx, query.key, old, newest),
        refusal=next((refusals[name] for name in query.names if name in refusals), None),
    )
    return history, old


def _add_all(tx: Connection, query: HistoryQuery, populations: dict[Population, PopulationHistory]) -> None:
    """Count why slices of an org are not complete, and add those that look wrong, of all time."""
    for row in tx.execute(_REASONS, {"org": query.key}):
        history = populations.setdefault(population_of(row.population), PopulationHistory())
        history.reasons[row.code or state_of(row.state).value] += row.slices
    for row in tx.execute(_ANOMALIES, {"org": query.key}):
        _read_anomalies(
            populations.setdefault(population_of(row.population), PopulationHistory()), [row], query.in_doubt
        )


def _read_recent(
    tx: Connection, query: HistoryQuery, populations: dict[Population, PopulationHistory]
) -> SliceLine | None:
    """Add what the recent slices say; return the one that was fetched last."""
    assert query.recent_from is not None  # noqa: S101 - for the types
    last = None
    for population, code in POPULATION.items():
        values = {"org": query.key, "population": code, "from": micros(query.recent_from)}
        rows = tx.execute(_RECENT, values).all()
        if rows:
            history = populations.setdefault(population, PopulationHistory())
            _read(history, rows, query.in_doubt)
            _read_anomalies(history, rows, query.in_doubt)
            last = max((*rows, last) if last is not None else rows, key=attrgetter("asked_at"))
    return last


def _read(history: PopulationHistory, rows: Sequence[Any], in_doubt: frozenset[int]) -> None:
    """Add what a population's slices say, oldest first. The hot loop: it only looks up and compares."""
    answers, successes, newest = [], [], None
    for start, end, _, file, state, code, _, complete_at, emission, _ in rows:
        if complete_at is not None:
            answers.append(complete_at)
        if file in in_doubt:
            history.reasons[CoverageState.IN_DOUBT.value] += 1
            continue
        if complete_at is not None:
            successes.append(complete_at)
        if emission is not None:
            newest = (start, end, emission)
            tests, used = tests_of(emission)
            if state == _COMPLETE:
                history.tests[boundary(start)] = tests
            if used and history.oldest_usage is None:
                history.oldest_usage = window(start, end)
        if state != _COMPLETE:
            history.reasons[code or state_of(state).value] += 1
    history.spans += merged((row[:4] for row in rows), in_doubt)
    history.last_answer = _latest(history.last_answer, answers)
    history.last_success = _latest(history.last_success, successes)
    if newest is not None:
        history.newest = (window(*newest[:2]), emission_of(newest[2]))


def _read_anomalies(history: PopulationHistory, rows: Sequence[Any], in_doubt: frozenset[int]) -> None:
    """Add what looks wrong of a population's slices, oldest first."""
    history.anomalies += [
        (window(row.start, row.end), anomalies_of(row.anomalies))
        for row in rows
        if row[-1] is not None and row.file not in in_doubt
    ]


def _latest(before: datetime | None, instants: Sequence[int]) -> datetime | None:
    if not instants:
        return before
    last = instant_of(max(instants))
    return max(last, before or last)


def _last_fetch(tx: Connection, key: int, old: Digest, recent: SliceLine | None) -> LastFetch | None:
    """Return what came of what was fetched last, be it a recent slice or an old one."""
    before = old.last_fetch
    if before is not None and (recent is None or before > recent.asked_at):
        query = select(*_READ).where(slice_.c.org == key, slice_.c.asked_at == before).order_by(slice_.c.start.desc())
        recent = tx.execute(query.limit(1)).one()
    if recent is None:
        return None
    return LastFetch(
        at=instant_of(recent.asked_at),
        state=state_of(recent.state),
        code=recent.code,
        complete_at=None if recent.complete_at is None else instant_of(recent.complete_at),
    )
