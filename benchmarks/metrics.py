"""What `/metrics` costs with many orgs: series, bytes and seconds, with and without series per org.

    python -m benchmarks.metrics [--orgs 10000]

"first" is the first scrape of a process; "in a run", one before which some orgs changed; "again",
one before which none did. A tenth of the orgs lack windows in two states.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from collector.core.org_coverage import (
    CoverageState,
    CredentialStanding,
    CredentialStatus,
    OrgCoverage,
    PopulationCoverage,
)
from collector.model import Granularity, Population, ProductUsage, Window
from collector.service.metrics import ServiceMetrics
from collector.service.org_text import Wanted
from collector.service.view import Observed

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CHANGED = 100  # orgs, from one scrape to the next: more than the default limits allow in 15 seconds
COMPLETE, PARTIAL, MISSING = CoverageState.COMPLETE, CoverageState.PARTIAL, CoverageState.MISSING
PRODUCTS = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice", "smartui")
USAGE = {
    name: ProductUsage(total_screenshots=7)
    if name == "smartui"
    else ProductUsage(total_tests=8450, total_duration=312540)
    for name in PRODUCTS
}
MODES = {
    "org_metrics: false": Wanted(per_org=False),
    "the default": Wanted(),
    "usage_metrics: true": Wanted(usage=True),
}


def population_view(population: Population, *, behind: bool) -> PopulationCoverage:
    return PopulationCoverage(
        population=population,
        counts={COMPLETE: 355, PARTIAL: 3, MISSING: 2} if behind else {COMPLETE: 360},
        first_gap=NOW - 30 * DAY if behind else None,
        last_success=NOW - timedelta(hours=5),
        newest_complete=NOW - 3 * DAY if behind else NOW - DAY,
        newest_due=NOW - DAY,
        oldest_usage=Window(NOW - 360 * DAY, NOW - 359 * DAY),
        newest_usage=USAGE,
        newest_users=12,
    )


def fleet(orgs: int) -> Mapping[str, OrgCoverage]:
    return {
        name: OrgCoverage(
            name=name,
            org_id=str(index),
            org_name=name.title(),
            labels={},
            timezone="UTC",
            granularity=Granularity.DAY,
            credential=CredentialStatus(standing=CredentialStanding.ACCEPTED),
            populations=[population_view(population, behind=not index % 10) for population in Population],
            last_day=date(2026, 11, 19),
        )
        for index in range(orgs)
        for name in [f"customer-{index:05}"]
    }


@dataclass(frozen=True)
class Measured:
    series: int
    size: int
    zipped: int
    first_s: float
    run_s: float
    again_s: float


def measure(orgs: Mapping[str, OrgCoverage], wanted: Wanted) -> Measured:
    observed = Observed(
        version="0", started_at=NOW, config_path="-", config_loaded_at=NOW, cron="20 * * * *", orgs=orgs
    )
    metrics = ServiceMetrics(observed, lambda: wanted)
    began = time.perf_counter()
    text = metrics.text()
    first_s = time.perf_counter() - began
    changed = {name: replace(view) for name, view in list(orgs.items())[:CHANGED]}
    observed.orgs = {**orgs, **changed}
    began = time.perf_counter()
    metrics.text()
    run_s = time.perf_counter() - began
    began = time.perf_counter()
    metrics.text()
    again_s = time.perf_counter() - began
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return Measured(series, len(text), len(gzip.compress(text, 6)), first_s, run_s, again_s)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, default=10_000)
    orgs = fleet(parser.parse_args().orgs)
    print(f"{len(orgs)} orgs, two populations each")
    for name, wanted in MODES.items():
        cost = measure(orgs, wanted)
        print(
            f"{name:<20} {cost.series:>8} series  {cost.size / 1e6:6.2f} MB ({cost.zipped / 1e6:5.2f} MB gzip)  "
            f"first {cost.first_s:5.2f} s  in a run {cost.run_s * 1e3:5.1f} ms  again {cost.again_s * 1e3:5.1f} ms"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
