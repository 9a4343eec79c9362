"""Totals per product and metric, and their sums over runs of windows."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from collector.core.emission import Emission, Emitted
from collector.core.totals import Series, Totals, differences, totals, totals_of
from collector.model import ProductUsage, Quality

NOW = datetime(2026, 6, 24, tzinfo=UTC)
_KEYS = st.tuples(st.sampled_from(["automation", "smartui", "new"]), st.sampled_from(["tests", "duration"]))
_WINDOWS = st.lists(
    st.dictionaries(_KEYS, st.one_of(st.integers(0, 9), st.integers(2**63 - 2, 2**63 + 2))).map(Counter), max_size=12
)


def emission(**qualities: Quality) -> Emission:
    return Emission(
        emitted_at=NOW,
        users=3,
        products={
            product: Emitted(
                revision=1,
                quality=quality,
                usage=ProductUsage() if quality is Quality.UNAVAILABLE else ProductUsage(total_tests=4),
            )
            for product, quality in qualities.items()
        },
    )


def test_totals_are_by_product_and_metric_and_only_whole_numbers_add_up() -> None:
    usage = ProductUsage(
        total_tests=3, total_duration=0, extra={"minutes": 7, "plan": "pro", "on": True, "rate": 0.5, "by": {"a": 1}}
    )
    assert totals({"automation": usage, "smartui": ProductUsage(total_screenshots=2)}) == {
        ("automation", "tests"): 3,
        ("automation", "minutes"): 7,
        ("smartui", "screenshots"): 2,
    }


def test_numbers_that_are_unavailable_are_never_summed() -> None:
    assert totals_of(emission(automation=Quality.MEASURED)) == {("automation", "tests"): 4}
    assert totals_of(emission(automation=Quality.MEASURED, smartui=Quality.UNAVAILABLE)) is None
    assert totals_of(None) is None
    assert totals_of(emission()) == {}


def test_differences_say_what_must_be_added() -> None:
    one: Totals = Counter({("a", "tests"): 3, ("b", "tests"): 1, ("c", "tests"): 0})
    other: Totals = Counter({("a", "tests"): 5, ("d", "tests"): 2})
    assert differences(one, other) == {("a", "tests"): 2, ("b", "tests"): -1, ("d", "tests"): 2}
    assert not differences(one, one)


@given(_WINDOWS, st.integers(0, 12), st.integers(0, 12))
def test_a_series_sums_any_run_of_its_windows(windows: list[Totals], first: int, end: int) -> None:
    series = Series()
    for one in windows:
        series.append(one)
    assert series.length == len(windows)
    assert series.sum(first, end) == sum(windows[first:end], Counter())
    assert series.sum() == sum(windows, Counter())
