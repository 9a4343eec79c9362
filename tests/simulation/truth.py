"""What was really used: a function of the seed, the slice and the time at which one looks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache

from collector.core.windows import Calendar
from collector.model import Granularity, Population, Window, Zone
from tests.simulation.scenario import OrgSpec

Products = dict[str, dict[str, int]]
PRODUCTS = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice", "smartui")
GROUPS = (("automation", "app-automation", "hyperexecute"), ("realtime", "realdevice", "browser-cloud"), ("smartui",))
_NEW = "browser-cloud"


@dataclass(frozen=True, slots=True)
class SliceId:
    """A slice as the API knows it."""

    org_id: str
    population: Population
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.org_id}/{self.population.value[:3]}/{self.start:%m-%dT%H:%MZ}+{(self.end - self.start)}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """An answer's, before anything goes wrong with it."""

    users: int
    products: Products

    @property
    def is_zero(self) -> bool:
        return not self.users and not any(any(metrics.values()) for metrics in self.products.values())


@dataclass(slots=True)
class Truth:
    """Of one seed."""

    seed: int
    start: datetime
    _bytes: dict[SliceId, bytes] = field(default_factory=dict)

    def of(self, org: OrgSpec, slice_: SliceId, at: datetime) -> Numbers:
        """Return what the API would count of a slice at an instant, or of a span of adjoining windows."""
        windows = windows_of(org, slice_)
        if len(windows) == 1:
            return self._of_window(org, slice_, at)
        return _sum([self._of_window(org, window, at) for window in windows])

    def _of_window(self, org: OrgSpec, slice_: SliceId, at: datetime) -> Numbers:
        chance = self._chance(slice_)
        visible = self._visible(org, slice_, at, chance)
        idle = chance[0] / 256 < org.usage.idle
        products = {
            name: _metrics(name, 0 if idle or (i and org.usage.one_product) else int(_size(chance[i + 1]) * visible))
            for i, name in enumerate(PRODUCTS)
        }
        new_from = org.usage.new_product_after
        if new_from is not None and at >= self.start + new_from:
            products[_NEW] = {"totalTests": _size(chance[9]), "totalCredits": chance[10]}
        if _forgotten(org, slice_, at):
            products = {name: dict.fromkeys(metrics, 0) for name, metrics in products.items()}
        counted = any(any(metrics.values()) for metrics in products.values())
        return Numbers(users=1 + chance[11] % 30 if counted else 0, products=products)

    def _visible(self, org: OrgSpec, slice_: SliceId, at: datetime, chance: bytes) -> float:
        """Return the share that is counted by then: less while the window is open or its data is late."""
        if at < slice_.end:
            return max(0.0, (at - slice_.start) / (slice_.end - slice_.start)) * 0.5
        final = at >= slice_.end + org.usage.late_by * (chance[12] / 255)
        if not final and chance[13] / 256 < org.usage.late:
            return 0.5 + chance[14] / 512
        return 0.9 if final and chance[15] / 256 < org.usage.corrected else 1.0

    def _chance(self, slice_: SliceId) -> bytes:
        found = self._bytes.get(slice_)
        if found is None:
            key = f"{self.seed} {slice_.org_id} {slice_.population.value} {slice_.start} {slice_.end}"
            found = self._bytes[slice_] = hashlib.blake2b(key.encode(), digest_size=16).digest()
        return found


def windows_of(org: OrgSpec, slice_: SliceId) -> list[SliceId]:
    """Return the windows that a request is for: one, or those of a span."""
    return [replace(slice_, start=start, end=end) for start, end in _windows(org.zone, org.granularity, slice_)]


@lru_cache(20_000)
def _windows(zone: str, granularity: Granularity, slice_: SliceId) -> list[tuple[datetime, datetime]]:
    calendar = Calendar(Zone.parse(zone), granularity)
    if calendar.floor(slice_.start) != slice_.start or calendar.after(slice_.start) >= slice_.end:
        return [(slice_.start, slice_.end)]
    return [(window.start, window.end) for window in calendar.split(Window(slice_.start, slice_.end))]


def _sum(parts: Sequence[Numbers]) -> Numbers:
    """Return the total of windows. Users are distinct: as few as there can be."""
    products: Products = {}
    for part in parts:
        for name, metrics in part.products.items():
            sums = products.setdefault(name, {})
            for metric, number in metrics.items():
                sums[metric] = sums.get(metric, 0) + number
    return Numbers(users=max(part.users for part in parts), products=products)


def _size(chance: int) -> int:
    """A quarter of the products were not used, the others very differently."""
    return 0 if chance < 64 else (chance - 60) ** 2


def _metrics(product: str, tests: int) -> dict[str, int]:
    if product == "smartui":
        return {"totalScreenshots": tests}
    return {"totalTests": tests, "totalDuration": tests * 37}


def _forgotten(org: OrgSpec, slice_: SliceId, at: datetime) -> bool:
    after: timedelta | None = org.usage.forgets_after
    return after is not None and at >= slice_.end + after
