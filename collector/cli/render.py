"""What a run came to, for people: a table on a terminal, a log line elsewhere."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.cli.options import Context
from collector.core.summary import Cause, OrgSummary
from collector.exitcodes import ExitCode
from collector.model import SliceState
from collector.result import RunResult

log = structlog.get_logger("collector")

_ROWS = 20
_ROWS_LACKING = 40
_LOGGED = 200
_STATES = (SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED, SliceState.REFUSED, SliceState.NOT_ASKED)
_ADVICE = {
    ExitCode.OK: "every planned slice is complete",
    ExitCode.INCOMPLETE: "some slices are not complete: run it again, what can be repaired will be",
    ExitCode.REFUSED: "an org was refused: a person has to act on what stands beside its name",
    ExitCode.OUTPUT: "the output failed: make room or give another --output, and run it again",
    ExitCode.INTERRUPTED: "stopped by SIGINT: run it again to go on",
    ExitCode.TERMINATED: "stopped by SIGTERM: run it again to go on",
}


def stderr_console() -> Console:
    """Return where people look; wide enough for a table where it is no terminal."""
    return Console(stderr=True, soft_wrap=False, width=None if sys.stderr.isatty() else 140)


def show_result(result: RunResult, context: Context) -> None:
    """Say what the run came to, and what to do next."""
    if context.log_format == "json":
        _log_result(result)
    elif not context.quiet:
        console = stderr_console()
        console.print(_table(result))
        console.print(_closing(result), highlight=False)
    if result.output_error is not None:
        log.error("output.failed", message=str(result.output_error))


def _log_result(result: RunResult) -> None:
    summary = result.summary
    lacking = [
        {"org": org.org.name, "population": population.value, "state": cause.state.value, "slices": cause.slices}
        | {"reason": cause.code, "message": cause.message, "windows": _windows(cause, org)}
        for org in summary.worst_first
        for population, cause in org.causes
    ]
    level = log.info if result.exit_code == ExitCode.OK else log.warning
    level(
        "run.finished",
        run_id=result.run_id,
        exit_code=int(result.exit_code),
        planned=summary.planned,
        **{state.value: summary.count(state) for state in _STATES},
        records=summary.records,
        requests=summary.requests,
        files=len(result.files),
        seconds=round((result.ended_at - result.started_at).total_seconds(), 3),
        not_complete=lacking[:_LOGGED],
        not_complete_left_out=max(0, len(lacking) - _LOGGED),
    )


def _table(result: RunResult) -> Table:
    summary = result.summary
    table = Table(title=f"{result.command} {result.run_id}", title_justify="left", header_style="bold")
    table.add_column("org", overflow="fold", max_width=36)
    table.add_column("organization", overflow="fold", max_width=32)
    for name in ("planned", "complete", "partial", "failed", "refused", "not asked", "records", "requests"):
        table.add_column(name, justify="right")
    table.add_column("why", overflow="fold", ratio=1)
    orgs = summary.worst_first
    lacking = sum(bool(org.causes) for org in orgs)
    shown = min(lacking, _ROWS_LACKING) if len(orgs) > _ROWS else len(orgs)
    for org in orgs[:shown]:
        table.add_row(*_row(org))
    if shown < len(orgs):
        more, complete = lacking - shown, len(orgs) - lacking
        texts = [f"{more} more that lack something"] * bool(more) + [f"{complete} orgs, all complete"] * bool(complete)
        table.add_row(Text(" and ".join(texts), style="dim"))
    table.add_section()
    counts: list[Any] = [str(summary.count(state) or "") for state in _STATES]
    table.add_row(
        Text("all", style="bold"), "", str(summary.planned), *counts, str(summary.records), str(summary.requests)
    )
    return table


def _row(org: OrgSummary) -> list[Text]:
    styles = {SliceState.COMPLETE: "green", SliceState.PARTIAL: "yellow"}
    states = [Text(str(org.count(s) or ""), style=styles.get(s, "red")) for s in _STATES]
    why = "; ".join(f"{message}{windows}" for message, windows in _reasons(org))
    known = f"{org.org_name} ({org.org_id})" if org.org_id else ""
    return [
        Text(org.org.name),
        Text(known),
        Text(str(org.planned)),
        *states,
        Text(str(org.records)),
        Text(str(org.requests)),
        Text(why),
    ]


def _reasons(org: OrgSummary) -> list[tuple[str, str]]:
    """Return each reason once, with the windows it is about; a refusal is about the whole org."""
    reasons: dict[str, list[str]] = {}
    for _, cause in org.causes:
        windows = reasons.setdefault(cause.message, [])
        if cause.spans and cause.state is not SliceState.REFUSED:
            windows.append(_windows(cause, org))
    return [(message, f" ({'; '.join(dict.fromkeys(w))})" if w else "") for message, w in reasons.items()]


def _windows(cause: Cause, org: OrgSummary) -> str:
    """Return the spans of a cause as local dates and times: `2026-06-01 to 2026-06-03`."""
    if not cause.spans:
        return ""
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


def _closing(result: RunResult) -> str:
    seconds = (result.ended_at - result.started_at).total_seconds()
    lines = [f"exit {int(result.exit_code)}: {_ADVICE[result.exit_code]} ({seconds:.1f} s)"]
    if result.files:
        lines.append(f"{len(result.files)} sealed file(s) and run-{result.run_id}.json")
    return "\n".join(lines)
