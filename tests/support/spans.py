"""An API in memory that answers for spans of any length, by the usage of each instant."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.core.response import Reply
from collector.model import ApiRequest, Org, Population, Window
from tests.support.fake_api import Script, answer

Usage = Mapping[datetime, int]  # tests by the instant at which they ran


@dataclass
class SpanApi:
    """The usage of each population, the same for every org, and the windows that were requested, in their order."""

    usage: dict[Population, dict[datetime, int]] = field(default_factory=lambda: {p: {} for p in Population})
    requested: list[tuple[str, Population, Window]] = field(default_factory=list)
    same_durations: bool = False  # every test takes equally long: then re-dated usage has the same sums

    @property
    def script(self) -> Script:
        return lambda org, request, _n: self.reply(org, request)

    def reply(self, org: Org, request: ApiRequest, *, one_more: bool = False) -> Reply:
        span = span_of(request)
        self.requested.append((org.name, request.population, span))
        usage = self.usage[request.population]
        instants = sorted(usage)
        inside = [
            at for at in instants[bisect_left(instants, span.start) : bisect_left(instants, span.end)] if usage[at]
        ]
        more = 1 if one_more and inside else 0
        products = {
            "automation": {
                "totalTests": sum(usage[at] for at in inside) + more,
                "totalDuration": sum(usage[at] * self._duration_of(at) for at in inside) + more,
            },
            "smartui": {"totalScreenshots": sum(usage[at] % 3 for at in inside)},
        }
        return answer(org, request, products=products, users=min(5, len(inside)))

    def _duration_of(self, at: datetime) -> int:
        return 1000 if self.same_durations else _duration_of(at)

    def requests(self, org: str, population: Population) -> int:
        return sum((name, of) == (org, population) for name, of, _ in self.requested)


def _duration_of(at: datetime) -> int:
    """Return how long a test takes: never the same, so that sums are equal only if their parts are."""
    return 1000 + int(at.timestamp()) // 3600 * 2_654_435_761 % 1_000_003


def span_of(request: ApiRequest) -> Window:
    """Return the span that a request is for."""
    start, end = (datetime.fromisoformat(f"{text}{request.timezone}") for text in (request.from_, request.to))
    return Window(start, end + timedelta(seconds=1))


def noon_of(days: Iterable[datetime], *, tests: int = 7) -> dict[datetime, int]:
    """Return some tests at noon of each of these days."""
    return {day + timedelta(hours=12): tests + number % 5 for number, day in enumerate(days)}
