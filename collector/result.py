"""The end of a run: its result, and the manifest that is sealed last beside the files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from collector import __version__
from collector.core.summary import Cause, OrgSummary, RunSummary
from collector.errors import CollectorError
from collector.exitcodes import ExitCode
from collector.model import SliceState, Window
from collector.ports import SealedFile


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
        "records": summary.records,
        "requests": summary.requests,
        "files": [asdict(file) for file in result.files],
        "not_complete": [entry for org in summary.worst_first for entry in _entries(org)],
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _entries(org: OrgSummary) -> list[dict[str, Any]]:
    return [
        {
            "org": org.org.name,
            "population": population.value,
            "state": cause.state.value,
            "slices": cause.slices,
            "reason": cause.code,
            "message": cause.message,
            "windows": _spans(cause, org),
            "more_windows": cause.more_spans,
        }
        for population, cause in org.causes
    ]


def _spans(cause: Cause, org: OrgSummary) -> list[dict[str, str]]:
    def local(window: Window) -> dict[str, str]:
        zone = org.org.zone.tz
        return {"start": window.start.astimezone(zone).isoformat(), "end": window.end.astimezone(zone).isoformat()}

    return [local(window) for window in cause.spans]


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
