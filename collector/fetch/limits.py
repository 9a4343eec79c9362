"""How many requests may be sent, in all and for one org."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from collector.core.request import MAX_SPAN, RangeEnd
from collector.core.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many requests in any such period."""

    requests: int
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits for all orgs together and for each by itself, and how requests are made."""

    concurrency: int = 16
    rate: RateLimit = RateLimit(10, 1.0)
    org_concurrency: int = 2
    org_rate: RateLimit = RateLimit(2, 1.0)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    range_end: RangeEnd = RangeEnd.INCLUSIVE
    max_span: timedelta = MAX_SPAN
