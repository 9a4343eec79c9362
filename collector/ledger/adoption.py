"""What a ledger that was restored from a backup takes over from sealed files: revisions, ranges, and the ends of runs.

An adopted slice without a row is not complete, and its window is wanted: it is fetched again, and only what differs is
emitted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, insert, or_, select, update

from collector.core.delivered import DeliveredSlice, OrgRange, PastRun, Taken
from collector.core.emission import Emission, newest_of, replaced
from collector.core.ledger_entries import Holder
from collector.ledger import changes, ranges, refusals, restatements
from collector.ledger.codec import POPULATION, STATE, emission_of, emission_text, instant_of, micros
from collector.ledger.holders import Liveness, remove_dead_holders
from collector.ledger.schema import BEGINNING, CONFIRMED, UNREAD, alias, calendar, org, run, slice_
from collector.ledger.statements import batches, insert_into
from collector.model import SliceState, Window

_KEY = (
    slice_.c.org == bindparam("of"),
    slice_.c.population == bindparam("for"),
    slice_.c.start == bindparam("at"),
)
_ROW = select(slice_.c.end, slice_.c.emission, slice_.c.file, slice_.c.prior).where(*_KEY)


def unsettled(
    tx: Connection, run_ids: Collection[str], *, interrupted: bool, me: Holder, liveness: Liveness
) -> dict[str, bool]:
    """Return the runs whose end isn't known (`Ledger.unsettled`)."""
    if not run_ids:
        return {}
    remove_dead_holders(tx, me, liveness)
    ended = (
        and_(run.c.ended_at.is_not(None), run.c.exit_code.is_not(None)) if interrupted else run.c.ended_at.is_not(None)
    )
    settled = or_(ended, run.c.holder.is_not(None))
    # All runs: that is much faster than a list of ten thousand ids.
    known = {run_id: bool(done) for run_id, done in tx.execute(select(run.c.run_id, settled))}
    return {run_id: run_id in known for run_id in run_ids if not known.get(run_id)}


def is_behind(tx: Connection, one: DeliveredSlice) -> bool:
    """Return whether a slice's last emission that the ledger knows isn't the one in a sealed file."""
    key = tx.scalar(select(org.c.id).where(org.c.org_id == one.org_id))
    known = None if key is None else _emission(tx.execute(_ROW, _key(key, one)).first())
    return known is None or known.emitted_at != one.emission.emitted_at or _with(known, one) != known


def adopt(tx: Connection, slices: Sequence[DeliveredSlice], *, wanted: bool) -> Taken:
    """Take over what sealed files have of slices, where that is newer. With `wanted`, their windows are."""
    keys = _keys(tx, slices, wanted=wanted)
    new: dict[tuple[Any, ...], tuple[DeliveredSlice, dict[str, Any]]] = {}
    newer, restated = [], []
    changed = 0
    for one in slices:
        key = _key(keys[one.org_id], one)
        row = tx.execute(_ROW, key).first()
        known = _emission(row)
        if row is None:
            new[tuple(key.values())] = one, _first(keys[one.org_id], one)
        elif row.end == micros(one.window.end):  # else it is of another calendar
            emission = _with(known, one)
            changed += emission != known
            sealed = _sealed(row)
            if (before := replaced(sealed, _with(sealed, one))) is not None:
                slice_key = {"org": key["of"], "population": key["for"], "start": key["at"]}
                restated.append(restatements.row_of(slice_key, before, one.emission, run_id=one.run_id))
            newer.append(key | {"newest": emission_text(emission), "delivered": _prior(row, one)})
    if new:
        tx.execute(insert(slice_), [row for _, row in new.values()])
    if newer:
        columns: dict[str, Any] = {"emission": bindparam("newest"), "prior": bindparam("delivered"), "naming": None}
        tx.execute(update(slice_).where(*_KEY).values(columns), newer)
    restatements.write(tx, restated)
    # They may be of another calendar than the present one: it is compared before the next lease.
    for batch in batches(sorted({keys[one.org_id] for one in slices})):
        tx.execute(update(calendar).where(calendar.c.org.in_(batch)).values(rules=None))
    refusals.answered(tx, {one.org: one.emission.emitted_at for one in sorted(slices, key=_emitted_at)})
    changes.note(tx, keys.values())
    if wanted:
        _want(tx, keys, slices)
    return Taken(unknown=[one for one, _ in new.values()], newer=changed)


def adopt_ranges(tx: Connection, given: Sequence[OrgRange]) -> list[OrgRange]:
    """Note that ranges are wanted; return those of orgs whose names the ledger doesn't know."""
    keys = {row.name: row.org for row in tx.execute(select(alias.c.name, alias.c.org))}
    by_key: dict[int, list[Window]] = defaultdict(list)
    for one in given:
        if one.org in keys:
            by_key[keys[one.org]].append(Window(one.start.astimezone(UTC), one.end.astimezone(UTC)))
    ranges.want(tx, by_key)
    return [one for one in given if one.org not in keys]


def adopt_runs(tx: Connection, past: Sequence[PastRun]) -> None:
    """Commit the ends of runs that are not known, or whose end isn't."""
    rows = [
        {
            "run_id": one.run_id,
            "command": one.command if one.read else UNREAD,
            "started_at": micros(one.started_at),
            "ended_at": micros(one.ended_at),
            "exit_code": one.exit_code,
        }
        for one in past
    ]
    statement = insert_into(run, tx)
    new = statement.excluded
    command = case((new.command == UNREAD, new.command), else_=run.c.command)
    for one in past:
        if not one.read:
            restatements.unknown_until(tx, one.ended_at)
    ends = {"command": command, "ended_at": new.ended_at, "exit_code": new.exit_code}
    tx.execute(statement.on_conflict_do_update(index_elements=[run.c.run_id], set_=ends), rows)


def unread(tx: Connection) -> list[datetime]:
    """Return the ends of the adopted runs whose files could not be read."""
    return [instant_of(end) for end in tx.scalars(select(run.c.ended_at).where(run.c.command == UNREAD))]


def _emitted_at(one: DeliveredSlice) -> datetime:
    return one.emission.emitted_at


def _want(tx: Connection, keys: Mapping[str, int], slices: Sequence[DeliveredSlice]) -> None:
    by_key: dict[int, list[Window]] = defaultdict(list)
    for one in slices:
        by_key[keys[one.org_id]].append(one.window)
    ranges.want(tx, by_key)


def _keys(tx: Connection, slices: Sequence[DeliveredSlice], *, wanted: bool) -> Mapping[str, int]:
    """Return the row of each organization. Create those that are missing: the first answer binds an org to them.

    Rows that a config only expects to be of the organization are so from now on.
    Without `wanted`, what was delivered doesn't make such an org wanted any earlier.
    """
    oldest = {one.org_id: one for one in sorted(slices, key=lambda one: one.window.start, reverse=True)}  # the oldest
    keys: dict[str, int] = {}
    for batch in batches(oldest):
        rows = tx.execute(select(org.c.id, org.c.org_id).where(org.c.org_id.in_(batch)))
        keys |= {row.org_id: row.id for row in rows}
    if keys:
        confirmed = update(org).where(org.c.id == bindparam("key"), ~CONFIRMED).values(org_name=bindparam("named"))
        tx.execute(confirmed, [{"key": key, "named": oldest[org_id].org_name} for org_id, key in keys.items()])
    until = {one.org_id: one.window.end for one in sorted(slices, key=lambda one: one.window.end)}
    for org_id, one in oldest.items():
        if org_id not in keys:
            since = micros(one.window.start if wanted else until[org_id])
            values = {"org_id": org_id, "org_name": one.org_name, "name": one.org, "wanted_from": since}
            key = tx.execute(insert(org).values(values).returning(org.c.id)).scalar_one()
            first = {"org": key, "since": BEGINNING, "zone": one.zone, "granularity": one.granularity.value}
            tx.execute(insert(calendar).values(first))
            keys[org_id] = key
    return keys


def _key(key: int, one: DeliveredSlice) -> dict[str, Any]:
    return {"of": key, "for": POPULATION[one.population], "at": micros(one.window.start)}


def _with(known: Emission | None, one: DeliveredSlice) -> Emission:
    return newest_of(known, one.emission) if known else one.emission


def _emission(row: Any) -> Emission | None:
    return None if row is None or row.emission is None else emission_of(row.emission)


def _sealed(row: Any) -> Emission | None:
    """Return what the ledger knows that sealed files have of a slice."""
    text = row.emission if row.file is None else row.prior
    return None if text is None else emission_of(text)


def _prior(row: Any, one: DeliveredSlice) -> str | None:
    """Return what sealed files have of a slice whose newest revisions are in an unsealed file: it may be lost."""
    if row.file is None:
        return None
    return emission_text(newest_of(emission_of(row.prior), one.emission) if row.prior else one.emission)


def _first(key: int, one: DeliveredSlice) -> dict[str, Any]:
    """Return the row of a slice of which nothing was known: as one that was not requested yet."""
    return {
        "org": key,
        "population": POPULATION[one.population],
        "start": micros(one.window.start),
        "end": micros(one.window.end),
        "state": STATE[SliceState.NOT_ASKED],
        "code": "restored",
        "asked_at": micros(one.emission.emitted_at),
        "complete_at": None,
        "emission": emission_text(one.emission),
    }
