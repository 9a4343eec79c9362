"""What comes before the first request of a run: recover, register, and find what is wanted.

Called on the writer's thread. Sends nothing.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import structlog

from collector.adapters.sinks.directory import journal_of
from collector.adapters.sinks.directory_id import VisibleDirectories
from collector.adapters.sinks.files import Files, OsFiles, OutputFiles
from collector.adapters.sinks.outbox import OutboxPlace
from collector.adapters.sinks.reading import SealedFiles
from collector.adapters.sinks.sealing import Sealing
from collector.adapters.text import count
from collector.app.backfills import log_backfills, old_gaps, older_than_catch_up
from collector.app.calendars import refused_calendar, warn_of_cut_over, warn_of_older_calendar
from collector.app.command import Command, ages_of, first_wanted, sparse_of
from collector.app.invocation import invocation_of
from collector.app.leftovers import warn_of_strangers
from collector.app.outputs import claim_output, directory_of
from collector.config import LoadedConfig, Settings
from collector.core.calendar_changes import standing_apart
from collector.core.delivered import Listing, has_no_ledger
from collector.core.identities import Identities
from collector.core.ledger_entries import CalendarChanged, RemovedOrg, Standing
from collector.core.naming import naming
from collector.core.outputs import STDOUT, is_remote
from collector.core.ranges import Last
from collector.core.wanted import BackfillWanted, CollectWanted, ReconcileWanted, RelabelWanted, Wanted
from collector.deliver.adoption import adopt
from collector.deliver.recovery import Recovered, log_awaited, recover
from collector.deliver.unlisted import unlisted
from collector.deliver.unsettled import Unsettled, look, unknown_files, unreadable
from collector.errors import ConfigError, Refused
from collector.ledger import NoLedger, Readable, SqlLedger
from collector.model import Org, Window
from collector.ports import Clock, Ledger, Place
from collector.run.session import LedgerSession, since_of

log = structlog.get_logger("collector")

_NAMED = 20  # orgs, in a log line
_INTERRUPTED = (
    "the ledger has no end of run {}: it was killed, or it could not commit its end. The next `collect` fetches the "
    "windows that it did not complete. Those that are too old for that need a `backfill`: `ledger.backfill_needed` "
    "names the commands"
)


def prepare(
    ledger: SqlLedger | NoLedger,
    config: LoadedConfig,
    command: Command,
    run_id: str,
    clock: Clock,
    *,
    files: Files | None = None,
    place: OutboxPlace | None = None,
) -> LedgerSession:
    """Recover, register, and find what is wanted: everything about a run that comes before the first request.

    `place` is the output if it takes whole files only.
    Raises OutputError and LedgerError.
    """
    settings, now = config.settings, clock.now()
    files = files or OsFiles()
    output: OutputFiles = files if place is None else place.files
    sealed = SealedFiles(output)
    if not ledger.remembers and (taken := directory_of(settings)):
        _refuse_directory_of_a_ledger(taken, output)
    own = claim_output(ledger, settings, command, output)
    directory = own.directory
    orgs = command.scope.of(config.orgs)
    unsettled = Unsettled()
    if directory and ledger.remembers:
        unsettled = look(ledger, sealed, directory, noted=own.journal.run_ids)
    recovered = recover_files(ledger, settings, files, place=place, delivered=unsettled.delivered)
    log_awaited(recovered.awaited, invocation_of(config, own.known).collect)
    standings, refused = register(ledger, config, orgs, now, carried=command.messages.carry)
    unknown = unknown_files(ledger, sealed, directory or Path(), unsettled)
    adopted = adopt(ledger, sealed, directory or Path(), unsettled, unknown, ahead=bool(recovered.ahead), now=now)
    if directory and ledger.remembers:
        warn_of_strangers(ledger, output, directory, unsettled.listing.unsealed)
    interrupted = ledger.begin_run(run_id, command.label, now)
    for one in interrupted:
        log.warning("run.interrupted", run_id=one, message=_INTERRUPTED.format(one))
    wanted_ = wanted(ledger, settings, command, orgs=orgs, standings=standings, refused=refused, now=now)
    needed = older_than_catch_up(config, adopted.ranges if adopted else (), now)
    if interrupted or recovered.lost:
        needed += old_gaps(config, ledger, now)
    log_backfills(config, needed, wanted_)
    return LedgerSession(
        ledger=ledger,
        orgs=orgs,
        standings=standings,
        wanted=wanted_,
        identities=identities_of(ledger, config, {name: one.org_id for name, one in standings.items()}),
        refused=refused,
        wait_s=command.wait.total_seconds(),
        directory=str(directory or ""),
        directory_id=own.output.directory_id,
        unread=ledger.unread(),
        adopted=adopted,
        ranges=_ranges(wanted_, [org for org in orgs if org.name not in refused]),
        awaited=[file.file_id for file in recovered.awaited],
        recovered=unlisted(ledger, sealed, directory, unsettled.listing, recovered.sealed, now=now)
        if directory and (place is None or place.has_files)
        else (),
    )


def recover_files(
    ledger: Ledger,
    settings: Settings,
    files: Files | None = None,
    *,
    place: Place | None = None,
    delivered: Collection[str] = (),
) -> Recovered:
    """Seal the files that dead processes left where this one sees them.

    Before a run, and after it: by then a process that seemed alive may be known to be dead.
    """
    if place is not None:
        here = OsFiles()
        sealing = Sealing(files=here, labels=settings.output.labels)
        return recover(ledger, sealing, VisibleDirectories(here, None), place=place, delivered=delivered)
    files, own = files or OsFiles(), directory_of(settings)
    sealing = Sealing(files=files, labels=settings.output.labels)
    return recover(ledger, sealing, VisibleDirectories(files, own), own=own, delivered=delivered)


def register(
    ledger: Ledger, config: LoadedConfig, orgs: Sequence[Org], now: datetime, *, carried: bool = False
) -> tuple[dict[str, Standing], dict[str, Refused]]:
    """Find or make each org's row; return what it holds, and the orgs whose calendars would overlap, by name.

    Nothing is written of the latter.
    """
    wanted_from = {org.name: first_wanted(org, config.settings.schedule, now=now) for org in orgs}
    names = [org.name for org in config.orgs]
    found = ledger.register(orgs, wanted_from=wanted_from, now=now, names=names)
    log_removed(ledger.note_config(config.orgs, now), carried=carried)
    standings, refused = {}, {}
    for org in orgs:
        match found[org.name]:
            case Standing() as standing:
                standings[org.name] = standing
                if standing.cut_over:
                    warn_of_cut_over(org, standing.cut_over)
            case CalendarChanged() as changed:
                standings[org.name] = standing_apart(org, changed)
                refused[org.name] = refused_calendar(config, org, changed)
    return standings, refused


def log_removed(removed: Sequence[RemovedOrg], *, carried: bool = False) -> None:
    """Warn of the orgs that the config no longer has. A ledger that is carried in a STATE reports them once."""
    if removed:
        advice = (
            "What the STATE knows of it stays there, should the org come back"
            if carried
            else "If that is meant: `collector forget NAME`, which keeps the history"
        )
        names = [one.name for one in removed]
        log.warning(
            "orgs.removed",
            orgs=names[:_NAMED],
            orgs_left_out=max(0, len(names) - _NAMED),
            message=f"{count(len(names), 'org')} that earlier runs had {'is' if len(names) == 1 else 'are'} no longer "
            f"in the config, and nothing is fetched of them. {advice}. An org that was renamed is recognised by its "
            "first answer",
        )


def wanted(
    ledger: Ledger,
    settings: Settings,
    command: Command,
    *,
    orgs: Sequence[Org],
    standings: Mapping[str, Standing],
    refused: Collection[str],
    now: datetime,
) -> Wanted:
    """Return what a command wants of the orgs. The range of a backfill is wanted from then on: it is repaired too.

    Not of refused orgs: nothing is written of them.
    """
    schedule = settings.schedule
    ranges = ledger.wanted_of([standings[org.name].key for org in orgs])
    since = {org.name: since_of(org, standings[org.name], ranges.get(standings[org.name].key, ())) for org in orgs}
    range_ = command.range_ or (None if ledger.remembers else Last(schedule.lookback))
    if range_ is None:
        return CollectWanted(now=now, ages=ages_of(schedule), since=since)
    if command.restates:
        return RelabelWanted(
            now=now, settle=schedule.settle, range_=range_, since=since, namings=_namings(orgs, standings)
        )
    if command.compares:
        return ReconcileWanted(
            now=now,
            settle=schedule.settle,
            range_=range_,
            since=since,
            max_span=settings.api.max_span,
            trust_zero_for=settings.trust_zero_for,
        )
    backfill = BackfillWanted(
        now=now,
        settle=schedule.settle,
        range_=range_,
        since=since,
        force=command.force,
        sparse=sparse_of(settings) if command.sparse else None,
    )
    spans: dict[int, list[Window]] = defaultdict(list)  # two names may be one organization
    for org in orgs:
        if org.name in refused:
            continue
        key = standings[org.name].key
        warn_of_older_calendar(ledger, org, key, backfill)
        if span := backfill.span(org):
            spans[key].append(span)
    ledger.want(spans)
    return backfill


def _namings(orgs: Sequence[Org], standings: Mapping[str, Standing]) -> dict[str, int]:
    """Return how records name each org now. Of two orgs that are one organization, the first one counts."""
    first: dict[int, str] = {}
    for org in orgs:
        first.setdefault(standings[org.name].key, org.name)
    return {
        org.name: naming(org, standing.org_name)
        for org in orgs
        if (standing := standings[org.name]).org_name is not None and first[standing.key] == org.name
    }


def _ranges(wanted_: Wanted, orgs: Sequence[Org]) -> dict[Window, list[str]]:
    """Return the ranges that a command was given, each with its orgs. The manifest has them for a restored ledger."""
    ranges: dict[Window, list[str]] = defaultdict(list)
    for org in orgs if isinstance(wanted_, BackfillWanted) else ():
        if span := wanted_.span(org):
            ranges[span].append(org.name)
    return ranges


def _refuse_directory_of_a_ledger(directory: Path, files: OutputFiles) -> None:
    """Raise ConfigError if runs with a ledger wrote to a directory: what this one emits would contradict them."""
    try:
        listing = Listing.of(SealedFiles(files).names(directory))
    except OSError as error:
        raise unreadable(directory, error) from error
    if journal_of(files, directory).ledger_id or not all(map(has_no_ledger, {*listing.files, *listing.manifests})):
        raise ConfigError(
            f"output: {directory} has files of runs with a ledger. A run without one would emit their records again, "
            "with revision 1, and readers would take the wrong ones for the newest. Name another directory with "
            "--output (`-o -` is stdout), or run with the ledger"
        )


def identities_of(
    ledger: Ledger | Readable, config: LoadedConfig, organizations: Mapping[str, str | None]
) -> Identities:
    """Return which organizations are known: also those of other shards, so that a duplicate of theirs is refused.

    `organizations` has those of the orgs in scope, by name; None is one that no answer has confirmed.
    """
    identities = Identities(allow_same=config.settings.same_organization == "allow")
    known = ledger.identified()
    for org in config.orgs:
        if org_id := organizations.get(org.name):
            identities.add(org, org_id)
    for org in config.orgs:
        if org.name not in organizations and org.name in known:
            identities.add(org, known[org.name])
    return identities


def expected_identities(ledger: Readable, config: LoadedConfig, orgs: Sequence[Org]) -> Identities:
    """Return the identities by which the next run of these orgs will judge their answers; write nothing."""
    rows = ledger.locate(orgs, names=[org.name for org in config.orgs])
    confirmed = {name: row.org_id if row.org_name is not None else None for name, row in rows.items()}
    return identities_of(ledger, config, {org.name: confirmed.get(org.name) for org in orgs})


def refuse_file_as_output(settings: Settings) -> None:
    """Raise ConfigError if a file is where the output directory, or a directory above it, should be."""
    path = settings.output.path
    if path == STDOUT or is_remote(path):
        return
    there = next((one for one in (Path(path), *Path(path).parents) if os.path.lexists(one)), None)
    if there is not None and not os.path.isdir(there):  # noqa: PTH112 - `Path.is_dir` raises for a broken disk
        raise ConfigError(
            f"output: {path} can't be a directory, as {there} is a file: name a directory, such as usage/"
        )
