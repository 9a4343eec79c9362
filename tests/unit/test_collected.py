"""What was collected, as totals that add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from collector.core.collected import Collected, added, collected_of
from collector.core.emission import Emission, Emitted
from collector.core.totals import Totals
from collector.model import ProductUsage, Quality

NOW = datetime(2026, 6, 24, tzinfo=UTC)
_METRICS = st.tuples(st.sampled_from(["automation", "smartui", "new"]), st.sampled_from(["total_tests", "x"]))
_NUMBERS = st.one_of(st.integers(1, 9), st.integers(2**63 - 2, 2**63 + 2))


def emission(usage: ProductUsage, **qualities: Quality) -> Emission:
    products = {product: Emitted(revision=1, quality=quality, usage=usage) for product, quality in qualities.items()}
    return Emission(emitted_at=NOW, users=3, products=products)


def test_only_whole_numbers_add_up() -> None:
    usage = ProductUsage(
        total_tests=3, total_duration=0, extra={"minutes": 7, "plan": "pro", "on": True, "rate": 0.5, "by": {"a": 1}}
    )
    assert collected_of(emission(usage, automation=Quality.MEASURED)) == {
        ("automation", "total_tests"): 3,
        ("automation", "extra", "minutes"): 7,
        ("automation", "extra", "by", "a"): 1,
    }


def test_a_slice_with_a_number_that_is_unavailable_is_never_summed() -> None:
    usage = ProductUsage(total_tests=4)
    assert collected_of(emission(usage, automation=Quality.UNVERIFIED)) == {("automation", "total_tests"): 4}
    assert collected_of(emission(usage, automation=Quality.MEASURED, smartui=Quality.UNAVAILABLE)) is None
    assert collected_of(emission(usage)) == {}


def test_sums_have_the_numbers_of_both() -> None:
    assert added({("a",): 1, ("b",): 2}, {("b",): 3, ("c",): 4}) == {("a",): 1, ("b",): 5, ("c",): 4}


@given(st.lists(st.dictionaries(_METRICS, _NUMBERS), max_size=12))
def test_columns_hold_what_was_put_in(windows: list[Totals]) -> None:
    totals = {NOW + n * timedelta(days=1): one for n, one in enumerate(windows)}
    found = Collected(totals)
    assert {start: dict(found[start]) for start in found} == totals
    assert len(found) == len(totals)
