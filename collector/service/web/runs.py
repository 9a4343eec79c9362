"""The run under way, those that ended, and when the next one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.adapters.text import duration
from collector.core.exit_codes import ExitCode
from collector.model import SliceState
from collector.service.view import CurrentRun, Observed, RunView
from collector.service.web.text import When, maybe_when, name_text, plural, when
from collector.service.web.verdict import Tone

_TONES = {ExitCode.OK: Tone.GOOD, ExitCode.INCOMPLETE: Tone.WARN, ExitCode.BUSY: Tone.WARN}
_STOPPED = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
_SHOWN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that ended."""

    run_id: str
    command: str
    tone: Tone
    outcome: str
    started: When
    took: str
    counted: bool
    planned: int
    complete: int
    incomplete: int
    records: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The run under way."""

    run_id: str
    command: str
    started: When
    done: int
    total: int
    orgs_done: int
    orgs: int
    problems: str
    api_down: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """All of them."""

    current: Current | None
    next: When | None
    next_reconcile: When | None
    cron: str
    zone: str
    ended: Sequence[Ended]  # newest first
    stopping: bool

    @property
    def last(self) -> Ended | None:
        """The newest that ended."""
        return self.ended[0] if self.ended else None


def runs(seen: Observed, *, now: datetime) -> Runs:
    """Return the runs as they are shown."""
    return Runs(
        current=_current(seen.current, seen, now) if seen.current else None,
        next=maybe_when(seen.next_run, now=now, zone=seen.timezone),
        next_reconcile=maybe_when(seen.next_reconcile, now=now, zone=seen.timezone),
        cron=seen.cron,
        zone=seen.timezone,
        ended=[_ended(run, seen, now) for run in seen.all_runs[:_SHOWN]],
        stopping=seen.stopping,
    )


def _current(run: CurrentRun, seen: Observed, now: datetime) -> Current:
    progress = run.progress
    counts = ((progress.partial, "partial"), (progress.failed, "failed"), (progress.refused, "refused"))
    said = [f"{count:,} {word}" for count, word in counts if count]
    if progress.retries:
        said.append(plural(progress.retries, "retry", "retries"))
    return Current(
        run_id=run.run_id,
        command=run.command,
        started=when(run.started_at, now=now, zone=seen.timezone),
        done=progress.done,
        total=progress.total,
        orgs_done=progress.orgs_done,
        orgs=progress.orgs,
        problems=", ".join(said),
        api_down=progress.api_down,
    )


def _ended(run: RunView, seen: Observed, now: datetime) -> Ended:
    complete = run.states.get(SliceState.COMPLETE, 0)
    return Ended(
        run_id=run.run_id,
        command=run.command,
        tone=_tone(run.exit_code),
        outcome=name_text(run.why),
        started=when(run.started_at, now=now, zone=seen.timezone),
        took=duration((run.ended_at - run.started_at).total_seconds()),
        counted=run.counted,
        planned=run.planned,
        complete=complete,
        incomplete=run.planned - complete,
        records=run.records,
        requests=run.requests,
    )


def _tone(exit_code: int | None) -> Tone:
    if exit_code is None or exit_code in _STOPPED:
        return Tone.CALM if exit_code is not None else Tone.BAD
    return _TONES.get(ExitCode(exit_code), Tone.BAD)
