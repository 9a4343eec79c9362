"""The version of a ledger, and the migrations to the current version, run without an alembic.ini."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from collector.errors import LedgerError, OlderLedgerError

KNOWN = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
)  # oldest first; the last is what this collector works with
SCRIPTS = "collector.ledger:migrations"
# Another application may use the same PostgreSQL schema, with its own alembic_version.
_TABLES = {"sqlite": "alembic_version", "postgresql": "ledger_version"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """That a ledger was migrated when it was opened."""

    where: str
    from_: str
    to: str
    copy: Path | None  # of the ledger as it was before


def version_table(tx: Connection) -> str:
    """Return the name of the table that holds the version."""
    return _TABLES[tx.dialect.name]


def version_of(tx: Connection) -> str | None:
    """Return the version of a ledger; None if it has none."""
    name = version_table(tx)
    if not inspect(tx).has_table(name):
        return None
    version: str | None = tx.scalar(select(column("version_num")).select_from(table(name)))
    return version


def is_older(version: str | None, where: str) -> bool:
    """Return whether a ledger has to be migrated. Raises LedgerError if it is not a ledger, or a newer one."""
    if version is None:
        raise LedgerError(f"{where} is a database, but not a ledger of this collector: name another file")
    if version not in KNOWN:
        raise LedgerError(
            f"the ledger {where} has version {version}, but this collector supports versions up to {KNOWN[-1]}: "
            "upgrade the collector"
        )
    return version != KNOWN[-1]


def require_current(version: str | None, where: str) -> None:
    """Raise LedgerError if a ledger doesn't have our version: one who reads migrates nothing."""
    if is_older(version, where):
        raise OlderLedgerError(
            f"the ledger {where} has version {version}, and this collector works with version {KNOWN[-1]}. Commands "
            "that only read don't migrate it; the next `collect`, `backfill` or `serve` does: run one of them first. "
            "`collector ledger info` shows the ledger as it is"
        )


def migrate(tx: Connection, *, to: str | None = None) -> None:
    """Migrate a ledger to a version, by default the current one, within the transaction."""
    # Alembic is only needed here, and is slow to import.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": tx, "version_table": version_table(tx)})
    config.set_main_option("script_location", SCRIPTS)
    command.upgrade(config, to or KNOWN[-1])
