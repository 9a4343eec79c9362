"""What is kept of an org's older slices between two looks: valid for as long as none of them changes.

One aggregate over them shows whether one was committed since; which files are in doubt is the caller's to say. So a
ledger of years costs little more to read than one of months.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, or_, select

from collector.core.org_coverage import CoverageState
from collector.core.org_history import Piece, PopulationHistory
from collector.ledger.codec import STATE, instant_of, micros, population_of, state_of, tests_of
from collector.ledger.schema import slice_
from collector.model import Population, SliceState, Window

IN_DOUBT = -1  # beside the codes of states
_UNVERIFIED = -2
ALWAYS = 2**63 - 1  # behind every start
boundary = lru_cache(maxsize=65_536)(instant_of)  # the same few thousand for all orgs
window = lru_cache(maxsize=65_536)(lambda start, end: Window(boundary(start), boundary(end)))
_NEVER_FETCHED = STATE[SliceState.NOT_ASKED]
_IS_UNVERIFIED = and_(slice_.c.state == STATE[SliceState.COMPLETE], slice_.c.unverified)
STANDING = case((_IS_UNVERIFIED, _UNVERIFIED), else_=slice_.c.state).label("standing")  # a code of `coverage_state`

# Made once: for thousands of orgs, making a statement costs as much as executing it.
_OLD = (slice_.c.org == bindparam("org"), slice_.c.start < bindparam("before"))
_OF_POPULATION = (*_OLD, slice_.c.population == bindparam("population"))
_MARKS = (
    select(
        slice_.c.population,
        func.count(),
        func.max(slice_.c.asked_at),
        func.sum(slice_.c.state),  # a slice that was taken back keeps the time when it was fetched
        func.max(slice_.c.complete_at),
    )
    .where(*_OLD)
    .group_by(slice_.c.population)
)
_SPANS = select(slice_.c.start, slice_.c.end, STANDING, slice_.c.file).where(*_OF_POPULATION).order_by(slice_.c.start)
_EMISSIONS = (
    select(slice_.c.start, slice_.c.end, slice_.c.file, slice_.c.emission)
    .where(*_OF_POPULATION, slice_.c.emission.is_not(None))
    .order_by(slice_.c.start)
)
_SEALED_SUCCESS = select(func.max(slice_.c.complete_at)).where(
    *_OF_POPULATION, or_(slice_.c.file.is_(None), slice_.c.file.not_in(bindparam("in_doubt", expanding=True)))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """The slices that start before an instant; of all time without one."""

    before: datetime | None
    in_doubt: frozenset[int]  # the files that were, of the whole org
    marks: Mapping[int, tuple[int, int, int, int | None]]  # by population's code: how many, their last fetch, …
    populations: Mapping[Population, PopulationHistory]

    @property
    def last_fetch(self) -> int | None:
        """When one of them was fetched last."""
        return max((mark[1] for mark in self.marks.values()), default=None)


def digest(tx: Connection, key: int, before: datetime | None, in_doubt: frozenset[int], last: Digest | None) -> Digest:
    """Return what the older slices of an org say: the `last` digest, if it is still valid."""
    values = {"org": key, "before": ALWAYS if before is None else micros(before)}
    marks = {code: (count, at, int(states), done) for code, count, at, states, done in tx.execute(_MARKS, values)}
    if last is not None and (last.before, last.in_doubt, last.marks) == (before, in_doubt, marks):
        return last
    populations = {}
    for code, (_, _, _, done) in marks.items():
        of_population = {**values, "population": code}
        success = done
        if in_doubt and done is not None:
            success = tx.scalar(_SEALED_SUCCESS, {**of_population, "in_doubt": sorted(in_doubt)})
        populations[population_of(code)] = PopulationHistory(
            spans=merged(tx.execute(_SPANS, of_population).yield_per(1000), in_doubt),
            last_answer=None if done is None else instant_of(done),
            last_success=None if success is None else instant_of(success),
            oldest_usage=_oldest_usage(tx, of_population, in_doubt),
        )
    return Digest(before=before, in_doubt=in_doubt, marks=marks, populations=populations)


def merged(slices: Iterable[Sequence[Any]], in_doubt: frozenset[int]) -> list[Piece]:
    """Merge slices of one population that follow each other in one state, oldest first: start, end, standing, file."""
    spans: list[Piece] = []
    state, since, until = IN_DOUBT, 0, 0  # of no slice yet
    for start, end, code, file in slices:
        now = IN_DOUBT if file in in_doubt else code
        if now == state and start == until:
            until = end
            continue
        if since < until:
            spans.append((coverage_state(state), window(since, until)))
        state, since, until = now, start, end
    if since < until:
        spans.append((coverage_state(state), window(since, until)))
    return spans


def coverage_state(code: int) -> CoverageState:
    """Return the state of slices with a code. One that no request was sent for is as good as none."""
    if code == IN_DOUBT:
        return CoverageState.IN_DOUBT
    if code == _UNVERIFIED:
        return CoverageState.UNVERIFIED
    return CoverageState.MISSING if code == _NEVER_FETCHED else CoverageState(state_of(code).value)


def _oldest_usage(tx: Connection, values: Mapping[str, Any], in_doubt: frozenset[int]) -> Window | None:
    """Return the oldest window that anything was counted in."""
    for start, end, file, emission in tx.execute(_EMISSIONS, values).yield_per(20):
        _, used = tests_of(emission)
        if used and file not in in_doubt:
            return window(start, end)
    return None
