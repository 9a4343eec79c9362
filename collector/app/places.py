"""Outputs that take whole files only: which adapter stands behind the URL in `output.path`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from collector.adapters.paths import place_path
from collector.adapters.sinks import OutputLook
from collector.adapters.sinks.files import OsFiles, OutputFiles
from collector.adapters.sinks.look import PlaceLook
from collector.adapters.sinks.object_place import ObjectPlace
from collector.adapters.sinks.object_store import ObjectStore
from collector.adapters.sinks.outbox import OutboxPlace
from collector.config import Settings
from collector.config.sections import Output
from collector.config.urls import split_table
from collector.core.outputs import is_remote
from collector.errors import LedgerError, OutputError

_POSTGRESQL = "postgresql://"
_DATABASE = ("host", "hostaddr", "port", "dbname", "user", "service")  # parameters of a database, and who uses it
_PATIENCE_S = 30.0  # for a table that others have locked


def open_place(settings: Settings) -> OutboxPlace | None:
    """Return the output if it takes whole files only; None for a directory and stdout. Raises OutputError."""
    output = settings.output
    return _open(output, ledger_url=settings.state.url.get_secret_value()) if is_remote(output.path) else None


@contextmanager
def files_of(settings: Settings) -> Iterator[OutputFiles]:
    """Yield how the output of a config is read and marked. Raises OutputError."""
    place = open_place(settings)
    try:
        yield OsFiles() if place is None else place.files
    finally:
        if place is not None:
            place.close()


def output_look(output: Output) -> OutputLook | PlaceLook:
    """Return the look at an output; it opens nothing yet."""
    return PlaceLook(lambda: _open(output)) if is_remote(output.path) else OutputLook(output.path)


def _open(output: Output, *, ledger_url: str = "") -> OutboxPlace:
    if not output.path.startswith(_POSTGRESQL):
        return ObjectPlace(ObjectStore(output.path), output.layout)
    return _table(output, ledger_url)


def _table(output: Output, ledger_url: str) -> OutboxPlace:
    from collector.adapters.sinks.table import Connection, TableStore  # noqa: PLC0415 - loads the driver
    from collector.adapters.sinks.table_place import TablePlace  # noqa: PLC0415
    from collector.ledger.postgresql import Dsn, UrlError  # noqa: PLC0415
    from collector.ledger.postgresql.failures import why  # noqa: PLC0415
    from collector.ledger.postgresql.session import connect  # noqa: PLC0415

    base, name = split_table(output.path)
    try:
        dsn = Dsn.parse(base, password_file=output.password_file)
        ledger = Dsn.parse(ledger_url).params if ledger_url.startswith(_POSTGRESQL) else None
    except UrlError as error:
        raise OutputError(f"the URL of the output {error}") from None

    def session() -> Connection:
        try:
            return connect(dsn, lock_timeout_s=_PATIENCE_S)
        except LedgerError as error:  # the file of the password, or the encoding
            raise OutputError(_of_output(str(error))) from error

    store = TableStore(
        output.path,
        name,
        connect=session,
        reason=lambda error: _of_output(why(error, name.partition(".")[0])),
    )
    is_ledgers = ledger is not None and all(ledger.get(one) == dsn.params.get(one) for one in _DATABASE)
    return TablePlace(store, place_path(output.path), in_ledgers_database=is_ledgers)


def _of_output(text: str) -> str:
    """Return a message about the ledger's server as one about the output's."""
    return text.replace("state.password_file", "output.password_file").replace("the ledger ", "the output ")
