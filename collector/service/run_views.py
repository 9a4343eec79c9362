"""Views of ended runs for operators. Never shows the text of an unexpected exception: it may have a secret."""

from __future__ import annotations

from collector.core.exit_codes import ExitCode
from collector.errors import kind_of, place_of
from collector.fetch import RELOADED
from collector.ledger import EndedRun
from collector.model import SliceState
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from collector.service.view import RunView

_INTERRUPTED = (
    "the run was interrupted: later runs fetch its missing windows, but those that are too old need a `backfill`"
)

_RELOADED = "the config changed: the next run continues with it"


def past_view(run: EndedRun, command: str) -> RunView:
    """Return the view of an ended run of a command, from the ledger."""
    return RunView(
        run_id=run.run_id,
        command=command,
        started_at=run.started_at,
        ended_at=run.ended_at,
        exit_code=run.exit_code,
        counted=False,
        why=_INTERRUPTED if run.exit_code is None else ExitCode(run.exit_code).meaning,
    )


def ended_view(result: RunResult, stop: Stop) -> RunView:
    """Return the view of a run from its result."""
    why = result.meaning
    if result.output_error is not None:
        why = str(result.output_error)
    elif stop.wound_up.is_set():
        why = _RELOADED if stop.reason is RELOADED else stop.reason.message
    summary = result.summary
    return RunView(
        run_id=result.run_id,
        command=result.command,
        started_at=result.started_at,
        ended_at=result.ended_at,
        exit_code=int(result.exit_code),
        why=why,
        planned=summary.planned,
        states={state: count for state in SliceState if (count := summary.count(state))},
        records=summary.records,
        requests=summary.requests,
    )


def crashed(error: BaseException) -> str:
    """Return the message for a defect."""
    return f"a defect of the collector: {kind_of(error)} at {place_of(error)}; please report it"
