"""A backup of a ledger in SQLite: a copy where a person wants it, while processes go on to use the ledger."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection

from collector.errors import ConfigError, LedgerError
from collector.ledger.info import LedgerInfo, read_info
from collector.ledger.sqlite.copying import Progress, copy_pages, make_copy
from collector.ledger.sqlite.database_file import DatabaseFile
from collector.ledger.sqlite.reading import SqliteReader


def back_up(file: DatabaseFile, target: Path, *, replace: bool = False, progress: Progress | None = None) -> LedgerInfo:
    """Copy a ledger, of whatever version, to a file; return what the copy is. Writes nothing but that file.

    Raises ConfigError for a file that exists, unless it is to be replaced, or that can't be meant. Raises LedgerError.
    """
    target = target.absolute()
    _refuse(file, target, replace=replace)
    source = SqliteReader.open(file, older=True)
    if source is None:
        raise LedgerError(f"there is no ledger {file.path}: check state.url or --state")

    def fill(part: Path) -> None:
        source.read(lambda tx: copy_pages(part, _driver_of(tx), progress=progress))
        _refuse(file, target, replace=replace)  # again: a large ledger takes a while

    try:
        make_copy(target, fill)
    finally:
        source.close()
    made = SqliteReader(DatabaseFile(target))
    try:
        return made.read(lambda tx: read_info(tx, where=str(target), liveness=made.liveness))
    finally:
        made.close()


def _driver_of(tx: Connection) -> sqlite3.Connection:
    driver = tx.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError("a transaction was begun on a closed connection")
    return driver


def _refuse(file: DatabaseFile, target: Path, *, replace: bool) -> None:
    """Raise ConfigError if the file must not be written."""
    try:
        _refuse_as_it_is(file, target, replace=replace)
    except OSError as error:  # such as a name that is too long, or would be with the endings of SQLite
        raise ConfigError(f"{target} can't be written: {os.strerror(error.errno or 0)}") from error


def _refuse_as_it_is(file: DatabaseFile, target: Path, *, replace: bool) -> None:
    if target.is_dir():
        raise ConfigError(f"{target} is a directory: name a file in it")
    if not target.parent.is_dir():
        raise ConfigError(f"{target.parent} is not an existing directory")
    used = [Path(f"{target}{end}") for end in ("-wal", "-shm", "-journal")]
    own = {file.path, *(Path(f"{file.path}{end}") for end in ("-wal", "-shm", "-journal"))}
    if target.resolve() in own or any(one.exists() for one in used):
        raise ConfigError(f"{target} is a ledger that is in use, or a part of one: name another file")
    if target.exists() and not replace:
        raise ConfigError(f"{target} exists: name another file, or replace it with --force")
