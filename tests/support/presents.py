"""Windows as a ledger would have them, for tests of sums and costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from collector.core.emission import Emission, Emitted
from collector.core.org_coverage import CoverageState
from collector.core.present import PresentOrg, PresentWindow
from collector.model import Granularity, Population, ProductUsage, Quality

ACME = PresentOrg(name="acme", org_id="1", org_name="Acme", labels={"team": "qa"})
DAY = date(2026, 6, 23)
Usage = ProductUsage | Quality  # a quality: nothing is known


def usage(tests: int | None = None, duration: int | None = None, screenshots: int | None = None) -> ProductUsage:
    """Return the numbers of a product."""
    return ProductUsage(total_tests=tests, total_duration=duration, total_screenshots=screenshots)


def emitted(of: Usage, *, revision: int = 1) -> Emitted:
    """Return what was emitted of a product."""
    if isinstance(of, ProductUsage):
        return Emitted(revision=revision, quality=Quality.MEASURED, usage=of)
    return Emitted(revision=revision, quality=of, usage=usage(0) if of is Quality.UNVERIFIED else usage())


def window(
    products: Mapping[str, Usage] | None = None,
    *,
    day: date = DAY,
    days: int = 1,
    state: CoverageState = CoverageState.COMPLETE,
    **more: Any,
) -> PresentWindow:
    """Return a window of so many days in UTC; without products, one that has no record."""
    start = datetime.combine(day, time(), UTC)
    emission = None
    if products is not None:
        found = {name: emitted(of) for name, of in products.items()}
        emission = Emission(emitted_at=start + timedelta(days=days, hours=7), users=3, products=found)
    values: dict[str, Any] = {
        "org": ACME,
        "population": Population.ACCOUNT_USER,
        "granularity": Granularity.DAY if days == 1 else Granularity.MONTH,
        "timezone": "UTC",
        "window_date": day,
        "window_start": start,
        "window_end": start + timedelta(days=days),
        "state": state,
        "anomalies": {},
        "emission": emission,
    }
    return PresentWindow(**(values | more))
