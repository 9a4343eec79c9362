"""The present truth: what is known now of each window, and the records of it that count.

A record is the newest of its `record_id`. A number is *known* if it was measured, or inferred to be zero. It is unknown
where the window was never fetched or failed, where a partial answer didn't have it, and where a zero may be deleted
data: never zero. Pure: `collector.app.present` reads it of a ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from collector.core.anomalies import Anomalies, Anomaly
from collector.core.coverage_lines import SliceAccount
from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import Restatement
from collector.core.normalise import ids_of
from collector.core.org_coverage import FETCHED, CoverageState
from collector.model import Granularity, Population, Quality, Window

KNOWN = frozenset({Quality.MEASURED, Quality.INFERRED})
_ANSWERED = frozenset({*FETCHED, CoverageState.PARTIAL})  # a number that came in such a window is one of the API


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentOrg:
    """An org as records would have it now; without labels if the config doesn't have it any more."""

    name: str
    org_id: str | None = None
    org_name: str | None = None
    labels: Mapping[str, str]
    in_config: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the ledger holds of a slice, with its numbers."""

    end: datetime
    account: SliceAccount
    emission: Emission | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentWindow:
    """One population of one org in one window: its state, and the numbers that were last emitted for it."""

    org: PresentOrg
    population: Population
    granularity: Granularity
    timezone: str
    window_date: date
    window_start: datetime  # with the zone's offset, as the end
    window_end: datetime
    state: CoverageState
    reason: str | None = None
    fetched_at: datetime | None = None
    anomalies: Anomalies
    emission: Emission | None = None

    @property
    def products(self) -> Mapping[str, Emitted]:
        """The products that have a record."""
        return {} if self.emission is None else self.emission.products

    @property
    def is_open(self) -> bool:
        """Whether products without a record may have been used: only a whole answer has all of them."""
        return self.state not in FETCHED

    def knows(self, product: str) -> bool:
        """Return whether the numbers of a product are known. Without a record, a whole answer says that it has none."""
        if product in self.products:
            return self.state in _ANSWERED and self.products[product].quality in KNOWN
        return not self.is_open and product not in self.anomalies.get(Anomaly.PRODUCT_MISSING, ())

    def unknown(self, products: Collection[str] = ()) -> Sequence[str] | None:
        """Return the products whose numbers are unknown, of these or of all; None: of any of them."""
        if self.state not in _ANSWERED:
            return None
        missing = self.anomalies.get(Anomaly.PRODUCT_MISSING, ())
        found = [one for one in dict.fromkeys(products or [*self.products, *missing]) if not self.knows(one)]
        return None if self.is_open and not found and not products else found

    def is_unknown(self, products: Collection[str] = ()) -> bool:
        """Return whether any number of the window is unknown: of these products, or of all."""
        return self.unknown(products) != []


class PresentRecord(NamedTuple):
    """The newest record of one product in one window, as a `collect` would emit it now, with the window's state."""

    record_id: str | None
    revision: int
    org: str
    org_id: str | None
    org_name: str | None
    labels: Mapping[str, str]
    population: Population
    product: str
    granularity: Granularity
    timezone: str
    window_date: date
    window_start: datetime
    window_end: datetime
    total_tests: int | None
    total_duration: int | None
    total_screenshots: int | None
    org_users: int | None
    quality: Quality
    state: CoverageState
    anomalies: Sequence[str]
    extra: Mapping[str, object] | None


class RestatedRecord(NamedTuple):
    """A record that was restated: as it was at an instant, and as it is now."""

    before: Emitted
    users_before: int | None
    now: PresentRecord
    changed_at: datetime  # the last time
    run_id: str  # of that time
    restatements: int  # since that instant
    is_new: bool = False  # nothing of its window had been emitted at that instant: `before` is what came first

    @property
    def differs(self) -> bool:
        """Whether its numbers, its users or its quality are others than they were."""
        now, usage = self.now, self.before.usage
        before = (self.before.quality, usage.total_tests, usage.total_duration, usage.total_screenshots)
        return (*before, usage.extra or None, self.users_before) != (
            now.quality,
            now.total_tests,
            now.total_duration,
            now.total_screenshots,
            now.extra,
            now.org_users,
        )


def records_of(window: PresentWindow, products: Collection[str] = ()) -> Iterator[PresentRecord]:
    """Yield the records of a window, of these products or of all, in the order of the answer."""
    if window.emission is None:
        return
    org = window.org
    span = Window(window.window_start, window.window_end)
    id_of = None if org.org_id is None else ids_of(org.org_id, window.population, span)
    for product, emitted in window.emission.products.items():
        if products and product not in products:
            continue
        usage = emitted.usage
        yield PresentRecord(
            record_id=None if id_of is None else id_of(product),
            revision=emitted.revision,
            org=org.name,
            org_id=org.org_id,
            org_name=org.org_name,
            labels=org.labels,
            population=window.population,
            product=product,
            granularity=window.granularity,
            timezone=window.timezone,
            window_date=window.window_date,
            window_start=window.window_start,
            window_end=window.window_end,
            total_tests=usage.total_tests,
            total_duration=usage.total_duration,
            total_screenshots=usage.total_screenshots,
            org_users=window.emission.users,
            quality=emitted.quality,
            state=window.state,
            anomalies=[kind.value for kind, of in window.anomalies.items() if not of or product in of],
            extra=usage.extra or None,
        )


def restated(
    window: PresentWindow,
    restatements: Sequence[Restatement],
    products: Collection[str] = (),
    *,
    since: datetime | None = None,
) -> Iterator[RestatedRecord]:
    """Yield the records of a window that restatements, oldest first, replaced; also those that are equal again."""
    is_new = since is not None and bool(restatements) and restatements[0].replaced.emitted_at >= since
    for record in records_of(window, products):
        of = [one for one in restatements if record.product in one.replaced.products]
        if of:
            yield RestatedRecord(
                before=of[0].replaced.products[record.product],
                users_before=of[0].replaced.users,
                now=record,
                changed_at=of[-1].at,
                run_id=of[-1].run_id,
                restatements=len(of),
                is_new=is_new,
            )
