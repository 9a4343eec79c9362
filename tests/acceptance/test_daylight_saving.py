"""Days over the changes of 2026, asked of the real endpoint: their sums are the totals of the span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from tests.support.commands import SimulatedApi, collector, simulated_api

pytestmark = pytest.mark.slow
SPANS = [
    ("America/New_York", "2026-03-05", "2026-03-11"),
    ("America/New_York", "2026-10-29", "2026-11-04"),
    ("Australia/Lord_Howe", "2026-04-02", "2026-04-08"),
    ("Australia/Lord_Howe", "2026-10-01", "2026-10-07"),
    ("Asia/Kathmandu", "2026-03-05", "2026-03-11"),
    ("-03:30", "2026-03-05", "2026-03-11"),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    directory = tmp_path_factory.mktemp("dst")
    with simulated_api(directory, orgs=1, options=["--now", "2026-11-20T12:00:00Z"]) as api:
        yield api


@pytest.mark.parametrize("granularity", ["day", "hour"])
@pytest.mark.parametrize(("zone", "first", "last"), SPANS)
def test_sums_over_windows_equal_the_total_of_the_span(
    api: SimulatedApi, tmp_path: Path, zone: str, first: str, last: str, granularity: str
) -> None:
    config = yaml.safe_load(api.config.read_text())
    config["orgs"][0] |= {"timezone": zone, "granularity": granularity}
    config["api"] |= {"org_rate_limit": {"requests": 200, "period": "1s"}, "org_concurrency": 8}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    args = ["backfill", "-c", "c.yaml", "--from", first, "--to", last, "--population", "account-user"]
    done = collector(*args, cwd=tmp_path)
    assert done.code == 0, done.stderr

    starts = sorted({datetime.fromisoformat(r["window_start"]) for r in done.records})
    ends = sorted({datetime.fromisoformat(r["window_end"]) for r in done.records})
    assert starts[1:] == ends[:-1]
    assert len(starts) == 7 if granularity == "day" else len(starts) in (167, 168, 169)
    sums: Counter[tuple[str, str]] = Counter()
    for r in done.records:
        sums[r["product"], "totalTests"] += r["total_tests"] or 0
        sums[r["product"], "totalDuration"] += r["total_duration"] or 0
        sums[r["product"], "totalScreenshots"] += r["total_screenshots"] or 0
    truth = api.truth("org-001", "account-user", int(starts[0].timestamp()), int(ends[-1].timestamp()))
    expected = {(p, metric): total for p, metrics in truth["products"].items() for metric, total in metrics.items()}
    assert {key: total for key, total in sums.items() if key in expected} == expected
    assert sum(expected.values()) > 0
