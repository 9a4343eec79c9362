"""The URLs of the config: of the API, of the ledger, of the Pushgateway.

Owns which URLs a credential may be sent to. Opens none of them, and never shows a URL that
may contain a password.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, PlainValidator, SecretStr, WithJsonSchema

from collector.config.messages import expected, invalid
from collector.config.types import path_at_home
from collector.core.echo import PATH
from collector.core.urls import UnclearUrlError, Url

URL_CHARACTERS = re.compile(r"[^\s\\<>\"{}|^`\x00-\x20\x7f]+")
PLACEHOLDER = re.compile(r"\$\{|\$\(|\{\{")
HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+")
OUTPUTS = (
    "a directory, `-`, s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix or "
    "postgresql://host/database/table"
)
OBJECT_EXAMPLES = {
    "s3": "s3://bucket/prefix",
    "gs": "gs://bucket/prefix",
    "az": "az://account/container/prefix",
}
_SEGMENTS = r"(?:/[A-Za-z0-9._=+-]{1,200}){0,10}"
OBJECTS = {
    "s3": re.compile(rf"[a-z0-9][a-z0-9.-]{{1,62}}{_SEGMENTS}"),
    "gs": re.compile(rf"[a-z0-9][a-z0-9._-]{{1,221}}{_SEGMENTS}"),
    "az": re.compile(rf"[a-z0-9]{{3,24}}/[a-z0-9$][a-z0-9-]{{1,62}}{_SEGMENTS}"),
}
TABLE = re.compile(r"[a-z_][a-z0-9_]{0,62}\.[a-z_][a-z0-9_]{0,49}")
TABLE_EXAMPLE = "postgresql://user@host/database/schema.table"
LEDGERS = "`none`, sqlite:///path/to/file.db or postgresql://host/database"


def parse_http_url(value: object) -> str:
    """Return an http(s) URL of only scheme, host, port and path, without a trailing slash."""
    if not isinstance(value, str) or not value:
        raise invalid(expected("a URL such as https://api.lambdatest.com", value))
    if "@" in value:
        raise invalid("must not contain a user name or password (`…@`): use the keys for secrets instead")
    if not URL_CHARACTERS.fullmatch(value):
        raise invalid("contains a character that isn't allowed in a URL")
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname and HOST.fullmatch(parts.hostname)) and parts.port != 0
    except ValueError:
        parts, usable = SplitResult("https", "", "", "", ""), False
    if parts.scheme not in ("http", "https"):
        raise invalid(expected("a URL that begins with https://", value))
    if not usable:
        raise invalid("has no valid host or port: write it like https://api.lambdatest.com")
    if "?" in value:
        raise invalid("must not contain a query (`?…`): the collector adds its own")
    if "#" in value:
        raise invalid("must not contain a fragment (`#…`)")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def require_tls(url: str) -> str:
    """Return the URL if a credential may be sent there: https, or http on loopback."""
    parts = urlsplit(url)
    if parts.scheme == "https" or is_loopback(parts.hostname or ""):
        return url
    raise invalid("http:// would send credentials unencrypted: use https://, http is for loopback")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: localhost, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_ledger_url(value: object) -> SecretStr:
    """Return the ledger's URL; it may contain a password, so no message shows it."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not text:
        raise invalid(expected(LEDGERS, value))
    scheme, _, rest = text.partition("://")
    if "://" not in text and PATH.fullmatch(text) and ("/" in text or text.endswith(".db")):
        raise invalid(f"expected {LEDGERS}: write sqlite:///{text}")
    if text != "none" and (scheme not in ("sqlite", "postgresql") or "://" not in text):
        raise invalid(f"expected {LEDGERS}; the value isn't shown, as it may hold a password")
    if scheme == "sqlite" and (not rest.startswith("/") or len(rest) < 2):
        raise invalid("a sqlite URL has three slashes and a path: sqlite:///state/ledger.db")
    if scheme == "sqlite":
        return SecretStr(f"sqlite:///{path_at_home(rest[1:])}")
    if scheme == "postgresql" and not rest:
        raise invalid("a postgresql URL names a host and a database: postgresql://host/database")
    if scheme == "postgresql":
        if PLACEHOLDER.search(rest):
            raise invalid("the URL contains a placeholder that nothing replaces: set all of it in COLLECTOR_STATE__URL")
        from collector.ledger.postgresql.dsn import Dsn, UrlError  # noqa: PLC0415 - loads its driver

        try:
            Dsn.parse(text)
        except UrlError as error:
            raise invalid(f"the URL {error}") from None
    return SecretStr(text)


def ledger_url_of_file(url: str, directory: Path) -> str:
    """Return a ledger's URL with relative paths of certificates resolved from the config's directory."""
    if not url.startswith("postgresql://"):
        return url
    from collector.ledger.postgresql.dsn import with_files_beside  # noqa: PLC0415 - loads its driver

    return with_files_beside(url, directory)


def contains_password(url: str) -> bool:
    """Return whether a ledger's URL contains a password, or may do."""
    if not url.startswith("postgresql://"):
        return False
    try:
        parts = Url.parse(url)
    except UnclearUrlError:
        return True
    names = [pair.partition("=")[0] for pair in (parts.query or "").split("&")]
    return bool(parts.password) or any(unquote(name).endswith("password") for name in names)


def parse_output(value: str) -> str:
    """Return an output: a directory, `-`, or the URL of an object store or a table, without a secret in it.

    A URL that is refused isn't shown: it may hold a password.
    """
    scheme, found, rest = value.partition("://")
    if not found:
        return path_at_home(value)
    if scheme == "postgresql":
        return _table_url(value)
    if scheme not in OBJECTS:
        raise invalid(f"expected {OUTPUTS}")
    if not OBJECTS[scheme].fullmatch(rest.rstrip("/")) or {"", ".", ".."} & {*rest.rstrip("/").split("/")}:
        raise invalid(
            f"must be written like {OBJECT_EXAMPLES[scheme]}: letters, digits and `. _ = + -`, and no credentials, as "
            "they come from the environment"
        )
    return f"{scheme}://{rest.rstrip('/')}"


def _table_url(url: str) -> str:
    from collector.ledger.postgresql.dsn import Dsn, UrlError  # noqa: PLC0415 - loads its driver

    if contains_password(url):
        raise invalid("must not contain a password: use output.password_file, PGPASSWORD or a passfile")
    if PLACEHOLDER.search(url):
        raise invalid("the URL contains a placeholder that nothing replaces: set all of it in COLLECTOR_OUTPUT__PATH")
    base, table = split_table(url)
    if not TABLE.fullmatch(table) or len(Url.parse(base).path) < len("/d"):
        raise invalid(
            f"must name a database and a table in it: {TABLE_EXAMPLE}. The table's name has at most 50 lower-case "
            "letters, digits and _, and may follow a schema and a dot"
        )
    if "schema=" in base:
        raise invalid(f"must not have the parameter schema: write {TABLE_EXAMPLE}")
    try:
        Dsn.parse(base)
    except UrlError as error:
        raise invalid(f"the URL {error}") from None
    return url


def split_table(url: str) -> tuple[str, str]:
    """Return the URL of a table's database, and the table with its schema."""
    place, mark, query = url.partition("?")
    base, _, table = place.rpartition("/")
    return f"{base}{mark}{query}", table if "." in table else f"public.{table}"


HttpUrl = Annotated[
    str,
    PlainValidator(parse_http_url),
    WithJsonSchema({"type": "string", "pattern": r"^[hH][tT]{2}[pP][sS]?://[^?#@\s]+$"}),
]
ApiUrl = Annotated[HttpUrl, AfterValidator(require_tls)]
LedgerUrl = Annotated[
    SecretStr,
    PlainValidator(parse_ledger_url),
    WithJsonSchema({"type": "string", "pattern": "^(none|sqlite:///.+|postgresql://.+)$"}),
]
