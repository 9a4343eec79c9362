"""A session with the server: nothing in it waits for ever, on either side.

What the URL says goes before what is set here. A connection whose other end is gone is noticed
within about a minute, by the server too: then it lets go of what the session held.
"""

from __future__ import annotations

from typing import Any

import psycopg

from collector.ledger.postgresql.dsn import Place

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
    # A process that is stopped in mid-transaction holds up all others.
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

Session = psycopg.Connection[tuple[Any, ...]]


def connect(place: Place, *, durable: bool = True, lock_timeout_s: float) -> Session:
    """Return a new session, in which transactions are begun by hand. Raises psycopg.Error, and LedgerError."""
    given: dict[str, Any] = {**_CLIENT, **place.params}
    if (password := place.password()) is not None:
        given["password"] = password
    session: Session = psycopg.connect(**given, autocommit=True)
    try:
        settings = {
            **_SERVER,
            "search_path": f'"{place.schema}"',
            "lock_timeout": f"{max(1, round(lock_timeout_s * 1000))}ms",
            **({} if durable else {"synchronous_commit": "off"}),
        }
        calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
        session.execute(f"SELECT {calls}", [text for pair in settings.items() for text in pair])
    except BaseException:
        session.close()
        raise
    return session
