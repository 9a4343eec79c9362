"""Failures of PostgreSQL and of the connection to it, as messages that say what to do.

A server's messages never contain a password. A failed connection has no SQLSTATE: it is recognized by the
English text of its message. Of any other failure only the SQLSTATE, the kind and the place are shown.
"""

from __future__ import annotations

import re

import psycopg
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from collector.errors import LedgerAwayError, LedgerError, kind_of, place_of
from collector.ledger.codec import DamagedError
from collector.ledger.postgresql.pooler import SHARED

FAILURES = (DBAPIError, PendingRollbackError, psycopg.Error, DamagedError)

# What to do, by SQLSTATE or the prefix of one.
_FIXES = {
    "53100": "the server's disk is full: free some space there, then run again",
    "53200": "the server is out of memory: check what else it is running, then run again",
    "53300": "the server has too many connections: raise its max_connections or stop some clients (each collector "
    "takes two, `serve` five), then run again",
    "55P03": "another process kept it locked for too long: check which process uses it, then run again",
    "57014": "a statement took longer than the server's statement_timeout: check what slows the server down, "
    "then run again",
    "25006": "the server is a read-only standby: name the primary, or all hosts: host1,host2",
    "42501": "this user has no permission: {message}; make it the owner of the schema "
    "(CREATE SCHEMA {schema} AUTHORIZATION …), or grant it CREATE on the database",
    "40": "other transactions interfered too often: run again",
}
# What to do, by a part of the message when no connection is made.
_FIXES_BY_MESSAGE = (
    ("password authentication failed", "the server refused the user name or password: correct the user in the "
     "URL, or the password in state.password_file, PGPASSWORD or a passfile"),
    ("no password supplied", "the server requires a password: set state.password_file or PGPASSWORD; a passfile that "
     "other users can read is ignored (chmod 600)"),
    ("pg_hba.conf", "the server doesn't accept this user from this machine, or not without TLS: add the user to its "
     "pg_hba.conf, or set sslmode: {message}"),
    ("is not permitted to log in", "{message}: ALTER ROLE … LOGIN"),
    ("permission denied for database", "{message}: GRANT CONNECT ON DATABASE …"),
    ("does not support ssl", "the server doesn't support TLS, which the URL's sslmode requires: enable it on the "
     "server (ssl = on)"),
    ("root certificate file", "there is no file of trusted certificate authorities: set sslrootcert=FILE, "
     "or sslrootcert=system"),
    ("certificate file", "the client certificate can't be used: {message}"),
    ("private key file", "the key of the client certificate can't be used: {message}"),
    ("certificate verify failed", "the server's certificate isn't signed by an authority in sslrootcert"),
    ("does not match host name", "the server's certificate is for another host: {message}"),
    ("does not exist", "{message}: create it, or correct the URL"),
    ("certificate", "the certificate of the server or of the client is refused: {message}"),
    ("ssl error", "the TLS handshake with the server failed: {message}"),
    ("too many clients", _FIXES["53300"]),
    ("remaining connection slots", _FIXES["53300"]),
    ("too many connections", _FIXES["53300"]),
    ("unsupported startup parameter", SHARED),
    ("statement pooling", SHARED),
    ("session is read-only", _FIXES["25006"]),
)  # fmt: skip
_NO_TABLES = {"42P01", "3F000"}  # no such table, no such schema
# libpq quotes what is wrong in the URL, which may be a secret in the wrong place.
_VALUE = re.compile(
    r'(invalid (?:"[a-z_]+" )?[a-z_ -]*?(?:value|number|range|argument for server process))(?:: [^"]+|:? "[^"]*")'
)
_STARTING = ("starting up", "shutting down", "in recovery mode", "not yet accepting connections")
_SESSION_ENDS = ("08", "57P", "25P03")
_TEMPORARY = (*_SESSION_ENDS, "40")
_UNREACHABLE = (
    "the server doesn't answer, or the connection broke: check that it runs and is reachable from here, "
    "then run again: {message}"
)


def gone(where: str) -> LedgerError:
    """Return the error for a ledger whose tables were there before. An empty one would emit everything again."""
    return LedgerError(
        f"the ledger {where} is gone: its tables don't exist any more: restore a backup of them. To begin with an "
        "empty one, restart the service"
    )


def read_only(where: str) -> LedgerError:
    """Return the error for a server that accepts no writes."""
    return LedgerError(f"the ledger {where} can't be used: {_FIXES['25006']}")


def denied(where: str, schema: str) -> LedgerError:
    """Return the error for tables that this user may not write."""
    fix = _FIXES["42501"].format(message="it may not write the tables", schema=schema)
    return LedgerError(f"the ledger {where} can't be used: {fix}")


def ends_session(error: Exception) -> bool:
    """Return whether the session can no longer be used."""
    return _state(error).startswith(_SESSION_ENDS) or (
        not _state(error) and isinstance(_origin(error), psycopg.OperationalError)
    )


def is_temporary(error: Exception) -> bool:
    """Return whether the same transaction may succeed a little later."""
    state = _state(error)
    if state:
        return state.startswith(_TEMPORARY)
    message = _message(error).lower()
    if any(part in message for part in _STARTING):
        return True
    return isinstance(_origin(error), psycopg.OperationalError) and not any(
        part in message for part, _ in _FIXES_BY_MESSAGE
    )


def is_starting(error: Exception) -> bool:
    """Return whether a server answered that isn't ready yet."""
    return any(part in _message(error).lower() for part in _STARTING)


def to_ledger_error(error: Exception, where: str, schema: str) -> LedgerError:
    """Return the failure as an error that says what to do. `where` and `schema` name the ledger."""
    if _state(error) in _NO_TABLES:
        return gone(where)
    if isinstance(error, DamagedError):
        return LedgerError(
            f"the ledger {where} is damaged ({error}): restore a backup of it; or set another schema in state.url, "
            "and run `backfill --adopt` for the range: the new ledger takes over the output directory, with the "
            "revisions of the files in it"
        )
    kind = LedgerAwayError if is_temporary(error) else LedgerError
    return kind(f"the ledger {where} can't be used: {why(error, schema)}")


def why(error: Exception, schema: str) -> str:
    """Return the reason for a failure, and what to do."""
    message = _message(error)
    return _fix(error, message).format(message=message, schema=schema)


def _fix(error: Exception, message: str) -> str:
    state = _state(error)
    for prefix, fix in _FIXES.items():
        if state.startswith(prefix):
            return fix
    if not state or state.startswith(("28", "3D", "57P", "08")):
        for part, fix in _FIXES_BY_MESSAGE:
            if part in message.lower():
                return fix
        if isinstance(_origin(error), psycopg.OperationalError):
            return _UNREACHABLE
    return f"{state or kind_of(_origin(error))} at {place_of(error)}"


def _origin(error: Exception) -> BaseException:
    return getattr(error, "orig", None) or error


def _state(error: Exception) -> str:
    return getattr(_origin(error), "sqlstate", None) or ""


def _message(error: Exception) -> str:
    """Return the message of the server in one line, without the statement that SQLAlchemy adds."""
    origin = _origin(error)
    primary = origin.diag.message_primary if isinstance(origin, psycopg.Error) else None
    return _VALUE.sub(r"\1 (not shown)", " ".join((primary or str(origin)).split()))
