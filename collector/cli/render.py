"""The summary of a run: a table and reasons on a terminal, a log line elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from rich.table import Table
from rich.text import Text

from collector.adapters.text import duration, printable
from collector.cli.options import Context
from collector.cli.streams import stderr_console
from collector.core.anomalies import MEANING
from collector.core.exit_codes import ExitCode
from collector.core.summary import Cause, OrgSummary, RunSummary
from collector.model import Population, SliceState
from collector.run.manifest import RunResult, in_words, local_spans

log = structlog.get_logger("collector")

_WIDE = 110  # columns
_ROWS = 20
_ROWS_INCOMPLETE = 40
_STATES = {
    SliceState.COMPLETE: "green",
    SliceState.PARTIAL: "yellow",
    SliceState.FAILED: "red",
    SliceState.REFUSED: "red",
    SliceState.NOT_ASKED: "red",
}


def show_result(result: RunResult, context: Context) -> None:
    """Print or log the summary of a run, and what to do next."""
    if context.log_format == "json":
        _log_result(result)
    elif not context.quiet:
        console = stderr_console()
        console.print(_table(result, wide=console.width >= _WIDE))
        for reason in _reasons(result.summary):
            console.print(reason, soft_wrap=True)
        for anomaly in _anomalies(result.summary):
            console.print(anomaly, soft_wrap=True)
        console.print(_closing(result), highlight=False, soft_wrap=True)
    if result.output_error is not None:
        log.error("output.failed", message=str(result.output_error), next="fix what the message names, then run again")


def _log_result(result: RunResult) -> None:
    level = log.info if result.exit_code == ExitCode.OK else log.warning
    level("run.finished", **in_words(result))


def _table(result: RunResult, *, wide: bool) -> Table:
    """Return one row per org, the worst first. A state without slices has no column."""
    summary = result.summary
    states = [state for state in _STATES if state is SliceState.COMPLETE or summary.count(state)]
    table = Table(title=f"{result.command} {result.run_id}", title_justify="left", header_style="bold")
    table.add_column("org", overflow="fold", max_width=30)
    if wide:
        table.add_column("organization", overflow="ellipsis", no_wrap=True, max_width=34)
    for name in ("planned", *(state.value.replace("_", " ") for state in states), "records"):
        table.add_column(name, justify="right", no_wrap=True)
    orgs = summary.worst_first
    incomplete = sum(bool(org.causes) for org in orgs)
    shown = min(incomplete, _ROWS_INCOMPLETE) if len(orgs) > _ROWS else len(orgs)
    for org in orgs[:shown]:
        table.add_row(*_row(org, states, wide=wide))
    if shown < len(orgs):
        table.add_row(Text(_left_out(incomplete - shown, len(orgs) - incomplete), style="dim"))
    table.add_section()
    counts = [f"{summary.count(state)}" for state in states]
    total = [Text("all", style="bold")] + [Text()] * wide
    table.add_row(*total, f"{summary.planned}", *counts, f"{summary.records}")
    return table


def _left_out(incomplete: int, complete: int) -> str:
    texts = [f"{incomplete} more incomplete orgs"] * bool(incomplete) + [f"{complete} complete orgs"] * bool(complete)
    return " and ".join(texts)


def _row(org: OrgSummary, states: list[SliceState], *, wide: bool) -> list[Text]:
    known = f"{printable(org.org_name or '')} ({printable(org.org_id)})" if org.org_id else ""
    counts = [Text(str(org.count(state) or ""), style=_STATES[state]) for state in states]
    names = [Text(printable(org.org.name))] + [Text(known)] * wide
    return [*names, Text(str(org.planned)), *counts, Text(str(org.records))]


def _reasons(summary: RunSummary) -> Iterator[Text]:
    """Yield why slices are not complete: org, reason, populations and windows."""
    for org in summary.worst_first[:_ROWS_INCOMPLETE]:
        by_message: dict[str, list[str]] = {}
        for population, cause in org.causes:
            by_message.setdefault(cause.message, []).append(_place(population, cause, org))
        for message, places in by_message.items():
            where = f" [{'; '.join(filter(None, dict.fromkeys(places)))}]" if any(places) else ""
            yield Text.assemble((printable(org.org.name), "bold"), ": ", printable(message, 400), (where, "dim"))


def _anomalies(summary: RunSummary) -> Iterator[Text]:
    """Yield each kind of anomaly: how many slices have it, its meaning, and its orgs."""
    for anomaly, slices in summary.flags.most_common():
        names = [printable(org.org.name) for org in summary.orgs.values() if org.flags[anomaly]]
        where = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield Text.assemble((f"{slices} suspicious: ", "yellow"), MEANING[anomaly], (f" [{where}]", "dim"))


def _place(population: Population, cause: Cause, org: OrgSummary) -> str:
    """Return the slices of a cause as text; a refusal is about the whole org, so it names none."""
    if cause.state is SliceState.REFUSED or not cause.spans:
        return ""
    return f"{population.value} {local_spans(cause, org)}"


def _closing(result: RunResult) -> str:
    seconds = (result.ended_at - result.started_at).total_seconds()
    requests = f"{result.summary.requests} requests in {duration(seconds)}"
    lines = [f"exit {int(result.exit_code)}: {result.exit_code.meaning} ({requests})"]
    if adopted := result.adopted:
        unread = f"; files of {len(adopted.unread)} runs are gone (docs/runbook.md)" if adopted.unread else ""
        lines.append(
            f"the ledger was behind its output directory: {adopted.runs} unknown run(s), {adopted.slices} slice(s) of "
            f"{adopted.files} sealed file(s) taken over{unread}"
        )
    if result.recovered:
        lines.append(f"{len(result.recovered)} sealed file(s) of earlier runs, which no manifest named until now")
    if result.files:
        lines.append(f"{len(result.files)} sealed file(s) and run-{result.run_id}.json")
    return "\n".join(lines)
