"""What slices hold, with their numbers: some at once, so that a reader of all of them needs little memory."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from collector.core.coverage import Known
from collector.core.coverage_lines import SliceAccount
from collector.core.present import Stored
from collector.ledger.codec import POPULATION, anomalies_of, emission_of, instant_of, micros, state_of
from collector.ledger.schema import slice_
from collector.model import Population, Window

_CONTENTS = (
    select(
        slice_.c.start,
        slice_.c.end,
        slice_.c.state,
        slice_.c.code,
        slice_.c.asked_at,
        slice_.c.complete_at,
        slice_.c.emission,
        slice_.c.file,
        slice_.c.anomalies,
        slice_.c.unverified,
    )
    .where(
        slice_.c.org == bindparam("org"),
        slice_.c.population == bindparam("population"),
        slice_.c.start >= bindparam("first"),
        slice_.c.start < bindparam("before"),
    )
    .order_by(slice_.c.start)
    .limit(bindparam("limit"))
)


def contents(tx: Connection, key: int, population: Population, span: Window, *, limit: int) -> list[Stored]:
    """Return the first slices of a population that start within a span, oldest first."""
    values = {
        "org": key,
        "population": POPULATION[population],
        "first": micros(span.start),
        "before": micros(span.end),
        "limit": limit,
    }
    found = []
    for start, end, state, code, asked_at, complete_at, emission, file, anomalies, unverified in tx.execute(
        _CONTENTS, values
    ):
        known = Known(state=state_of(state), complete_at=_instant(complete_at))
        account = SliceAccount(
            population=population,
            start=instant_of(start),
            known=known,
            code=code,
            asked_at=instant_of(asked_at),
            file=file,
            anomalies=anomalies_of(anomalies),
            unverified=unverified,
        )
        found.append(
            Stored(end=instant_of(end), account=account, emission=None if emission is None else emission_of(emission))
        )
    return found


def _instant(value: int | None) -> datetime | None:
    return None if value is None else instant_of(value)
