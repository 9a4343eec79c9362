"""A session with the server. Nothing in it waits without a limit, on either side.

Parameters of the URL override those that are set here. Client and server both notice a lost connection
within about a minute; then the server releases the locks of the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import psycopg

from collector.errors import LedgerError
from collector.ledger.postgresql.addresses import with_addresses
from collector.ledger.postgresql.dsn import Dsn

_CLIENT = {
    "application_name": "usage-collector",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",  # milliseconds
    "target_session_attrs": "read-write",  # of several hosts, the one that isn't a standby
}
_SERVER = {
    "statement_timeout": "60s",
    # A process that is stopped within a transaction blocks all others.
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

Session = psycopg.Connection[tuple[Any, ...]]


def connect(
    dsn: Dsn, *, durable: bool = True, lock_timeout_s: float, client: Mapping[str, str] = MappingProxyType({})
) -> Session:
    """Return a new session in autocommit mode: the caller begins transactions. Raises psycopg.Error, LedgerError.

    `client` overrides parameters of the URL. Text is exchanged in UTF-8, whatever the URL or the environment sets.
    """
    params = {**_CLIENT, **dsn.params, **client, "client_encoding": "UTF8"}
    given: dict[str, Any] = with_addresses(params, deadline_s=_deadline_s(params["connect_timeout"]))
    if (password := dsn.password()) is not None:
        given["password"] = password
    session: Session = psycopg.connect(**given, autocommit=True)
    try:
        settings = {
            **_SERVER,
            "search_path": f'"{dsn.schema}"',
            "lock_timeout": f"{max(1, round(lock_timeout_s * 1000))}ms",
            **({} if durable else {"synchronous_commit": "off"}),
        }
        calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
        values = [text for pair in settings.items() for text in pair]
        ((*_, encoding),) = session.execute(f"SELECT {calls}, current_setting('server_encoding')", values)
        if encoding != "UTF8":
            raise LedgerError(
                f"the ledger {dsn} can't be used: the database has the encoding {encoding}, which can't hold every "
                "text: name a database in UTF8 (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)"
            )
    except BaseException:
        session.close()
        raise
    return session


def _deadline_s(connect_timeout: str) -> float:
    """Return for how long to wait for a name server: as for the server, but never without a limit."""
    seconds = int(connect_timeout) if connect_timeout.isdecimal() else 0
    return float(seconds or int(_CLIENT["connect_timeout"]))
