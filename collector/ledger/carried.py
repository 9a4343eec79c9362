"""What a ledger knows, as a value that travels in a Singer STATE; and a new ledger that is made of it.

Where nothing but the STATE outlasts a run, this is the ledger. It has everything by which a later `collect` plans,
emits and names. It stays small for years: what can be fetched again is carried in full, and of complete windows that no
`collect` considers any more, only that they are complete. It is one compressed text, with few fields around it. So
whoever passes a STATE on may merge two of them, or read large numbers as floats, and changes nothing of it. It has the
format of one version of the ledger; an older one is migrated as an old ledger is.

A value that says `ended: false` is from the middle of a run. That run may have emitted more, which nobody can read: it
counts like a run that a restored backup doesn't know (`core.emission`).
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, and_, column, func, insert, not_, or_, select, table
from sqlalchemy.exc import DBAPIError

from collector.core.coverage import CLOCK_TOLERANCE, Ages
from collector.ledger import adoption, versions
from collector.ledger.codec import STATE, DamagedError, instant_of, micros
from collector.ledger.schema import UNREAD, alias, calendar, metadata, org, refusal, slice_, wanted
from collector.ledger.sqlite import DatabaseFile, create_database, create_tables
from collector.ledger.statements import batches
from collector.model import SliceState

TAP = "usage-collector"
_ANOMALY_CHECKS = timedelta(days=35)  # four weeks of baseline before the oldest window, which may be a month
_LONGEST_WINDOW = timedelta(days=32)
_TABLES = {
    org: ("id", "org_id", "org_name", "name", "wanted_from", "config", "removed_at", "forgotten_at"),
    alias: ("name", "org", "fingerprint"),
    refusal: ("name", "reason", "message", "fingerprint", "first_at", "last_at"),
    calendar: ("org", "since", "zone", "granularity", "rules"),
    wanted: ("org", "start", "end"),
}  # in the order of their references; `file` and `prior` of slices are of outputs with files
_UNFIT = ("SQLITE_ERROR", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH")  # anything else is of the disk
_SLICE = tuple(one.name for one in slice_.c if one.name not in {"file", "prior"})
_KEY = (slice_.c.org, slice_.c.population, slice_.c.start)


class CarriedError(ValueError):
    """A value that no ledger can be made of. The message says why."""


@dataclass(frozen=True, slots=True)
class _Content:
    tables: Mapping[str, Mapping[str, Any]]
    spans: Sequence[Any]
    unread: Sequence[int]


def carry(tx: Connection, ages: Ages, *, now: datetime, ended: bool) -> dict[str, Any]:
    """Return what a ledger knows. Unless `ended`, what is emitted after this is unread for whoever begins with it."""
    old = _is_old(ages, now)
    # An org that is gone from the config was reported by the run that found it: nobody can say `forget` here.
    values = {"forgotten_at": func.coalesce(org.c.forgotten_at, org.c.removed_at).label("forgotten_at")}
    tables = {
        str(one.name): _rows(tx, select(*(values.get(name, one.c[name]) for name in names)))
        for one, names in _TABLES.items()
    }
    slices = _rows(tx, select(*(slice_.c[name] for name in _SLICE)).where(not_(old)).order_by(*_KEY))
    spans, compact = _spans(tx.execute(select(*_KEY, slice_.c.end).where(old).order_by(*_KEY)))
    relevant = now - ages.horizon - _LONGEST_WINDOW
    content = {
        "tables": {**tables, str(slice_.name): slices},
        "spans": spans,
        "unread": [micros(end) for end in adoption.unread(tx) if end > relevant],
    }
    return {
        "tap": TAP,
        "format": versions.version_of(tx),
        "at": now.isoformat(),
        "ended": ended,
        "slices": len(slices["rows"]) + compact,
        "data": base64.b64encode(zlib.compress(orjson.dumps(content))).decode(),
    }


def restore(carried: Mapping[str, Any], path: Path, *, now: datetime) -> None:
    """Create the ledger of a carried value, in SQLite. Raises CarriedError, and LedgerError if it can't be written."""
    content, version, at, ended = _read(carried)

    def build(tx: Connection) -> None:
        if version == versions.KNOWN[-1]:
            create_tables(tx)
        else:
            versions.migrate(tx, to=version)
        for one in (*_TABLES, slice_):
            _insert(tx, one.name, content.tables[one.name])
        _insert_spans(tx, content.spans, complete_at=micros(now))
        ends = [*content.unread, *([] if ended else [micros(max(now, at))])]
        unread = [[f"{UNREAD}-{number}", UNREAD, end, end] for number, end in enumerate(ends)]
        _insert(tx, "run", {"columns": ["run_id", "command", "started_at", "ended_at"], "rows": unread})
        if version != versions.KNOWN[-1]:
            versions.migrate(tx)

    try:
        create_database(DatabaseFile.of(f"sqlite:///{path}"), build)
    except CarriedError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CarriedError("it doesn't have the shape that this collector writes") from error


def _is_old(ages: Ages, now: datetime) -> Any:
    """Return the condition for slices that are complete and that no `collect` considers any more, however late."""
    last_recheck = max(ages.recheck, default=timedelta(0))
    complete_at = func.coalesce(slice_.c.complete_at, micros(now) * 2)
    return and_(
        slice_.c.state == STATE[SliceState.COMPLETE],
        slice_.c.end <= micros(now - last_recheck - _ANOMALY_CHECKS),
        complete_at <= micros(now + CLOCK_TOLERANCE),
        or_(
            complete_at >= slice_.c.end + last_recheck // timedelta(microseconds=1),
            slice_.c.end <= micros(now - ages.horizon),
        ),
    )


def _rows(tx: Connection, query: Any) -> dict[str, Any]:
    result = tx.execute(query)
    return {"columns": list(map(str, result.keys())), "rows": [list(row) for row in result]}


def _spans(rows: Any) -> tuple[list[list[Any]], int]:
    """Return adjoining windows as `[org, population, first start, [[length, how many], …]]`, and how many there are."""
    spans: list[list[Any]] = []
    key, until, total = None, None, 0
    for org_, population, start, end in rows:
        total += 1
        if key != (org_, population) or until != start:
            spans.append([org_, population, start, []])
        lengths = spans[-1][3]
        if lengths and lengths[-1][0] == end - start:
            lengths[-1][1] += 1
        else:
            lengths.append([end - start, 1])
        key, until = (org_, population), end
    return spans, total


def _read(carried: Mapping[str, Any]) -> tuple[_Content, str, datetime, bool]:
    if carried.get("tap") != TAP:
        raise CarriedError("it is from another tap")
    version = carried.get("format")
    if isinstance(version, str) and version.isdigit() and version > versions.KNOWN[-1]:
        raise CarriedError(
            f"it has format {version}, and this collector supports formats up to {versions.KNOWN[-1]}: upgrade it"
        )
    try:
        content = orjson.loads(zlib.decompress(base64.b64decode(carried["data"], validate=True)))
        if version not in versions.KNOWN or not isinstance(carried["ended"], bool):
            raise ValueError("no collector wrote it")
        return (
            _Content(tables=content["tables"], spans=content["spans"], unread=content["unread"]),
            version,
            datetime.fromisoformat(carried["at"]),
            carried["ended"],
        )
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise CarriedError("it is damaged") from error


def _insert(tx: Connection, name: str, rows: Mapping[str, Any]) -> None:
    """Insert rows into a table as it is in the version that the ledger has now."""
    if name not in metadata.tables:
        raise CarriedError(f"a ledger has no table {name}")
    columns = list(rows["columns"])
    statement = insert(table(name, *map(column, columns)))
    try:
        for batch in batches(rows["rows"]):
            tx.execute(statement, [dict(zip(columns, row, strict=True)) for row in batch])
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorname", "SQLITE_ERROR").startswith(_UNFIT):
            raise CarriedError(f"its rows don't fit into the table {name}") from error
        raise


def _insert_spans(tx: Connection, spans: Sequence[Any], *, complete_at: int) -> None:
    """Insert complete windows of which nothing else is known: no `collect` fetches them again, whatever its config."""
    columns = ["org", "population", "start", "end", "state", "asked_at", "complete_at"]
    rows = (
        [org_, population, start, end, STATE[SliceState.COMPLETE], complete_at, complete_at]
        for org_, population, first, lengths in spans
        for start, end in _windows(first, lengths)
    )
    try:
        for batch in batches(rows):
            _insert(tx, slice_.name, {"columns": columns, "rows": batch})
    except DamagedError as error:
        raise CarriedError(f"its windows are none: {error}") from error


def _windows(first: int, lengths: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    instant_of(first)
    instant_of(first + sum(length * count for length, count in lengths))
    for length, count in lengths:
        for _ in range(count):
            yield first, first + length
            first += length
