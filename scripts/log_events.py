"""What the log says, read from the program's code: each event, its levels and its fields.

A call such as `log.warning("file.lost", file=…)` is an event. `MEANINGS` has what it means; a test
fails if one is missing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CODE = Path(__file__).parents[1] / "collector"
LEVELS = ("debug", "info", "warning", "error")
NAME = re.compile(r"[a-z]+\.[a-z_]+")
# Names that are put together, or that a level is chosen for, when the program runs.
BUILT = {"slice.": ("slice.failed", "slice.partial", "slice.refused")}
CHOSEN_LEVEL = "level"
NAMES = ("org", "population", "window")

MEANINGS = {
    "answer.suspicious": "an answer has an anomaly; the records are emitted as they are",
    "api.down": "a host of the API is down: one request at a time probes it",
    "api.up": "the host answers again",
    "budgets.not_read": "how budgets stand could not be read; what was seen before stays",
    "budgets.product_not_counted": "a budget names a product that no window has, or that never has its number",
    "calendar.cut_over": "an org's zone or granularity changed: the new calendar begins where the old one ends",
    "changes.in_future": "an export of restatements begins in the future, for all orgs or for those west of others",
    "clock.set_back": "the machine's clock was set back: the next run is planned anew",
    "config.loaded": "`serve` loaded a changed config",
    "config.mended": "the config that was refused is correct again",
    "config.needs_restart": "a changed key takes effect only after a restart",
    "config.not_loaded": "a changed config could not be read; it is tried again",
    "config.refused": "a changed config has errors: the one before stays in force",
    "config.warning": "the config is accepted, but something in it looks wrong",
    "directory.recovered": "`collect --recover` has ended",
    "exception.uncaught": "a defect outside a run",
    "costs.incomplete": "an export as FOCUS has no rows for what is unknown",
    "costs.not_priced": "an export with costs has usage that no price fits",
    "costs.rounded": "the total of an export with costs, and what rounded rows lack of it",
    "export.written": "a file of an export was written",
    "file.awaited": "an unsealed file is in a directory that this machine doesn't see",
    "file.lost": "an unsealed file no longer exists: its slices are fetched again",
    "file.not_sealed": "a file of a dead process could not be sealed",
    "file.recovered": "a file of a dead process was sealed",
    "file.unsealed": "a directory has an unsealed file that this run leaves as it is",
    "lease.awaited": "other processes work on orgs of this run: it waits",
    "lease.wait_ended": "the wait is over: the orgs were released, or are given up",
    "ledger.backfill_needed": "wanted windows are too old for a `collect`: the commands that fetch them",
    "ledger.behind": "the ledger is older than its output directory, as after a restore: what it takes over",
    "ledger.created": "there is a new, empty ledger",
    "ledger.down": "`serve` can't open the ledger at its start; it tries again",
    "ledger.migrated": "the ledger's format was upgraded",
    "ledger.not_found": "a command that only reads found no ledger",
    "ledger.older": "the ledger has an older format, which `check` doesn't read",
    "ledger.up": "the ledger can be opened again",
    "library.warning": "a library warns",
    "log.dropped": "lines of the log were dropped, since nobody read stderr",
    "metrics.not_pushed": "the metrics could not be pushed or written",
    "metrics.not_summed": "an export of sums leaves out metrics that the API added later",
    "org.busy": "another process works on the org",
    "org.given_up": "the rest of the org's slices is given up in this run",
    "org.planned": "an org's slices are planned",
    "org.refused": "an org is refused: a person is needed",
    "org.stopped": "the run was stopped before the org was done",
    "orgs.gone": "an export has orgs that the config no longer has",
    "orgs.unconfirmed": "numbers taken over from files are left out: no answer has shown which org they are of",
    "object.differs": "an object has the name of one of ours, and another size: nothing is replaced",
    "orgs.removed": "the config no longer has orgs that earlier runs had",
    "output.failed": "the output, the ledger or the clock failed; the message says which",
    "output.retried": "an upload had no answer, and is tried again",
    "page.failed": "a request for a page met a defect",
    "page.token_refused": "a client of the page sent a wrong token or none",
    "process.warning": "something about this process looks wrong, such as a limit on open files",
    "products.unknown": "an export was given products of which there is no record",
    "range.changed": "an export's range was widened or cut, or selects nothing",
    "range.note": "what is to be known of the given range",
    "records.came_later": "an export of restatements has records of windows that had none at that time",
    "records.doubled": "two directories have the same records",
    "records.equal_again": "an export of restatements leaves out records that are again as they were",
    "records.without_difference": "an export of restatements has numbers that were unknown before, or are unknown now",
    "records.without_ledger": "runs without a ledger wrote to the directory: their revisions are taken over",
    "refusals.doubtful": "several orgs of a host were refused and none was answered: they aren't quarantined",
    "report.written": "the page of a report was written",
    "request.ended": "one request ended",
    "restatements.not_known": "the ledger doesn't know restatements before an instant",
    "run.crashed": "a defect ended the run",
    "run.failed": "the ledger or the output ended the run",
    "run.finished": "a run ended: its numbers",
    "run.interrupted": "an earlier run was killed",
    "run.started": "a run begins",
    "service.ended": "the service has ended",
    "service.listening": "the pages are served",
    "singer.gaps": "`collector-singer`: ranges are not complete, and too old for any later run to fetch them",
    "singer.incomplete": "`collector-singer`: some slices are partial or failed; later runs fetch them again",
    "singer.nothing_selected": "`collector-singer`: the catalog selects nothing, so nothing is fetched",
    "singer.state_ignored": "`collector-singer`: the config names a ledger, so the ledger in the STATE isn't used",
    "slice.complete": "a slice is complete",
    "slice.defect": "a defect while a slice was handled",
    "slice.failed": "a slice failed, after its retries",
    "slice.not_compared": "a reconcile could not compare a window",
    "slice.partial": "a slice is partial",
    "slice.refused": "a slice was refused",
    "slice.retry_scheduled": "a request failed, and is sent again after a delay",
    "slice.stopped": "the run was stopped before the slice was done",
    "status.crashed": "a defect while the status was read",
    "status.not_read": "the ledger could not be read for the page",
    "task.crashed": "a defect in a task of the service",
    "token.not_read": "the token file can't be read: the page is locked",
    "totals.not_additive": "totals of the API don't add up",
    "windows.not_priced": "a report with costs has usage that no price fits",
    "windows.not_wanted": "an export's range has windows that nobody wanted",
    "windows.unknown": "an export has windows of which not every number is known",
}


@dataclass
class LogEvent:
    """An event of the log."""

    levels: set[str] = field(default_factory=set)
    fields: dict[str, None] = field(default_factory=dict)


def events() -> dict[str, LogEvent]:
    """Return each event by name, sorted."""
    found: dict[str, LogEvent] = {}
    for path in sorted(CODE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                for name in _names(node.args[0]):
                    levels = set(_levels(node.func))
                    if levels:
                        event = found.setdefault(name, LogEvent())
                        event.levels |= levels
                        event.fields |= dict.fromkeys(_fields(node))
    return dict(sorted(found.items()))


def _names(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _names(node.body)
        yield from _names(node.orelse)
    elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        yield from BUILT.get(str(node.values[0].value), ())


def _levels(function: ast.expr) -> Iterator[str]:
    if isinstance(function, ast.IfExp):
        yield from _levels(function.body)
        yield from _levels(function.orelse)
    elif isinstance(function, ast.Name) and function.id == CHOSEN_LEVEL:
        yield from LEVELS[1:]
    elif isinstance(function, ast.Attribute) and function.attr in LEVELS:
        yield function.attr


def _fields(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg:
            yield keyword.arg
        elif "_names(" in ast.unparse(keyword.value):
            yield from NAMES
