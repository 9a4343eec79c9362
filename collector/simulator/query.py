"""Parse and check the query of the endpoint, or reject it with the documented 400.

Owns the parameters and their messages (the API's documents, "Request" and "Errors"). Knows no
credentials, orgs or usage. As on every server, a `+` that isn't percent-encoded is a space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from collector.simulator.habits import Population

MAX_SPAN_S = 90 * 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_YEAR = r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY_OF_YEAR = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
WALL_CLOCK_PATTERN = rf"^(?:{_YEAR}-{_DAY_OF_YEAR}|{_LEAP_YEAR}-02-29) (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
ZONE_PATTERN = (
    r"^(?:[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00)"
    r"|-?(?:[0-9]|[1-9][0-9]|[1-7][0-9]{2}|8[0-3][0-9]|840))$"
)
_WALL_CLOCK = re.compile(WALL_CLOCK_PATTERN)
_ZONE = re.compile(ZONE_PATTERN)


class BadQueryError(Exception):
    """The query is invalid: status 400, with this message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """A valid query: the texts to echo, and the range in seconds."""

    population: Population
    from_: str
    to: str
    timezone: str  # normalized to ±HH:MM
    start_s: int  # UTC
    end_s: int  # UTC, exclusive


def parameters(raw_query: str) -> dict[str, str]:
    """Return the decoded parameters. If one is given twice, the first counts."""
    # The HTTP parser turns bytes that aren't UTF-8 into surrogates, which JSON can't represent.
    text = raw_query.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, value)
    return found


def read(given: dict[str, str], *, range_end: str = "inclusive") -> UsageQuery:
    """Return the query of the parameters. Raises BadQueryError."""
    try:
        population = Population(given.get("type", ""))
    except ValueError:
        raise BadQueryError("invalid or missing type (valid: [account-user service-user])") from None
    for name in ("from", "to"):
        if not given.get(name):
            raise BadQueryError(f"{name} is required")
    offset_minutes = _offset(given.get("timezone", "+00:00"))
    from_s, to_s = _seconds("from", given["from"]), _seconds("to", given["to"])
    if to_s <= from_s:
        raise BadQueryError("to must be after from")
    end_s = to_s + 1 if range_end == "inclusive" else to_s
    if end_s - from_s > MAX_SPAN_S:
        raise BadQueryError("date range exceeds maximum allowed span of 90 days")
    return UsageQuery(
        population=population,
        from_=given["from"],
        to=given["to"],
        timezone=_resolved(offset_minutes),
        start_s=from_s - offset_minutes * 60,
        end_s=end_s - offset_minutes * 60,
    )


def _seconds(name: str, text: str) -> int:
    """Return a wall-clock time as seconds since 1970 on the same clock."""
    if not _WALL_CLOCK.fullmatch(text):
        raise BadQueryError(f"invalid {name} format: {text} (expected YYYY-MM-DD HH:MM:SS)")
    elapsed = datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH
    return elapsed.days * 86_400 + elapsed.seconds


def _offset(text: str) -> int:
    """Return the minutes east of UTC."""
    if not _ZONE.fullmatch(text):
        raise BadQueryError(f"invalid timezone format: {text} (expected +HH:MM or -HH:MM, e.g. +05:30)")
    if ":" not in text:
        return -int(text)  # JavaScript counts minutes west of UTC
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def _resolved(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"
