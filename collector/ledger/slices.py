"""The slices: the state of each, and what was last emitted for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, or_, select, union_all

from collector.core.collected import collected_of
from collector.core.coverage import Known
from collector.core.coverage_lines import SliceAccount
from collector.core.ledger_entries import SliceCommit, SliceKey, SliceRow
from collector.core.totals import Totals
from collector.ledger.codec import (
    POPULATION,
    STATE,
    anomalies_of,
    anomalies_text,
    emission_of,
    emission_text,
    instant_of,
    micros,
    population_of,
    state_of,
)
from collector.ledger.schema import slice_
from collector.ledger.statements import batches, execute_many, execute_plain, insert_for
from collector.model import Population, Window

if TYPE_CHECKING:
    from collector.ledger.statements import Insert

_KEYS_PER_STATEMENT = 64  # PostgreSQL plans a UNION of many parts slowly; SQLite allows 500 parts
_COLUMNS = (
    slice_.c.org,
    slice_.c.population,
    slice_.c.start,
    slice_.c.end,
    slice_.c.state,
    slice_.c.complete_at,
    slice_.c.code,
    slice_.c.asked_at,
    slice_.c.emission,
    slice_.c.naming,
    slice_.c.anomalies,
)


# Built once: building a statement costs as much as executing it.
_COVERAGE = select(
    slice_.c.population,
    slice_.c.start,
    slice_.c.state,
    slice_.c.complete_at,
    slice_.c.emission.is_not(None),
    slice_.c.naming,
).where(
    slice_.c.org == bindparam("org"),
    slice_.c.population.in_(POPULATION.values()),
    slice_.c.start >= bindparam("first"),
    slice_.c.start < bindparam("before"),
)
_ACCOUNTS = select(
    slice_.c.population,
    slice_.c.start,
    slice_.c.state,
    slice_.c.complete_at,
    slice_.c.code,
    slice_.c.asked_at,
    slice_.c.file,
    slice_.c.anomalies,
    slice_.c.unverified,
).where(
    slice_.c.org == bindparam("org"),
    slice_.c.population.in_(POPULATION.values()),
    slice_.c.start >= bindparam("first"),
    slice_.c.start < bindparam("before"),
)
_EMITTED = select(slice_.c.start, slice_.c.emission).where(
    slice_.c.org == bindparam("org"),
    slice_.c.population == bindparam("population"),
    slice_.c.start >= bindparam("first"),
    slice_.c.start < bindparam("before"),
    slice_.c.emission.is_not(None),
)
_RECENT = (
    select(*_COLUMNS)
    .where(
        slice_.c.org == bindparam("org"),
        slice_.c.population == bindparam("population"),
        slice_.c.start < bindparam("before"),
    )
    .order_by(slice_.c.start.desc())
    .limit(bindparam("limit"))
)


def coverage(tx: Connection, key: int, span: Window) -> dict[tuple[Population, datetime], Known]:
    """Return the state of the slices that start within a span."""
    within = {"org": key, "first": micros(span.start), "before": micros(span.end)}
    return {
        (population_of(population), instant_of(start)): _known(state, complete_at, emitted=emitted, naming=naming)
        for population, start, state, complete_at, emitted, naming in tx.execute(_COVERAGE, within)
    }


def accounts(tx: Connection, key: int, span: Window) -> dict[tuple[Population, datetime], SliceAccount]:
    """Return what is known of the slices that start within a span, without their numbers."""
    within = {"org": key, "first": micros(span.start), "before": micros(span.end)}
    found = {}
    for row in tx.execute(_ACCOUNTS, within):
        one = SliceAccount(
            population=population_of(row.population),
            start=instant_of(row.start),
            known=_known(row.state, row.complete_at),
            code=row.code,
            asked_at=instant_of(row.asked_at),
            file=row.file,
            anomalies=anomalies_of(row.anomalies),
            unverified=row.unverified,
        )
        found[one.population, one.start] = one
    return found


def emitted(tx: Connection, key: int, population: Population, span: Window) -> dict[datetime, Totals | None]:
    """Return the totals that were last emitted for the slices that start within a span; None: not all are known."""
    values = {
        "org": key,
        "population": POPULATION[population],
        "first": micros(span.start),
        "before": micros(span.end),
    }
    return {instant_of(start): collected_of(emission_of(text)) for start, text in tx.execute(_EMITTED, values)}


def rows(tx: Connection, slices: Sequence[SliceKey]) -> dict[SliceKey, SliceRow]:
    """Return the rows of slices; slices without a row are left out."""
    found: dict[SliceKey, SliceRow] = {}
    for batch in batches(slices, _KEYS_PER_STATEMENT):
        # The size is a power of two, filled up with the last key, so there are few distinct statements.
        size = 1 << (len(batch) - 1).bit_length()
        values: dict[str, int] = {}
        for n in range(size):
            one = batch[min(n, len(batch) - 1)]
            values |= {f"org{n}": one.key, f"population{n}": POPULATION[one.population], f"start{n}": micros(one.start)}
        found.update(map(_slice_row, execute_plain(tx, _select_rows(size), values)))
    return found


@lru_cache(maxsize=16)
def _select_rows(size: int) -> Select[Any]:
    """Return the statement that finds `size` slices by their keys.

    It is a join, since SQLite reads all slices for a list of tuples (`IN (VALUES …)`). The keys are a UNION, since
    SQLAlchemy compiles VALUES again for each execution.
    """
    columns = (slice_.c.org, slice_.c.population, slice_.c.start)
    one_of = [select(*(bindparam(f"{c.name}{n}", type_=c.type).label(c.name) for c in columns)) for n in range(size)]
    keys = union_all(*one_of).cte("keys")
    return select(*_COLUMNS).join(keys, and_(*(c == keys.c[c.name] for c in columns)))


def recent(tx: Connection, key: int, population: Population, before: datetime, limit: int) -> list[SliceRow]:
    """Return the slices that start before an instant, newest first."""
    values = {"org": key, "population": POPULATION[population], "before": micros(before), "limit": limit}
    return [row for _, row in map(_slice_row, tx.execute(_RECENT, values))]


def commit(tx: Connection, commits: Sequence[SliceCommit], *, file_id: int | None) -> None:
    """Write slices. If there is a file, slices with a new emission refer to it until it is sealed."""
    if commits:
        execute_many(tx, _upsert(tx.dialect.name), [_values(commit, file_id) for commit in commits])


@cache
def _upsert(dialect: str) -> Insert:
    """Return the statement that writes a slice.

    Without a new emission, `emission`, `file` and `prior` stay as they are. If the new emission goes to the same
    file as the last one, `prior` stays what it was before both.
    """
    statement = insert_for(slice_, dialect)
    new = statement.excluded
    changed: ColumnElement[bool] = and_(
        new.emission.is_not(None), or_(slice_.c.emission.is_(None), slice_.c.emission != new.emission)
    )
    prior = case(
        (~changed, slice_.c.prior),
        (new.file.is_(None), None),
        (slice_.c.file == new.file, slice_.c.prior),
        else_=slice_.c.emission,
    )
    kept = {
        name: new[name]
        for name in ("end", "state", "code", "asked_at", "complete_at", "anomalies", "unverified", "naming")
    }
    return statement.on_conflict_do_update(
        index_elements=[slice_.c.org, slice_.c.population, slice_.c.start],
        set_=kept
        | {
            "emission": func.coalesce(new.emission, slice_.c.emission),
            "file": case((changed, new.file), else_=slice_.c.file),
            "prior": prior,
        },
    )


def _values(commit: SliceCommit, file_id: int | None) -> dict[str, object]:
    emission = None if commit.emission is None else emission_text(commit.emission)
    return {
        "org": commit.slice.key,
        "population": POPULATION[commit.slice.population],
        "start": micros(commit.slice.start),
        "end": micros(commit.end),
        "state": STATE[commit.state],
        "code": commit.code,
        "asked_at": micros(commit.asked_at),
        "complete_at": None if commit.complete_at is None else micros(commit.complete_at),
        "emission": emission,
        "file": None if emission is None else file_id,
        "anomalies": anomalies_text(commit.anomalies),
        "naming": commit.naming,
        "unverified": commit.emission is not None and commit.emission.unverified,
    }


def _slice_row(row: Sequence[Any]) -> tuple[SliceKey, SliceRow]:
    key, population, start, end, state, complete_at, code, asked_at, emission, naming, anomalies = row
    return (
        SliceKey(key=key, population=population_of(population), start=instant_of(start)),
        SliceRow(
            start=instant_of(start),
            end=instant_of(end),
            known=_known(state, complete_at),
            code=code,
            asked_at=instant_of(asked_at),
            naming=naming,
            emission=None if emission is None else emission_of(emission),
            anomalies=anomalies_of(anomalies),
        ),
    )


def _known(state: int, complete_at: int | None, *, emitted: bool = False, naming: int | None = None) -> Known:
    return Known(
        state=state_of(state),
        complete_at=None if complete_at is None else instant_of(complete_at),
        emitted=bool(emitted),
        naming=naming,
    )
