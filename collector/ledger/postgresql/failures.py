"""What PostgreSQL, or the way to it, says, in the words of the person who has to do something about it.

A server's messages never hold a password. What the connection says comes without a code: it is told
apart by its English words, and shown as it is where there are others.
"""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from collector.errors import LedgerError
from collector.ledger.codec import DamagedError

FAILURES = (DBAPIError, PendingRollbackError, psycopg.Error, DamagedError)

# By SQLSTATE, or the beginning of one.
_MENDS = {
    "53100": "the server's disk is full: free some space there and call again",
    "53200": "the server is out of memory: see what works on it, and call again",
    "53300": "the server has too many connections: raise its max_connections or stop some clients (each collector "
    "takes two, `serve` four), and call again",
    "55P03": "another process has kept it locked for too long: see what works on it, and call again",
    "57014": "the server took longer than a statement may (statement_timeout): see what slows it down, and call again",
    "25006": "the server is a standby, which can't be written: name the primary, or all hosts: host1,host2",
    "42501": "this user may not do that: {said}; make it the owner of the schema "
    "(CREATE SCHEMA {schema} AUTHORIZATION …), or grant it CREATE on the database",
    "40": "other transactions came in between too often: call again",
}
# By what is said when no connection comes about.
_WORDS = (
    ("password authentication failed", "the user name or password is refused: correct the URL's user, and the "
     "password in state.password_file, PGPASSWORD or a passfile"),
    ("no password supplied", "the server wants a password: give its file with state.password_file, or PGPASSWORD; a "
     "passfile that others may read is ignored (chmod 600)"),
    ("pg_hba.conf", "the server doesn't let this user in from here, or not without TLS: have it added to its "
     "pg_hba.conf, or set sslmode: {said}"),
    ("is not permitted to log in", "{said}: ALTER ROLE … LOGIN"),
    ("permission denied for database", "{said}: GRANT CONNECT ON DATABASE …"),
    ("does not support ssl", "the server doesn't speak TLS, which the URL's sslmode asks for: switch it on there "
     "(ssl = on)"),
    ("root certificate file", "there are no authorities to trust: give their file with sslrootcert=…, "
     "or sslrootcert=system"),
    ("certificate file", "our certificate can't be used: {said}"),
    ("private key file", "our certificate's key can't be used: {said}"),
    ("certificate verify failed", "the server's certificate isn't signed by an authority of sslrootcert"),
    ("does not match host name", "the server's certificate is for another host: {said}"),
    ("does not exist", "{said}: create it, or correct the URL"),
    ("certificate", "the server's or our certificate is refused: {said}"),
    ("ssl error", "TLS can't be agreed on with the server: {said}"),
    ("too many clients", _MENDS["53300"]),
    ("remaining connection slots", _MENDS["53300"]),
    ("too many connections", _MENDS["53300"]),
    ("unsupported startup parameter", "a connection pooler stands in between, which can't hold a session's locks: name "
     "the server itself"),
    ("session is read-only", _MENDS["25006"]),
)  # fmt: skip
_PASSING_WORDS = ("starting up", "shutting down", "in recovery mode", "not yet accepting connections")
_BREAKS = ("08", "57P", "25P03")
_PASSES = (*_BREAKS, "40")
_GONE = "no server answers, or it went away: see whether it runs and can be reached from here, and call again: {said}"


def breaks(error: Exception) -> bool:
    """Say whether the session can't be used any more."""
    return _state(error).startswith(_BREAKS) or (
        not _state(error) and isinstance(_origin(error), psycopg.OperationalError)
    )


def passes(error: Exception) -> bool:
    """Say whether the same may work a little later."""
    state = _state(error)
    if state:
        return state.startswith(_PASSES)
    said = _said(error).lower()
    if any(words in said for words in _PASSING_WORDS):
        return True
    return isinstance(_origin(error), psycopg.OperationalError) and not any(words in said for words, _ in _WORDS)


def is_starting(error: Exception) -> bool:
    """Say whether a server answered that isn't ready yet."""
    return any(words in _said(error).lower() for words in _PASSING_WORDS)


def in_words(error: Exception, where: str, schema: str) -> LedgerError:
    """Return what went wrong with the ledger and what to do about it."""
    if isinstance(error, DamagedError):
        return LedgerError(
            f"the ledger {where} is damaged ({error}): restore a backup of it; or let it begin anew in another schema, "
            "and run `backfill` for the range again"
        )
    said = _said(error)
    return LedgerError(f"the ledger {where} can't be used: {_mend(error, said).format(said=said, schema=schema)}")


def _mend(error: Exception, said: str) -> str:
    state = _state(error)
    for beginning, mend in _MENDS.items():
        if state.startswith(beginning):
            return mend
    if not state or state.startswith(("28", "3D", "57P", "08")):
        for words, mend in _WORDS:
            if words in said.lower():
                return mend
        if isinstance(_origin(error), psycopg.OperationalError):
            return _GONE
    return "{said}"


def _origin(error: Exception) -> BaseException:
    return getattr(error, "orig", None) or error


def _state(error: Exception) -> str:
    return getattr(_origin(error), "sqlstate", None) or ""


def _said(error: Exception) -> str:
    """Return the message of the server in one line; without the statement, which SQLAlchemy would add."""
    origin = _origin(error)
    primary = origin.diag.message_primary if isinstance(origin, psycopg.Error) else None
    return " ".join((primary or str(origin)).split())
