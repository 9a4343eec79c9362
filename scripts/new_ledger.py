"""Write the script that creates a ledger in SQLite, from the migrations, as `make reference` does for the documents."""

from __future__ import annotations

import re

from sqlalchemy import create_engine

from collector.ledger import versions
from collector.ledger.sqlite.creating import END, SCRIPT


def statements() -> list[str]:
    """Return what creates each table and index that a ledger has after all migrations, in their order."""
    engine = create_engine("sqlite://")
    with engine.begin() as tx:
        versions.migrate(tx)
        found = tx.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        made = [re.sub(r"\s+", " ", sql).strip() for (sql,) in found]
    engine.dispose()
    return made


def main() -> None:
    """Write the script."""
    SCRIPT.write_text("".join(f"{statement}{END}" for statement in statements()))


if __name__ == "__main__":
    main()
