"""Adoption: a ledger that is behind its output directory learns what was delivered meanwhile.

So it is after a backup of the ledger was restored. Its next revisions follow those in the sealed files, and what they
show as collected is wanted again (docs/ledger.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import structlog

from collector.core.delivered import Adopted, DeliveredSlice, OrgRange, PastRun, Taken, has_no_ledger, merged
from collector.deliver.unsettled import Files, Unknown, Unsettled, slices_in, unreadable
from collector.model import Zone
from collector.ports import Ledger

log = structlog.get_logger("collector")

_NAMED = 20  # runs, in a message


@dataclass(slots=True)
class _Tally:
    """What was taken over, and the ranges of which the ledger knew nothing."""

    files: int = 0
    slices: int = 0
    ranges: Sequence[OrgRange] = ()

    def note(self, slices: Sequence[DeliveredSlice], taken: Taken) -> None:
        if taken.unknown or taken.newer:
            self.files += 1
            self.slices += len(slices)
        self.ranges = merged([*self.ranges, *map(_range, taken.unknown)])


def _range(one: DeliveredSlice) -> OrgRange:
    """Return the window of a slice in its zone, if that is one of ours."""
    try:
        tz: tzinfo = Zone.parse(one.zone).tz
    except ValueError:
        tz = UTC
    return OrgRange(org=one.org, start=one.window.start.astimezone(tz), end=one.window.end.astimezone(tz))


def adopt(
    ledger: Ledger,
    files: Files,
    directory: Path,
    unsettled: Unsettled,
    unknown: Mapping[str, Unknown],
    *,
    ahead: bool,
    now: datetime,
) -> Adopted | None:
    """Take over what the unsettled runs delivered and the ledger doesn't know; return None if it knows everything.

    `ahead`: recovery has found a file sealed that the ledger had not sealed. Each file is one transaction, the
    oldest first, and the runs come last: so a killed adoption is continued. Runs without a ledger are no sign of a
    restored one: their revisions are taken over, and that is all. Raises OutputError and LedgerError.
    """
    restored = ahead or any(not begun and not has_no_ledger(run_id) for run_id, begun in unsettled.begun.items())
    ours, strange, past = _Tally(), _Tally(), []
    for run_id in sorted(unknown):
        tally = strange if has_no_ledger(run_id) else ours
        whole = _take(ledger, files, directory, unknown[run_id].names, tally, wanted=tally is ours)
        if (begun := unsettled.begun.get(run_id)) is None:
            continue
        missing = unsettled.listed.get(run_id, frozenset()) - set(unsettled.listing.files.get(run_id, ()))
        # Else a reader has moved it just now.
        is_all_here = unknown[run_id].all_read and whole and not missing and run_id not in unsettled.vanished
        read = not (restored or tally is strange) or is_all_here
        if not begun or not read or run_id in unsettled.manifests:
            past.append(_past(run_id, unsettled, read=read, now=now))
    given = [
        one for run_id, manifest in unsettled.manifests.items() if not has_no_ledger(run_id) for one in manifest.ranges
    ]
    strangers = ledger.adopt_ranges(given) if restored else ()
    past = _one_unread(past)
    ledger.adopt_runs(past)
    if strange_runs := [run for run in past if has_no_ledger(run.run_id)]:
        _log_without_ledger(directory, len(strange_runs), strange)
    if not (restored or ours.files):
        return None
    adopted = Adopted(
        runs=sum(not begun and not has_no_ledger(run_id) for run_id, begun in unsettled.begun.items()),
        files=ours.files,
        slices=ours.slices,
        unread=tuple(run.run_id for run in past if not run.read and not has_no_ledger(run.run_id)),
        ranges=merged([*ours.ranges, *(given if restored else ())]),
    )
    _log(adopted, directory, strangers)
    return adopted


def _take(ledger: Ledger, files: Files, directory: Path, names: Sequence[str], tally: _Tally, *, wanted: bool) -> bool:
    """Take over what files have; return whether all of them could be read."""
    whole = True
    for name in names:
        try:
            found = slices_in(files, directory / name)
        except OSError as error:
            raise unreadable(directory, error) from error
        whole = whole and found is not None
        tally.note(found or (), ledger.adopt(found or (), wanted=wanted))
    return whole


def _one_unread(past: Sequence[PastRun]) -> list[PastRun]:
    """Return runs as they are to be committed: of those without a ledger, the one that ended last stands for all.

    All of their records have revision 1, so one number is enough to skip.
    """
    unread = [run for run in past if has_no_ledger(run.run_id) and not run.read]
    last = max(unread, key=lambda run: run.ended_at, default=None)
    return [replace(run, read=True) if run in unread and run is not last else run for run in past]


def _past(run_id: str, unsettled: Unsettled, *, read: bool, now: datetime) -> PastRun:
    """Return a run as its manifest has it, else by the manifests that list its files, else as one that ends now."""
    own = unsettled.manifests.get(run_id)
    naming = [manifest.run.ended_at for manifest in unsettled.manifests.values() if run_id in manifest.files]
    ended_at = own.run.ended_at if own else max(naming, default=now)
    return PastRun(
        run_id=run_id,
        command=own.run.command if own else "",
        started_at=own.run.started_at if own else ended_at,
        ended_at=ended_at,
        exit_code=own.run.exit_code if own else None,
        read=read,
    )


def _log(adopted: Adopted, directory: Path, strangers: Sequence[OrgRange]) -> None:
    if adopted.only_seals:
        log.warning(
            "ledger.behind",
            directory=str(directory),
            message="the ledger didn't know that a file in its output directory is sealed, as one that was restored "
            "from a backup. It knows all records in the directory: nothing had to be taken over",
        )
        return
    message = (
        "the ledger is behind its output directory, as one that was restored from a backup is. The revisions of the "
        "sealed files are taken over. Windows that the ledger didn't know are wanted again: `collector status` shows "
        "them until they are complete"
    )
    if strangers:
        names = ", ".join(sorted({one.org for one in strangers})[:_NAMED])
        message += f". The ledger knows no org by the names {names}: see `ranges`"
    if adopted.unread:
        message += (
            f". Files of {len(adopted.unread)} runs are gone or can't be read: records of windows that began before "
            "those runs ended are emitted again, with higher revisions (docs/runbook.md). A range that one of these "
            "runs was given is known only if its manifest has it (`ranges`)"
        )
    told = adopted.as_json
    log.warning(
        "ledger.behind",
        directory=str(directory),
        **{key: told[key] for key in ("runs", "files", "slices")},
        unread=list(adopted.unread[:_NAMED]),
        ranges=told["ranges"][:_NAMED],
        message=message,
    )


def _log_without_ledger(directory: Path, runs: int, tally: _Tally) -> None:
    log.warning(
        "records.without_ledger",
        directory=str(directory),
        runs=runs,
        files=tally.files,
        message="runs without a ledger wrote to this directory. Their revisions are taken over, so that no record "
        "comes twice under one revision. Their windows are fetched as if nothing was known of them",
    )
