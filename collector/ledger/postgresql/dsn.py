"""Where a ledger on PostgreSQL lies: what its URL says, in the words of libpq, and a schema of its own.

The URL is libpq's, so its parameters (TLS, several hosts, a service) are those of every other
client; `schema` is the one that is ours. No message shows anything of it that may be a password.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict

from collector.errors import LedgerError

SCHEMA = "collector"
EXAMPLE = "postgresql://user@host:5432/database?sslmode=verify-full"
FILES = frozenset({"passfile", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir"})
_NO_FILES = frozenset({"system"})  # what those may be beside a path
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SHOWN = re.compile(r"[A-Za-z0-9_]{1,40}")
_MAX_SECRET = 64 * 2**10


class UrlError(ValueError):
    """What is wrong with a URL; the message holds nothing of it that may be a password."""


@dataclass(frozen=True, slots=True)
class Place:
    """A schema in a database of a server."""

    params: Mapping[str, str] = field(repr=False)  # libpq's
    schema: str
    password_file: Path | None = None

    @classmethod
    def of(cls, url: str, *, password_file: Path | None = None) -> Place:
        """Return the place that a URL names. Raises LedgerError."""
        try:
            return cls.parse(url, password_file=password_file)
        except UrlError as error:
            raise LedgerError(f"the ledger's URL {error}") from None

    @classmethod
    def parse(cls, url: str, *, password_file: Path | None = None) -> Place:
        """Return the place that a URL names. Raises UrlError, whose message follows on "the URL"."""
        base, query = split(url)
        schemas = [value for name, value in query if name == "schema"]
        if any(not _NAME.fullmatch(name) or name.startswith("pg_") for name in schemas) or len(schemas) > 1:
            raise UrlError("must name one schema by small letters, digits and _: ?schema=collector")
        rest = [(name, value) for name, value in query if name != "schema"]
        _check_names([name for name, _ in rest])
        try:
            found = conninfo_to_dict(_joined(base, rest))
        except ProgrammingError:
            # What libpq says shows what it couldn't read.
            raise UrlError(f"can't be read: {EXAMPLE} can; what is special in a password is written as %XX") from None
        params = {name: str(value) for name, value in found.items() if value not in (None, "")}
        if "dbname" not in params:
            raise UrlError(f"names no database: {EXAMPLE} does")
        if "search_path" in params.get("options", ""):
            raise UrlError("must not set a search_path: name the ledger's schema with ?schema=…")
        if password_file is not None and "password" in params:
            raise UrlError("holds a password, and state.password_file is given as well: it is given in one way")
        return cls(params, schemas[0] if schemas else SCHEMA, password_file)

    def __str__(self) -> str:
        """Return it without user and password."""
        hosts = self.params.get("host", self.params.get("hostaddr", "")).split(",")
        ports = self.params.get("port", "").split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        at = ",".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
        schema = "" if self.schema == SCHEMA else f"?schema={self.schema}"
        return f"postgresql://{at}/{self.params['dbname']}{schema}"

    def lock_key(self, name: str) -> int:
        """Return the number of a lock: two ledgers in one database don't meet."""
        digest = hashlib.sha256(f"usage collector\0{self.schema}\0{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def password(self) -> str | None:
        """Read the password's file, if there is one: it may have a new one by now. Raises LedgerError."""
        if self.password_file is None:
            return None
        try:
            return read_password(self.password_file)
        except UrlError as error:
            raise LedgerError(f"the ledger {self} can't be used: the password's file {error}") from None


def read_password(file: Path) -> str:
    """Return the password in a file. Raises UrlError, whose message follows on "the file"."""
    try:
        text = file.read_bytes()[:_MAX_SECRET].decode()
    except OSError as error:
        raise UrlError(f"{file} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UrlError(f"{file} isn't UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text or "\0" in text:
        raise UrlError(f"{file} must hold the password and nothing else, in one line")
    return text


def split(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a URL up to its query, and the query; as libpq does, by which a password may hold a `?`."""
    scheme, _, rest = url.partition("://")
    sign = min((at for mark in "@/" if (at := rest.find(mark)) >= 0), default=-1)
    user, rest = (rest[: sign + 1], rest[sign + 1 :]) if sign >= 0 and rest[sign] == "@" else ("", rest)
    base, _, query = rest.partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    return f"{scheme}://{user}{base}", [(unquote(name), unquote(value)) for name, _, value in pairs]


def with_files_beside(url: str, directory: Path) -> str:
    """Return a URL whose files that are relative are so to a directory."""
    base, query = split(url)
    beside = [
        (name, str(directory / value) if name in FILES and value and value not in _NO_FILES else value)
        for name, value in query
    ]
    return url if beside == query else _joined(base, beside)


def _joined(base: str, query: list[tuple[str, str]]) -> str:
    return f"{base}?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in query)


def _check_names(names: list[str]) -> None:
    known = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
    for name in names:
        if name in known or name == "ssl":
            continue
        if not _SHOWN.fullmatch(name):
            raise UrlError("has a parameter that PostgreSQL doesn't know; it isn't shown, as it may be a password")
        near = difflib.get_close_matches(name, [*known, "schema"], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UrlError(f"has the parameter {name!r}, which PostgreSQL doesn't know{hint}")
