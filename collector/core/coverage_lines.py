"""The state of windows, a line for each: what a run leaves beside its records, and `collector status --json --all`.

A window that is not complete has no record, or not all of them, and a sum would read it as zero. So it has a line here.
Pure, and lazy: the windows of one org after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import orjson
from pydantic import TypeAdapter

from collector.core.anomalies import Anomalies
from collector.core.coverage import Known
from collector.core.org_coverage import COUNTED, CoverageState
from collector.core.visible import visible
from collector.model import Granularity, Org, Population, SliceState, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceAccount:
    """What the ledger holds of a slice, without its numbers."""

    population: Population
    start: datetime
    known: Known
    code: str | None  # why it isn't complete
    asked_at: datetime
    file: int | None  # the unsealed file that its latest records are in
    anomalies: Anomalies = field(default_factory=dict)
    unverified: bool = False  # complete, but its zeros may be deleted data


Accounts = Mapping[tuple[Population, datetime], SliceAccount]  # by population and start


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfetched:
    """What is said of windows that the ledger has no state of."""

    state: CoverageState = CoverageState.MISSING
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageLine:
    """One population of one org in one window."""

    org: str
    org_id: str | None
    labels: Mapping[str, str]
    population: Population
    granularity: Granularity
    timezone: str
    window_date: date
    window_start: datetime
    window_end: datetime
    state: CoverageState
    reason: str | None
    anomalies: Sequence[str]
    fetched_at: datetime | None
    run_id: str | None


_DESCRIPTIONS = {
    "org": "The org's name in the config",
    "org_id": "The organization's id, as in the records; null if no answer has come yet",
    "labels": "The org's labels in the config",
    "population": "Whose usage: humans or service accounts",
    "granularity": "The length of the window",
    "timezone": "The zone of the org's calendar: an IANA name or a fixed offset",
    "window_date": "The local date on which the window begins",
    "window_start": "The first instant of the window, with the zone's offset",
    "window_end": "The first instant after the window, with the zone's offset",
    "state": "Only the numbers of a complete window are whole. unverified: zero throughout, and so old that the API "
    "may have deleted the data; in_doubt: fetched, but its records may be lost; missing: never fetched; not_due: never "
    "fetched, and it ended so recently that no run fetches it yet",
    "reason": "Why it isn't complete, as a code; null if it is, or if nothing more is known",
    "anomalies": "What looks wrong about the answer; new kinds may come",
    "fetched_at": "When it was requested last, in UTC; null: never",
    "run_id": "The run that says so; null: `collector status`",
}


def lines_of(
    org: Org,
    org_id: str | None,
    windows: Iterable[Window],
    accounts: Accounts,
    *,
    in_doubt: Collection[int] = (),
    unfetched: Unfetched = Unfetched(),
    due: datetime | None = None,
    run_id: str | None = None,
    includes: Callable[[Window, SliceAccount | None], bool] = lambda _window, _account: True,
) -> Iterator[CoverageLine]:
    """Yield a line for each population of each window that `includes` chooses, oldest first.

    `in_doubt` are the unsealed files of dead processes. Windows that end after `due` are not due.
    """
    for window in windows:
        start = window.start.astimezone(org.zone.tz)
        for population in org.populations:
            account = accounts.get((population, window.start))
            if not includes(window, account):
                continue
            state, reason = state_of(account, in_doubt, unfetched, is_due=due is None or window.end <= due)
            yield CoverageLine(
                org=org.name,
                org_id=org_id,
                labels=org.labels,
                population=population,
                granularity=org.granularity,
                timezone=org.zone.name,
                window_date=start.date(),
                window_start=start,
                window_end=window.end.astimezone(org.zone.tz),
                state=state,
                reason=reason,
                anomalies=[anomaly.value for anomaly in account.anomalies] if account else [],
                fetched_at=account.asked_at if account else None,
                run_id=run_id,
            )


def to_json_lines(lines: Iterable[CoverageLine]) -> bytes:
    """Return lines as JSON Lines in UTF-8."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATACLASS
    return visible(b"".join(orjson.dumps(_as_json(line), option=options) for line in lines))


def coverage_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one line."""
    schema = TypeAdapter(CoverageLine).json_schema()
    for name, part in schema["properties"].items():
        part.pop("title", None)
        part["description"] = _DESCRIPTIONS[name]
    schema["$defs"]["CoverageState"]["enum"] = [state.value for state in (*COUNTED, CoverageState.NOT_DUE)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Coverage of one window",
        "description": "What is known of one population of one org in one window.",
        "additionalProperties": False,
    }


def state_of(
    account: SliceAccount | None, in_doubt: Collection[int], unfetched: Unfetched, *, is_due: bool = True
) -> tuple[CoverageState, str | None]:
    """Return the state of a slice, and why it isn't complete, if that is known."""
    if account is None or account.known.state is SliceState.NOT_ASKED:
        if not is_due:
            return CoverageState.NOT_DUE, None
        return unfetched.state, unfetched.reason
    if account.file in in_doubt:
        return CoverageState.IN_DOUBT, None
    if account.unverified and account.known.state is SliceState.COMPLETE:
        return CoverageState.UNVERIFIED, None
    partly = "partial" if account.known.state is SliceState.PARTIAL else None
    return CoverageState(account.known.state.value), account.code or partly


def _as_json(line: CoverageLine) -> dict[str, Any]:
    values = {name: getattr(line, name) for name in CoverageLine.__dataclass_fields__}
    values["labels"] = dict(line.labels)
    values["window_start"] = line.window_start.isoformat()
    values["window_end"] = line.window_end.isoformat()
    if line.fetched_at is not None:
        values["fetched_at"] = line.fetched_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return values
