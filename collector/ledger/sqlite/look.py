"""A look at whether a ledger in SQLite can be used: the file is there, and this process may write it.

Never opens the file: closing it would release the locks of this process's connections.
"""

from __future__ import annotations

from collector.ledger.sqlite.database_file import DatabaseFile
from collector.ledger.sqlite.failures import denied, replaced, to_ledger_error


class SqliteLook:
    """Looks at one file (`database.Look`)."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file

    def __call__(self) -> None:
        """Return if the file is there and can be written. Raises LedgerError."""
        where = str(self._file.path)
        try:
            if not self._file.exists():
                raise replaced(where, None)
            refused = denied(self._file.path)
        except OSError as error:
            raise to_ledger_error(error, where) from error
        if refused is not None:
            raise to_ledger_error(refused, where)

    def close(self) -> None:
        """Do nothing: nothing is kept."""
