"""How the ledger of a config is opened: for a run, to read from it, or for a look."""

from __future__ import annotations

import os

import structlog

from collector.app.command import Command, Permits, has_ledger
from collector.app.outputs import refuse_new_ledger
from collector.app.places import files_of
from collector.config import LoadedConfig, Settings
from collector.config.sections import State
from collector.errors import LedgerError
from collector.ledger import Look, NoLedger, Readable, SqlLedger, name_of, open_look, open_reader
from collector.ports import Clock

log = structlog.get_logger("collector")


def ledger_of_run(config: LoadedConfig, command: Command, clock: Clock, *, create: bool = True) -> SqlLedger | NoLedger:
    """Return the ledger of the config, or one that remembers nothing (`state: none`).

    Raises LedgerError, and OutputError if the ledger is not there and the output belongs to one.
    """
    if not has_ledger(config):
        return NoLedger()
    if create and command.needs_ledger:
        require_ledger(config.settings, command.name)
        create = False
    if create:
        create_no_second_ledger(config.settings, command.permits)
    return open_ledger(config.settings, command.name, clock, create=create)


def create_no_second_ledger(settings: Settings, permits: Permits) -> None:
    """Raise OutputError if the ledger's file is not there and the output belongs to a ledger. Creates nothing."""
    if _is_absent(settings.state):
        with files_of(settings) as files:
            refuse_new_ledger(settings, permits, files)


def require_ledger(settings: Settings, what: str) -> None:
    """Raise LedgerError if there is no ledger, so that there is nothing to do what is said. Creates nothing."""
    url = settings.state.url.get_secret_value()
    reader = open_reader(url, password_file=settings.state.password_file, older=True)
    if reader is None:
        raise no_ledger(settings, what)
    reader.close()


def no_ledger(settings: Settings, what: str) -> LedgerError:
    """Return what to raise where a command needs a ledger, and there is none: its place may be mistyped."""
    where = name_of(settings.state.url.get_secret_value())
    return LedgerError(
        f"there is no ledger {where}, so there is nothing to {what}: check state.url or --state, and the directory "
        "that a relative path begins in"
    )


def open_ledger(settings: Settings, command: str, clock: Clock, *, create: bool = True) -> SqlLedger:
    """Return the ledger of the config. Raises LedgerError that says what to do."""
    state = settings.state
    is_new = _is_absent(state)
    ledger = SqlLedger.open(
        state.url.get_secret_value(),
        command=f"collector {command}",
        now=clock.now,
        password_file=state.password_file,
        create=create,
    )
    if is_new:
        where = os.path.abspath(name_of(state.url.get_secret_value()))  # noqa: PTH100 - links stay as they are
        log.info("ledger.created", ledger=where, message="a new ledger: nothing is known as collected")
    if (done := ledger.migrated) is not None:
        kept = (
            f"It is kept as it was in {done.copy}: remove that when no older collector needs it"
            if done.copy
            else ("Its older versions are in your backups only")
        )
        log.warning(
            "ledger.migrated",
            ledger=done.where,
            from_version=done.from_,
            to_version=done.to,
            copy=str(done.copy) if done.copy else None,
            message=f"the ledger was migrated: collectors of before can't use it any more. {kept}",
        )
    return ledger


def is_file(state: State) -> bool:
    """Say whether the ledger is a file of this machine, not a server's database."""
    return state.url.get_secret_value().startswith("sqlite://")


def _is_absent(state: State) -> bool:
    """Say whether the ledger is a file that doesn't exist."""
    return is_file(state) and not os.path.lexists(name_of(state.url.get_secret_value()))


def ledger_look(state: State) -> Look:
    """Return the look at a ledger; it opens nothing yet. Raises LedgerError for a URL that can't be used."""
    return open_look(state.url.get_secret_value(), password_file=state.password_file)


def open_ledger_to_read(config: LoadedConfig) -> Readable:
    """Return the ledger of the config to read from, or one that remembers nothing if there is none: none is created.

    Raises LedgerError that says what to do, also for a ledger of an older version: it isn't migrated.
    """
    if not has_ledger(config):
        return NoLedger()
    state = config.settings.state
    return open_reader(state.url.get_secret_value(), password_file=state.password_file) or NoLedger()


def warn_of_missing_ledger(config: LoadedConfig, meaning: str) -> None:
    """Log that the config's ledger doesn't exist, and what that means for the command: the path may be mistyped."""
    log.warning(
        "ledger.not_found",
        ledger=name_of(config.settings.state.url.get_secret_value()),
        message=f"there is no ledger, so {meaning}; the first `collect` or `backfill` creates it. If there should be "
        "one, check state.url or --state, and the directory that a relative path begins in",
    )
