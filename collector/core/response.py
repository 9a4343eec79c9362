"""Turns a reply of the API into an answer, or into a failure by what recovers from it.

A 200 becomes an `Answer` only if it has the documented shape *and* repeats the values of the request (`answer`).
Everything else is a `Failure` value (`statuses`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

from collector.core.answer import answer_of
from collector.core.statuses import failure_of
from collector.errors import Failure
from collector.model import Answer, ApiRequest

_LONGEST_RETRY_AFTER_S = 1e9  # beyond any budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP response: `headers` by lower-case name, `body` without its transfer encoding."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def interpret(
    reply: Reply, request: ApiRequest, *, now: datetime, pinned_org_id: str | None = None, by_token: bool = False
) -> Answer | Failure:
    """Return the answer or failure that a reply means. `now` is needed for a `Retry-After` that is a date.

    `by_token` is whether the request has a token, for the advice in a refusal.
    """
    if reply.status == 200:
        return answer_of(reply.body, request, pinned_org_id=pinned_org_id)
    retry_after_s = parse_retry_after(reply.headers.get("retry-after"), now=now)
    return failure_of(reply.status, reply.body, retry_after_s=retry_after_s, by_token=by_token)


def clock_skew(reply: Reply, *, now: datetime) -> timedelta | None:
    """Return how far our clock is ahead of the server's, by its `Date` header (RFC 9110, 6.6.1).

    Negative if ours is behind; None if the header is missing or invalid. A cache adds the `Age` of its answer.
    """
    try:
        age = timedelta(seconds=int(reply.headers.get("age", "0")))
        return now - (_date(reply.headers.get("date", "")) + age)
    except (ValueError, IndexError, OverflowError):
        return None


@lru_cache(maxsize=16)  # many answers have the same second
def _date(header: str) -> datetime:
    date = parsedate_to_datetime(header)
    return date.replace(tzinfo=date.tzinfo or UTC)


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds of a `Retry-After` header (RFC 9110, 10.2.3), None if it is missing or invalid."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER_S)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return max(0.0, (when - now).total_seconds())
