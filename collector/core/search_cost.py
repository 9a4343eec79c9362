"""How many requests searches send, before any is sent: between what they cost if all is empty, and if nothing is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from collector.core.allowance import WINDOWS_PER_SPAN
from collector.core.search import Search
from collector.model import Answer, Population, Window

_EMPTY = Answer(org_id="", org_name="", users=0, products={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """How many requests the windows of one search take if all are empty that may be settled."""

    windows: int
    least: int
    searched: bool  # whether any may be settled


Costs = Mapping[Population, Cost]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many requests there are at least and at most, but for retries."""

    least: int
    most: int

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """The requests for each org, and for all: what searches of one org cost more, those of others must have saved."""

    orgs: Sequence[Bounds]
    all: Bounds

    @classmethod
    def of(cls, orgs: Sequence[Costs]) -> Requests:
        """Return the requests for orgs, each with what the search of each population costs."""
        extra = {one: _extra([costs[one] for costs in orgs if one in costs]) for one in Population}
        bounds = [_bounds(costs, extra) for costs in orgs]
        windows = sum(cost.windows for costs in orgs for cost in costs.values())
        whole = Bounds(least=sum(one.least for one in bounds), most=windows + sum(extra.values()))
        return cls(orgs=bounds, all=whole)


def cost(windows: Sequence[Window], settles: Callable[[Window], bool], *, max_span: timedelta) -> Cost:
    """Return what a search costs."""
    search, requests = Search(max_span=max_span, allowance=None), 0
    search.begin(windows, settles, behind=0, considered=len(windows))
    while (window := search.next()) is not None:
        requests += 1
        search.answered(window, _EMPTY)
        search.settle()
    return Cost(windows=len(windows), least=requests, searched=any(map(settles, windows)))


def _extra(costs: Sequence[Cost]) -> int:
    """Return how many requests more than windows searches may send together (`Allowance`)."""
    return sum(one.windows for one in costs) // WINDOWS_PER_SPAN if any(one.searched for one in costs) else 0


def _bounds(costs: Costs, extra: Mapping[Population, int]) -> Bounds:
    least = most = 0
    for population, one in costs.items():
        searched = one.searched and extra[population] > 0
        least += one.least if searched else one.windows
        most += one.windows + (min(one.windows, extra[population]) if searched else 0)
    return Bounds(least=least, most=most)
