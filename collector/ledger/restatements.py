"""What restatements replaced: the former numbers of records, and when and by which run new ones were emitted.

A row has the records of a slice that one emission replaced. It is deleted only if the unsealed file with the new
records is lost: then they were never emitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, and_, bindparam, delete, exists, or_, select, update

from collector.core.emission import Emission
from collector.core.ledger_entries import Restatement, SliceCommit, SliceKey
from collector.ledger.codec import POPULATION, emission_of, emission_text, instant_of, micros, population_of
from collector.ledger.schema import ledger, restatement, slice_
from collector.ledger.statements import execute_many, insert_for

if TYPE_CHECKING:
    from collector.ledger.statements import Insert

_RUN_ID = 64  # characters
_SINCE = (
    select(
        restatement.c.population, restatement.c.start, restatement.c.at, restatement.c.run_id, restatement.c.replaced
    )
    .where(restatement.c.org == bindparam("org"), restatement.c.at >= bindparam("since"))
    .order_by(restatement.c.population, restatement.c.start, restatement.c.at)
)


def since(tx: Connection, key: int, instant: datetime) -> list[Restatement]:
    """Return the restatements of an org from an instant on: by population, window and time."""
    return [
        Restatement(
            slice=SliceKey(key=key, population=population_of(population), start=instant_of(start)),
            at=instant_of(at),
            run_id=run_id,
            replaced=emission_of(replaced),
        )
        for population, start, at, run_id, replaced in tx.execute(_SINCE, {"org": key, "since": micros(instant)})
    ]


def known_from(tx: Connection) -> datetime | None:
    """Return the instant up to which restatements are not known; None: all are."""
    value = tx.scalar(select(ledger.c.restated_from))
    return None if value is None else instant_of(value)


def unknown_until(tx: Connection, instant: datetime) -> None:
    """Note that restatements up to an instant are not all known."""
    earlier = or_(ledger.c.restated_from.is_(None), ledger.c.restated_from < micros(instant))
    tx.execute(update(ledger).where(earlier).values(restated_from=micros(instant)))


def note(tx: Connection, commits: Sequence[SliceCommit], *, file_id: int | None) -> None:
    """Note what commits replace."""
    rows = []
    for commit in commits:
        if commit.replaced is not None and commit.emission is not None:
            key = {
                "org": commit.slice.key,
                "population": POPULATION[commit.slice.population],
                "start": micros(commit.slice.start),
            }
            rows.append(row_of(key, commit.replaced.emission, commit.emission, run_id=commit.replaced.run_id))
    write(tx, [row | {"file": file_id} for row in rows])


def row_of(key: Mapping[str, int], before: Emission, after: Emission, *, run_id: str) -> dict[str, object]:
    """Return the row that says what an emission of a slice replaced."""
    return {
        **key,
        "at": micros(after.emitted_at),
        "run_id": run_id[:_RUN_ID],
        "replaced": emission_text(before),
        "file": None,
    }


def write(tx: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows. One that is there already was written by the same work, and stays."""
    if rows:
        execute_many(tx, _insert(tx.dialect.name), rows)


@cache
def _insert(dialect: str) -> Insert:
    return insert_for(restatement, dialect).on_conflict_do_nothing()


def sealed(tx: Connection, file_id: int) -> None:
    """Note that the records of a file can't be lost any more."""
    tx.execute(update(restatement).where(restatement.c.file == file_id).values(file=None))


def lost(tx: Connection, file_id: int) -> None:
    """Delete the restatements that only a lost file had. Call it while the slices still refer to the file.

    A slice that was emitted elsewhere since then has other records by now: what they replaced stays.
    """
    in_file = and_(
        slice_.c.org == restatement.c.org,
        slice_.c.population == restatement.c.population,
        slice_.c.start == restatement.c.start,
        slice_.c.file == file_id,
    )
    tx.execute(delete(restatement).where(restatement.c.file == file_id, exists().where(in_file)))
