"""The DSN of a ledger in PostgreSQL: the connection parameters of its URL, and the schema.

The URL has libpq's format, so its parameters (TLS, several hosts, a service) work as in every other
client. Only the parameter `schema` is ours. No message shows a part of the URL that may be a password.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from collector.core.urls import UnclearUrlError, Url
from collector.disk import HomeError, at_home
from collector.errors import LedgerError

SCHEMA = "collector"
EXAMPLE = "postgresql://user@host:5432/database?sslmode=verify-full"
FILES = frozenset({"passfile", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir"})
_NO_FILES = frozenset({"system"})  # values of FILES that aren't paths
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_MAX_SECRET = 64 * 2**10


class UrlError(ValueError):
    """A URL can't be used. The message says why, and shows nothing that may be a password."""


@dataclass(frozen=True, slots=True)
class Dsn:
    """A schema in a database of a server, and how to connect to it."""

    params: Mapping[str, str] = field(repr=False)  # names and values of libpq
    schema: str
    password_file: Path | None = None

    @classmethod
    def of(cls, url: str, *, password_file: Path | None = None) -> Dsn:
        """Return the DSN of a URL. Raises LedgerError."""
        try:
            return cls.parse(url, password_file=password_file)
        except UrlError as error:
            raise LedgerError(f"the ledger's URL {error}") from None

    @classmethod
    def parse(cls, url: str, *, password_file: Path | None = None) -> Dsn:
        """Return the DSN of a URL. Raises UrlError; its message continues the sentence "the URL …"."""
        try:
            clear = Url.parse(url)
        except UnclearUrlError as error:
            raise UrlError(f"{error}; or give the password in state.password_file") from None
        if "/" in clear.path[1:]:
            raise UrlError(f"names no database, or more than one: write it like {EXAMPLE}")
        base, query = split(url)
        schemas = [value for name, value in query if name == "schema"]
        if any(not _NAME.fullmatch(name) or name.startswith("pg_") for name in schemas) or len(schemas) > 1:
            raise UrlError("must name one schema, in lower-case letters, digits and _: ?schema=collector")
        rest = [(name, _at_home(name, value)) for name, value in query if name != "schema"]
        _check_names([name for name, _ in rest])
        try:
            found = conninfo_to_dict(_joined(base, rest))
        except ProgrammingError:
            # libpq's message shows the part that it couldn't parse, which may be the password.
            raise UrlError(f"can't be parsed: write it like {EXAMPLE}") from None
        params = {name: str(value) for name, value in found.items() if value not in (None, "")}
        if "dbname" not in params:
            raise UrlError(f"names no database: write it like {EXAMPLE}")
        if "search_path" in params.get("options", ""):
            raise UrlError("must not set a search_path: name the ledger's schema with ?schema=…")
        if "sslkeylogfile" in params:
            raise UrlError("must not set an sslkeylogfile: with the keys in it, others could read the connection")
        if password_file is not None and "password" in params:
            raise UrlError(
                "contains a password, and state.password_file is set as well: give the password in one place only"
            )
        return cls(params, schemas[0] if schemas else SCHEMA, password_file)

    def __str__(self) -> str:
        """Return the URL without user and password."""
        hosts = self.params.get("host", self.params.get("hostaddr", "")).split(",")
        ports = self.params.get("port", "").split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        at = ",".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
        schema = "" if self.schema == SCHEMA else f"?schema={self.schema}"
        return f"postgresql://{at}/{self.params['dbname']}{schema}"

    def dump_command(self, target: Path) -> str:
        """Return the command that backs up the schema to a file. It has no secret: `pg_dump` asks for the password."""
        secrets = {option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar == b"*"}
        params = {name: value for name, value in self.params.items() if name not in secrets}
        words = [
            f"--dbname={make_conninfo(**params)}",
            f"--schema={self.schema}",
            "--format=custom",
            f"--file={target}",
        ]
        return shlex.join(["pg_dump", *words])

    def lock_key(self, name: str) -> int:
        """Return the key of an advisory lock. It differs between ledgers that share a database."""
        digest = hashlib.sha256(f"usage collector\0{self.schema}\0{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def password(self) -> str | None:
        """Return the password from its file, if there is one. The file is read each time. Raises LedgerError."""
        if self.password_file is None:
            return None
        try:
            return read_password(self.password_file)
        except UrlError as error:
            raise LedgerError(f"the ledger {self} can't be used: the file in state.password_file {error}") from None


def read_password(file: Path) -> str:
    """Return the password in a file. Raises UrlError; its message continues the sentence "the file …"."""
    try:
        text = file.read_bytes()[:_MAX_SECRET].decode()
    except OSError as error:
        raise UrlError(f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UrlError("isn't UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text or "\0" in text:
        raise UrlError("must hold one line with the password and nothing else")
    return text


def split(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a clear URL into the part before its query and the query."""
    base, _, query = url.partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    return base, [(unquote(name), unquote(value)) for name, _, value in pairs]


def with_files_beside(url: str, directory: Path) -> str:
    """Return a URL in which the relative paths of files are joined to a directory."""
    try:
        Url.parse(url)
    except UnclearUrlError:
        return url  # it is refused as it is
    base, query = split(url)
    resolved = [
        (name, str(directory / value) if _is_file(name, value) and not value.startswith("~") else value)
        for name, value in query
    ]
    return url if resolved == query else _joined(base, resolved)


def _is_file(name: str, value: str) -> bool:
    return name in FILES and bool(value) and value not in _NO_FILES


def _at_home(name: str, value: str) -> str:
    """Return a parameter's value, `~` being the home directory: libpq doesn't know it. Raises UrlError."""
    try:
        return at_home(value) if _is_file(name, value) else value
    except HomeError as error:
        raise UrlError(f"has a file in its parameter {name} that {error}") from None


def _joined(base: str, query: list[tuple[str, str]]) -> str:
    return f"{base}?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in query)


def _check_names(names: list[str]) -> None:
    known = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
    for name in names:
        if name not in known and name != "ssl":
            near = difflib.get_close_matches(name, [*known, "schema"], n=1)
            hint = f"did you mean {near[0]}?" if near else "it isn't shown, as it may be a part of a password"
            raise UrlError(f"has a parameter that PostgreSQL doesn't know; {hint}")
