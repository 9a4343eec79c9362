"""Which version a ledger is of, and its way to ours: the migrations, run without a file of settings."""

from __future__ import annotations

from sqlalchemy import Connection, column, inspect, select, table

from collector.errors import LedgerError

KNOWN = ("0001", "0002")  # oldest first; the last is what this collector works with
SCRIPTS = "collector.ledger:migrations"
# A schema of PostgreSQL may also be another application's, with an alembic_version of its own.
_TABLES = {"sqlite": "alembic_version", "postgresql": "ledger_version"}


def version_table(tx: Connection) -> str:
    """Return the table that holds the version."""
    return _TABLES[tx.dialect.name]


def found(tx: Connection) -> str | None:
    """Return the version that a ledger says it is of; None if it says nothing."""
    name = version_table(tx)
    if not inspect(tx).has_table(name):
        return None
    version: str | None = tx.scalar(select(column("version_num")).select_from(table(name)))
    return version


def is_older(version: str | None, where: str) -> bool:
    """Say whether a ledger has to be migrated. Raises LedgerError if it is no ledger, or a newer one."""
    if version is None:
        raise LedgerError(f"{where} is a database, but no ledger of this collector: name another file")
    if version not in KNOWN:
        raise LedgerError(
            f"the ledger {where} is of version {version}, and this collector knows versions up to {KNOWN[-1]}: "
            "upgrade the collector"
        )
    return version != KNOWN[-1]


def migrate(tx: Connection) -> None:
    """Bring a ledger to our version, within the transaction."""
    # Alembic is only needed here, and takes its time to load.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": tx, "version_table": version_table(tx)})
    config.set_main_option("script_location", SCRIPTS)
    command.upgrade(config, KNOWN[-1])
