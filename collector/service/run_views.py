"""What is told of a run's end: in words, and never with the text of an exception that nobody foresaw."""

from __future__ import annotations

import traceback

from collector.core.exit_codes import ExitCode
from collector.ledger import EndedRun
from collector.model import SliceState
from collector.run.manifest import RunResult
from collector.service.view import RunView

WORDS = {
    ExitCode.OK: "every planned slice is complete",
    ExitCode.INCOMPLETE: "some slices are partial or failed: later runs repair what can be repaired",
    ExitCode.REFUSED: "an org was refused: a person is needed",
    ExitCode.OUTPUT: "the output or the ledger can't be written",
    ExitCode.BUSY: "another process works on some orgs",
    ExitCode.INTERRUPTED: "stopped by a signal, after draining",
    ExitCode.TERMINATED: "stopped by a signal, after draining",
}


def words_for(exit_code: int | None) -> str:
    """Return what an exit code says of a run."""
    if exit_code is None:
        return "it was interrupted: what it lacks is asked again"
    return WORDS.get(ExitCode(exit_code), "a defect")


def past_view(run: EndedRun, command: str) -> RunView:
    """Return a run of a command that the ledger knows of as operators see it."""
    return RunView(
        run_id=run.run_id,
        command=command,
        started_at=run.started_at,
        ended_at=run.ended_at,
        exit_code=run.exit_code,
        why=words_for(run.exit_code),
    )


def ended_view(result: RunResult, *, reloaded: bool) -> RunView:
    """Return a run's end as operators see it."""
    why = words_for(result.exit_code)
    if result.output_error is not None:
        why = str(result.output_error)
    elif reloaded:
        why = "the config changed: the next run goes on with it"
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


def where(error: BaseException) -> str:
    """Return the innermost place of ours that an exception came through: its text may hold what nobody may see."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "collector" in frame.filename] or list(frames)
    if isinstance(error, BaseExceptionGroup) and error.exceptions:
        return where(error.exceptions[0])
    if not ours:
        return "nowhere"
    last = ours[-1]
    module = last.filename.rpartition("collector/")[2] if "collector/" in last.filename else last.filename
    return f"{module}:{last.lineno} in {last.name}"


def kind_of(error: BaseException) -> str:
    """Return the kind of an exception, or of the first one in a group."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return type(error).__name__


def crashed(error: BaseException) -> str:
    """Return what to say of a defect."""
    return f"a defect of the collector: {kind_of(error)} at {where(error)}; please report it"
