"""What a person does about files that no run will finish: their process is dead, and they are elsewhere.

`collect --recover DIR` seals what is in a directory, wherever it is mounted by now. `collect --lost FILE`
says that a file is gone for good, so that its slices are fetched again. Nothing is collected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import structlog

from collector.adapters.paths import named
from collector.adapters.sinks.directory import journal_of
from collector.adapters.sinks.directory_id import OneDirectory, VisibleDirectories, id_of, is_being_written
from collector.adapters.sinks.files import OsFiles, OutputFiles
from collector.adapters.sinks.reading import SealedFiles
from collector.adapters.sinks.sealing import Sealing, hidden, sealed_names
from collector.core.delivered import run_of
from collector.core.echo import PATH, echo
from collector.core.outputs import is_remote
from collector.deliver.adoption import adopt
from collector.deliver.doubled import log_doubled
from collector.deliver.recovery import recover
from collector.deliver.unsettled import look, unknown_files
from collector.errors import ConfigError, LedgerError
from collector.ledger import SqlLedger
from collector.ports import Ledger

_FILE = re.compile(r"usage-[A-Za-z0-9._-]{1,160}")

log = structlog.get_logger("collector")


def refuse_absent(directories: Sequence[Path]) -> None:
    """Raise ConfigError for a directory that doesn't exist."""
    for directory in directories:
        if not directory.is_dir():
            raise ConfigError(f"--recover: {_shown(directory)} is not an existing directory")


def finish_leftovers(
    ledger: SqlLedger,
    *,
    directories: Sequence[Path],
    lost: Sequence[str],
    own: Path | None,
    now: datetime,
    labels: tuple[str, ...] = (),
) -> bool:
    """Seal what dead processes left in directories, and give up lost files; return whether nothing unsealed is left.

    `own` is the output directory, `labels` those that have columns of their own. Raises ConfigError for impossible
    arguments, OutputError and LedgerError.
    """
    rest = [path for directory in directories for path in _recover(ledger, directory, own, now, labels)]
    for path in rest:
        _warn(ledger, path)
    for name in lost:
        _give_up(ledger, name, own)
    return not rest


def _shown(directory: Path) -> str:
    """Return a path as it was typed, if what doesn't exist of it are words: else it may be a secret."""
    there = next((parent for parent in (directory, *directory.parents) if os.path.lexists(parent)), Path())
    is_plain = PATH.fullmatch(str(directory.relative_to(there)))
    return str(directory) if is_plain else f"the directory {named(directory)}"


def warn_of_strangers(ledger: Ledger, files: OutputFiles, directory: Path, names: Sequence[str]) -> None:
    """Log the hidden files of a directory that no run will finish; `names` are their names without `hidden`."""
    for name in names:
        path = hidden(directory, name)
        if not (ledger.has_file(name) or is_being_written(path) or files.size(path) is None):
            _warn(ledger, path)


def _warn(ledger: Ledger, path: Path) -> None:
    log.warning("file.unsealed", file=str(path), message=_why_unsealed(ledger, path))


def _recover(
    ledger: SqlLedger, directory: Path, own: Path | None, now: datetime, labels: tuple[str, ...]
) -> list[Path]:
    files = OsFiles()
    sealed = SealedFiles(files)
    noted = journal_of(files, directory).run_ids
    unsettled = look(ledger, sealed, directory, noted=noted, interrupted=True)
    recovered = recover(
        ledger,
        Sealing(files=files, labels=labels),
        OneDirectory(files, directory),
        own=directory,
        delivered=unsettled.delivered,
    )
    unknown = unknown_files(ledger, sealed, directory, unsettled)
    if own is not None and own != directory and not is_remote(str(own)):
        log_doubled(sealed, directory, [name for one in unknown.values() for name in one.names], own)
    adopted = adopt(ledger, sealed, directory, unsettled, unknown, ahead=bool(recovered.ahead), now=now)
    rest = sorted(directory.glob(hidden(directory, "usage-*").name))
    known = unsettled.listing.files or unsettled.listing.manifests
    if not (recovered.sealed or recovered.lost or rest or adopted or known or id_of(files, directory)):
        raise ConfigError(f"--recover: {directory} holds no file that a collector left behind")
    log.info("directory.recovered", directory=str(directory), sealed=len(recovered.sealed), lost=len(recovered.lost))
    return rest


def _why_unsealed(ledger: Ledger, path: Path) -> str:
    """Return why a hidden file stays as it is, and what to do."""
    name = path.name.removeprefix(".").removesuffix(".unsealed")
    if is_being_written(path) or ledger.has_file(name):
        return "a running process writes it: its run seals it, or the next one does"
    if ledger.has_run(run_of(name) or ""):
        return (
            "the ledger gave this file up, or committed nothing of it: then its windows are fetched again if they are "
            "wanted (`collector status` names a `backfill` for those that are too old for a `collect`), and you can "
            "remove it. But if this directory is a copy, its run was sealed in the original: then "
            "the sealed file there has these records, and this directory lacks them. Look there first"
        )
    return (
        "the ledger doesn't know its run: the file belongs to another ledger, or this one was restored from an older "
        "backup. With this ledger, none of its records counts as delivered: if a `backfill` wrote it, run that again. "
        "Remove the file if no other ledger writes here"
    )


def _give_up(ledger: SqlLedger, name: str, own: Path | None) -> None:
    ledger.left_behind()  # processes that died by now count as dead
    awaited = {one.file.name: one.file for one in ledger.awaited()}
    file = awaited.get(name)
    if file is None:
        names = ", ".join(sorted(awaited)) or "none"
        raise ConfigError(f"--lost: no file {echo(name, _FILE)} is awaited; awaited files: {names}")
    if own is not None and file.directory == str(own) and is_remote(file.directory):
        raise ConfigError(f"--lost: the records of {name} are in the ledger: the next `collect` delivers them to {own}")
    files = OsFiles()
    here = None if own is None or is_remote(str(own)) else own
    directory = None if is_remote(file.directory) else VisibleDirectories(files, here)(file)
    if directory is not None and (hidden(directory, name).exists() or sealed_names(files, directory, name)):
        raise ConfigError(
            f"--lost: {name} exists, in {directory}: the next `collect` seals it, or `--recover {directory}` does"
        )
    if not ledger.take_over([file.file_id]):
        raise LedgerError(f"another process has just taken over {name}: see `collector status`")
    slices = ledger.lost(file.file_id)
    more = (
        {"message": "if it was delivered nevertheless, its records will be emitted again"} if file.seal_intended else {}
    )
    log.warning("file.lost", file=name, host=file.host, slices_asked_again=slices, **more)
