"""What a person does about files that no run will finish: their process is dead, and not where they are.

`collect --recover DIR` seals what lies in a directory, wherever it is mounted by now; `collect --lost
FILE` says that a file is gone for good, so that its slices are asked again. Nothing is collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from collector.adapters.sinks.directory import hidden
from collector.adapters.sinks.directory_id import OneDirectory, VisibleDirectories, id_of
from collector.adapters.sinks.files import OsFiles
from collector.deliver.recovery import recover
from collector.errors import ConfigError, LedgerError
from collector.ledger import SqlLedger

log = structlog.get_logger("collector")


def mend(ledger: SqlLedger, *, directories: Sequence[Path], lost: Sequence[str], own: Path | None) -> bool:
    """Seal what was left in directories, give up what is lost; say whether nothing unsealed is left there.

    `own` is the output directory. Raises ConfigError for what can't be meant, OutputError and LedgerError.
    """
    for directory in directories:
        if not directory.is_dir():
            raise ConfigError(f"--recover: {directory} is no directory that is there")
    rest = [path for directory in directories for path in _recover(ledger, directory)]
    for path in rest:
        message = "a living process writes it, or it is booked in another ledger"
        log.warning("file.unsealed", file=str(path), message=message)
    for name in lost:
        _lose(ledger, name, own)
    return not rest


def _recover(ledger: SqlLedger, directory: Path) -> list[Path]:
    recovered = recover(ledger, OsFiles(), hidden, OneDirectory(directory), own=directory)
    rest = sorted(directory.glob(hidden(directory, "usage-*").name))
    if not (recovered.sealed or recovered.lost or rest or id_of(directory)):
        raise ConfigError(f"--recover: {directory} holds nothing that a collector left behind")
    log.info("directory.recovered", directory=str(directory), sealed=len(recovered.sealed), lost=len(recovered.lost))
    return rest


def _lose(ledger: SqlLedger, name: str, own: Path | None) -> None:
    ledger.left_behind()  # whoever died by now is known to have
    awaited = {one.file.name: one.file for one in ledger.awaited()}
    file = awaited.get(name)
    if file is None:
        names = ", ".join(sorted(awaited)) or "none"
        raise ConfigError(f"--lost: no file {name!r} is awaited; those that are: {names}")
    directory = VisibleDirectories(own)(file)
    if directory is not None and hidden(directory, name).exists():
        raise ConfigError(
            f"--lost: {name} is there, in {directory}: the next `collect` seals it, or --recover {directory}"
        )
    if not ledger.take_over([file.file_id]):
        raise LedgerError(f"another process has just found {name}: look at `collector status` again")
    slices = ledger.lost(file.file_id)
    more = {"message": "if it was delivered all the same, its records come again"} if file.seal_intended else {}
    log.warning("file.lost", file=name, host=file.host, slices_asked_again=slices, **more)
