"""The end of a run: its result, and the manifest that is sealed last beside the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from collector import __version__
from collector.core.anomalies import MEANING
from collector.core.delivered import Adopted
from collector.core.exit_codes import ExitCode
from collector.core.extent import Extent
from collector.core.ledger_entries import RECONCILE, RELABEL
from collector.core.summary import OrgSummary, RunSummary
from collector.core.visible import visible
from collector.errors import CollectorError, ReaderGoneError
from collector.model import SliceState, Window
from collector.ports import RecoveredFile, SealedFile
from collector.run.compared import compared, populations_as_json, totals_as_json, windows_as_json
from collector.run.coverage_file import Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run came to."""

    run_id: str
    command: str
    started_at: datetime
    ended_at: datetime
    summary: RunSummary
    files: tuple[SealedFile, ...]
    exit_code: ExitCode
    output_error: CollectorError | None = None
    recovered: tuple[RecoveredFile, ...] = ()  # sealed files of earlier runs that no manifest names yet
    adopted: Adopted | None = None  # what the ledger learned from its output directory
    ranges: Mapping[Window, Sequence[str]] = field(default_factory=dict)  # that the command was given: orgs by range
    coverage: Coverage | None = None  # the file that says what each window is

    @property
    def had_nothing_due(self) -> bool:
        """Whether no window needed fetching."""
        return self.exit_code is ExitCode.OK and not self.summary.planned

    @property
    def why_idle(self) -> str:
        """Why nothing was due, in words."""
        return _WHY_IDLE.get(self.command, _NOTHING_DUE)

    @property
    def meaning(self) -> str:
        """What the exit code means, in words."""
        return (
            _DIFFERS if self.command == RECONCILE and self.exit_code is ExitCode.INCOMPLETE else self.exit_code.meaning
        )


_LOGGED = 200  # causes
_READER_GONE = (
    "stdout's reader went away before all records were written. That is the reason for all that is not complete, so "
    "`not_complete` leaves it out. The next run fetches it again"
)
_NOTHING_DUE = "nothing was due: no window needs fetching now"
_WHY_IDLE = {
    RELABEL: "nothing was restated: all records of the range have the present names and labels",
    RECONCILE: "nothing was compared: the range has no complete window",
}
_DIFFERS = "the API's totals differ from what was collected, or not all could be compared: run again to see what stays"


def in_words(result: RunResult) -> dict[str, Any]:
    """Return what a log line says of a run's end.

    If stdout's reader went away, the causes are left out: it is the same one for all that was not written. The message
    says so.
    """
    summary = result.summary
    reader_gone = isinstance(result.output_error, ReaderGoneError)
    logged = 0 if reader_gone else _LOGGED
    message = result.why_idle if result.had_nothing_due else _READER_GONE if reader_gone else None
    incomplete: list[dict[str, Any]] = [
        {"org": org.org.name, "population": population.value, "state": cause.state.value, "slices": cause.slices}
        | {"reason": cause.code, "message": cause.message}
        | {"windows": local_spans(cause, org) or None}
        for org in summary.worst_first
        for population, cause in org.causes
    ]
    return {
        "run_id": result.run_id,
        "exit_code": int(result.exit_code),
        "planned": summary.planned,
        **{state.value: summary.count(state) for state in SliceState},
        "inferred": summary.inferred,
        "in_doubt": summary.in_doubt,
        "records": summary.records,
        "restated": summary.restated,
        "requests": summary.requests,
        "suspicious": {flag.value: slices for flag, slices in summary.flags.items()},
        "files": len(result.files),
        "adopted": result.adopted.as_json if result.adopted else None,
        "seconds": round((result.ended_at - result.started_at).total_seconds(), 3),
        **({"message": message} if message else {}),
        **({"differences": totals_as_json(summary, only_differing=True)[:_LOGGED]} if compared(summary) else {}),
        "not_complete": incomplete[:logged],
        "not_complete_left_out": max(0, len(incomplete) - logged),
    }


def local_spans(cause: Extent, org: OrgSummary) -> str:
    """Return the spans of a cause as local dates and times: `2026-06-01 to 2026-06-03`."""
    zone = org.org.zone.tz
    texts = []
    for span in cause.spans:
        start, last = span.start.astimezone(zone), (span.end - timedelta(seconds=1)).astimezone(zone)
        if org.org.granularity == "hour":
            texts.append(f"{start:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}")
        elif start.date() == last.date():
            texts.append(f"{start:%Y-%m-%d}")
        else:
            texts.append(f"{start:%Y-%m-%d} to {last:%Y-%m-%d}")
    return ", ".join(texts) + (", and more" if cause.more_spans else "")


def manifest(result: RunResult) -> bytes:
    """Return the run's manifest as JSON: planned = complete + partial + failed + refused + not asked."""
    summary = result.summary
    content = {
        "run_id": result.run_id,
        "command": result.command,
        "version": __version__,
        "started_at": _utc(result.started_at),
        "ended_at": _utc(result.ended_at),
        "exit_code": int(result.exit_code),
        "slices": {"planned": summary.planned} | {state.value: summary.count(state) for state in SliceState},
        "inferred": summary.inferred,
        "in_doubt": summary.in_doubt,
        "records": summary.records,
        "restated": summary.restated,
        "requests": summary.requests,
        "suspicious": {flag.value: slices for flag, slices in summary.flags.items()},
        "files": [asdict(file) for file in result.files],
        "coverage": result.coverage.as_json if result.coverage else None,
        "recovered": [asdict(file) for file in result.recovered],
        "adopted": result.adopted.as_json if result.adopted else None,
        "ranges": [
            {"start": _utc(span.start), "end": _utc(span.end), "orgs": list(orgs)}
            for span, orgs in result.ranges.items()
        ],
        "compared": {
            "populations": populations_as_json(summary),
            "differences": totals_as_json(summary, only_differing=True),
        }
        if result.command == RECONCILE
        else None,
        "not_complete": [entry for org in summary.worst_first for entry in _entries(org)],
        "anomalies": [entry for org in summary.orgs.values() for entry in _anomalies(org)],
    }
    return visible(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _entries(org: OrgSummary) -> list[dict[str, Any]]:
    return [
        {
            "org": org.org.name,
            "population": population.value,
            "state": cause.state.value,
            "slices": cause.slices,
            "reason": cause.code,
            "message": cause.message,
            **windows_as_json(cause, org),
        }
        for population, cause in org.causes
    ]


def _anomalies(org: OrgSummary) -> list[dict[str, Any]]:
    return [
        {
            "org": org.org.name,
            "org_id": org.org_id,
            "population": name.value,
            "anomaly": anomaly.value,
            "message": MEANING[anomaly],
            "slices": extent.slices,
            "products": list(extent.products),
            **windows_as_json(extent, org),
        }
        for name, population in org.populations.items()
        for anomaly, extent in population.tally.anomalies.items()
    ]


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
