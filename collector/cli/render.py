"""The summary of a run: a table and reasons on a terminal, a log line elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.text import count, duration, printable, some
from collector.app.command import has_ledger
from collector.cli.colours import COLOURS
from collector.cli.consoles import stderr_console
from collector.cli.context import Context
from collector.cli.retries import Retries
from collector.cli.tables import add_name, new_table
from collector.core.anomalies import MEANING
from collector.core.delivered import Adopted
from collector.core.exit_codes import ExitCode
from collector.core.summary import Cause, OrgSummary, RunSummary
from collector.errors import CollectorError, ReaderGoneError
from collector.model import Population, SliceState
from collector.run.manifest import RunResult, in_words, local_spans

log = structlog.get_logger("collector")

_WIDE = 110  # columns
_ROWS = 20
_LONGEST = 1000  # of a message
_ROWS_INCOMPLETE = 40


def show_result(result: RunResult, context: Context, *, closing: bool = True, retries: Retries | None = None) -> None:
    """Print or log the summary of a run, and unless `closing` is false its exit code."""
    if context.log_format == "json":
        _log_result(result)
    elif context.quiet:
        pass
    elif isinstance(result.output_error, ReaderGoneError):
        stderr_console().print(_cut_short(result, "stdout's reader went away"), highlight=False, soft_wrap=True)
    elif result.exit_code is ExitCode.INTERRUPTED:
        stderr_console().print(_cut_short(result, result.exit_code.meaning), highlight=False, soft_wrap=True)
    else:
        console = stderr_console()
        _print_whole(console, result, retries or Retries())
        if closing:
            console.print(_closing(result), highlight=False)
    if result.output_error is not None:
        next_ = _after(result.output_error, remembers=has_ledger(context.config), carried=context.carried)
        log.error("output.failed", message=str(result.output_error), next=next_)


def _print_whole(console: Console, result: RunResult, retries: Retries) -> None:
    """Print what every org came to, what was retried, and why slices are not complete."""
    if not result.had_nothing_due:
        console.print(_table(console, result))
    for line in (*retries.lines(), *_reasons(result.summary), *_anomalies(result.summary)):
        console.print(line)


def _after(error: CollectorError, *, remembers: bool, carried: bool) -> str:
    """Return what to do after the output failed."""
    if not isinstance(error, ReaderGoneError):
        return "fix what the message names, then run again"
    if carried:
        return "nothing is lost: the next run begins with the last STATE that the target handed back"
    if not remembers:
        return "nothing is lost: without a ledger, the next run fetches and writes all of its range again"
    return (
        "records that were written and not read may be complete in the ledger: they don't come again. To look at some "
        "records, use --state none; to keep them, -o DIR"
    )


def _log_result(result: RunResult) -> None:
    level = log.info if result.exit_code == ExitCode.OK else log.warning
    level("run.finished", **in_words(result))


def _table(console: Console, result: RunResult) -> Table:
    """Return one row per org, the worst first. A state without slices has no column."""
    summary = result.summary
    states = [state for state in SliceState if state is SliceState.COMPLETE or summary.count(state)]
    table = new_table(console, f"{result.command} {result.run_id}")
    add_name(table, "org")
    if wide := console.width >= _WIDE:
        add_name(table, "organization")
    doubtful = ["in doubt"] * bool(summary.in_doubt)
    for name in ("planned", *(state.value.replace("_", " ") for state in states), *doubtful, "records"):
        table.add_column(name, justify="right", no_wrap=True)
    orgs = summary.worst_first
    incomplete = sum(bool(org.causes) for org in orgs)
    shown = min(incomplete, _ROWS_INCOMPLETE) if len(orgs) > _ROWS else len(orgs)
    for org in orgs[:shown]:
        table.add_row(*_row(org, states, wide=wide, doubtful=bool(doubtful)))
    if shown < len(orgs):
        table.add_row(Text(_left_out(incomplete - shown, len(orgs) - incomplete), style="dim"))
    table.add_section()
    counts = [f"{summary.count(state)}" for state in states] + [f"{summary.in_doubt}" for _ in doubtful]
    total = [Text("all", style="bold")] + [Text()] * wide
    table.add_row(*total, f"{summary.planned}", *counts, f"{summary.records}")
    return table


def _left_out(incomplete: int, complete: int) -> str:
    texts = [count(incomplete, "more incomplete org")] * bool(incomplete)
    return " and ".join(texts + [count(complete, "complete org")] * bool(complete))


def _row(org: OrgSummary, states: list[SliceState], *, wide: bool, doubtful: bool) -> list[Text]:
    known = f"{printable(org.org_name or '')} ({printable(org.org_id)})" if org.org_id else ""
    counts = [Text(str(org.count(state) or ""), style=COLOURS[state]) for state in states]
    counts += [Text(str(org.in_doubt or ""), style=COLOURS["in_doubt"])] * doubtful
    names = [Text(printable(org.org.name))] + [Text(known)] * wide
    return [*names, Text(str(org.planned)), *counts, Text(str(org.records))]


def _reasons(summary: RunSummary) -> Iterator[Text]:
    """Yield why slices are not complete: orgs, reason, and where it is one org, its populations and windows."""
    by_message: dict[str, dict[str, list[str]]] = {}
    for org in summary.worst_first:
        for population, cause in org.causes:
            of_org = by_message.setdefault(cause.message, {}).setdefault(printable(org.org.name), [])
            of_org.append(_place(population, cause, org))
    for message, orgs in [*by_message.items()][:_ROWS_INCOMPLETE]:
        names = [*orgs]
        places = list(filter(None, dict.fromkeys(orgs[names[0]]))) if len(names) == 1 else []
        where = f" [{'; '.join(places)}]" if places else ""
        who = names[0] if len(names) == 1 else f"{len(names)} orgs ({some(names)})"
        yield Text.assemble((who, "bold"), ": ", printable(message, _LONGEST), (where, "dim"))


def _anomalies(summary: RunSummary) -> Iterator[Text]:
    """Yield each kind of anomaly: how many slices have it, its meaning, and its orgs."""
    for anomaly, slices in summary.flags.most_common():
        names = [printable(org.org.name) for org in summary.orgs.values() if org.flags[anomaly]]
        yield Text.assemble((f"{slices} suspicious: ", "yellow"), MEANING[anomaly], (f" [{some(names)}]", "dim"))


def _place(population: Population, cause: Cause, org: OrgSummary) -> str:
    """Return the slices of a cause as text; a refusal is about the whole org, so it names none."""
    if cause.state is SliceState.REFUSED or not cause.spans:
        return ""
    return f"{population.value} {local_spans(cause, org)}"


def _cut_short(result: RunResult, why: str) -> str:
    """Return the one line for a run that a person ended: why the rest is missing is the same everywhere."""
    summary = result.summary
    return (
        f"exit {int(result.exit_code)}: {why}: {summary.count(SliceState.COMPLETE)} of "
        f"{count(summary.planned, 'slice')} complete, {count(summary.records, 'record')} ({_effort(result)})"
    )


def _effort(result: RunResult) -> str:
    seconds = (result.ended_at - result.started_at).total_seconds()
    return f"{count(result.summary.requests, 'request')} in {duration(seconds)}"


def _closing(result: RunResult) -> str:
    meaning = result.why_idle if result.had_nothing_due else result.meaning
    lines = [f"exit {int(result.exit_code)}: {meaning} ({_effort(result)})"]
    if inferred := result.summary.inferred:
        lines.append(f"{count(inferred, 'slice')} inferred to be empty, by requests for longer spans")
    if adopted := result.adopted:
        lines.append(_behind(adopted))
    if result.recovered:
        lines.append(
            f"{count(len(result.recovered), 'sealed file')} of earlier runs, which no manifest named until now"
        )
    if result.files:
        lines.append(f"{count(len(result.files), 'sealed file')} and run-{result.run_id}.json")
    return "\n".join(lines)


def _behind(adopted: Adopted) -> str:
    """Return what a ledger that was restored from a backup has learned from its output directory."""
    if adopted.only_seals:
        return "the ledger didn't know that a file in its output directory is sealed; it knew all records in it"
    unread = f"; files of {count(len(adopted.unread), 'run')} are gone (docs/runbook.md)" if adopted.unread else ""
    return (
        f"the ledger was behind its output directory: {count(adopted.runs, 'unknown run')}, "
        f"{count(adopted.slices, 'slice')} of {count(adopted.files, 'sealed file')} taken over{unread}. "
        "Windows that it didn't know are wanted again (`collector status`)"
    )
