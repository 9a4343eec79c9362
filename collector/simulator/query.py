"""The query of the endpoint: from the wire to a checked question, or the documented 400.

Owns the parameters and their messages (api.md, "Request" and "Errors"). Never looks at
credentials, orgs or usage. Reads the query by itself: a `+` that wasn't percent-encoded
is a space here, as it is for every server.
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
    """The query isn't what the documents ask for: status 400, with this message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query that may be answered: what to echo, and which seconds are meant."""

    population: Population
    from_: str
    to: str
    timezone: str  # resolved, always ±HH:MM
    start_s: int  # UTC
    end_s: int  # UTC, the first second that isn't meant


def parameters(raw_query: str) -> dict[str, str]:
    """Return the decoded parameters; of one that is given twice, the first."""
    # Bytes that are no UTF-8 came through HTTP's parser as surrogates, which no JSON can hold.
    text = raw_query.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, value)
    return found


def read(given: dict[str, str], *, range_end: str = "inclusive") -> Question:
    """Return the question that the parameters ask, or raise BadQueryError."""
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
    return Question(
        population=population,
        from_=given["from"],
        to=given["to"],
        timezone=_resolved(offset_minutes),
        start_s=from_s - offset_minutes * 60,
        end_s=end_s - offset_minutes * 60,
    )


def _seconds(name: str, text: str) -> int:
    """Return the wall clock as seconds since 1970 on that clock."""
    if not _WALL_CLOCK.fullmatch(text):
        raise BadQueryError(f"invalid {name} format: {text} (expected YYYY-MM-DD HH:MM:SS)")
    elapsed = datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH
    return elapsed.days * 86_400 + elapsed.seconds


def _offset(text: str) -> int:
    """Return the minutes east of UTC."""
    if not _ZONE.fullmatch(text):
        raise BadQueryError(f"invalid timezone format: {text} (expected +HH:MM or -HH:MM, e.g. +05:30)")
    if ":" not in text:
        return -int(text)  # JavaScript counts west of UTC
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def _resolved(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"
