"""URLs that may hold a password: those of the ledger, of proxies, of the API and of the Pushgateway.

Owns which of them are read at all. A reserved character that isn't escaped makes a URL mean something else than its
writer meant: half of a password becomes a host, a path or a parameter, which messages show. So such a URL is
refused, and no message of the refusal shows any part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

ESCAPING = (
    "escape reserved characters of a user name or password (`/ ? # [ ] @ % & =` and spaces) as %XX, for example `@` as "
    "%40"
)
_ESCAPE = "%[0-9A-Fa-f]{2}"
_NAME = rf"(?:[^\s\x00-\x20\x7f:/?#\[\]@%]|{_ESCAPE})"
_HOST = rf"(?:\[[0-9A-Fa-f:.]+\]|(?:[\w.-]|{_ESCAPE})*)(?::[0-9]{{0,5}})?"
_URL = re.compile(
    rf"""(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://
    (?:(?P<user>{_NAME}*)(?::(?P<password>(?:{_NAME}|:)*))?@)?
    (?P<hosts>{_HOST}(?:,{_HOST})*)
    (?P<path>(?:/(?:[^\s\x00-\x20\x7f?#@%]|{_ESCAPE})*)?)
    (?:\?(?P<query>(?:[^\s\x00-\x20\x7f#@%]|{_ESCAPE})*))?
    """,
    re.VERBOSE,
)
_QUERY = re.compile("(?:[^&=]+=[^&]*(?:&[^&=]+=[^&]*)*)?")


class UnclearUrlError(ValueError):
    """A URL is ambiguous. The message shows no part of it, and continues "the URL …"."""


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL that is clear. User and password are decoded, the rest is as it is written."""

    scheme: str
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    hosts: str
    path: str
    query: str | None = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Url:
        """Return the parts of a URL. Raises UnclearUrlError."""
        found = _URL.fullmatch(text)
        if found is None or not _QUERY.fullmatch(found["query"] or ""):
            raise UnclearUrlError(f"is ambiguous: {ESCAPING}")
        user, password = (None if part is None else unquote(part) for part in found.group("user", "password"))
        return cls(found["scheme"].lower(), user, password, found["hosts"], found["path"], found["query"])
