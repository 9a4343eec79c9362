"""What is known of a window: which numbers may be summed, and which are unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.core.anomalies import Anomaly
from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import Restatement, SliceKey
from collector.core.org_coverage import CoverageState
from collector.core.present import PresentOrg, PresentWindow, records_of, restated
from collector.model import Granularity, Population, ProductUsage, Quality

START = datetime(2026, 6, 23, tzinfo=UTC)
ACME = PresentOrg(name="acme", org_id="1", org_name="Acme", labels={"team": "qa"})


def emission(
    qualities: dict[str, Quality], *, tests: int | None = 5, users: int | None = 3, revision: int = 1
) -> Emission:
    usage = {quality: ProductUsage(total_tests=tests) for quality in Quality} | {
        Quality.UNAVAILABLE: ProductUsage(),
        Quality.UNVERIFIED: ProductUsage(total_tests=0),
    }
    products = {
        name: Emitted(revision=revision, quality=quality, usage=usage[quality]) for name, quality in qualities.items()
    }
    return Emission(emitted_at=START, users=users, products=products)


def window(state: CoverageState, qualities: dict[str, Quality] | None = None, **more: Any) -> PresentWindow:
    values: dict[str, Any] = {
        "org": ACME,
        "population": Population.ACCOUNT_USER,
        "granularity": Granularity.DAY,
        "timezone": "UTC",
        "window_date": START.date(),
        "window_start": START,
        "window_end": START + timedelta(days=1),
        "state": state,
        "anomalies": {},
        "emission": None if qualities is None else emission(qualities),
    }
    return PresentWindow(**(values | more))


MEASURED, UNAVAILABLE, UNVERIFIED, INFERRED = (
    Quality.MEASURED,
    Quality.UNAVAILABLE,
    Quality.UNVERIFIED,
    Quality.INFERRED,
)


@pytest.mark.parametrize(
    ("state", "qualities", "unknown"),
    [
        (CoverageState.COMPLETE, {"a": MEASURED, "b": INFERRED}, []),
        (CoverageState.UNVERIFIED, {"a": UNVERIFIED, "b": UNVERIFIED}, ["a", "b"]),
        (CoverageState.PARTIAL, {"a": MEASURED, "b": UNAVAILABLE}, ["b"]),
        (CoverageState.PARTIAL, {"a": MEASURED}, None),  # it says nothing of the others
        (CoverageState.PARTIAL, None, None),
        (CoverageState.MISSING, None, None),
        (CoverageState.FAILED, {"a": MEASURED}, None),  # as after a lost file: an older number
        (CoverageState.REFUSED, None, None),
        (CoverageState.IN_DOUBT, {"a": MEASURED}, None),
    ],
)
def test_which_products_are_unknown(
    state: CoverageState, qualities: dict[str, Quality] | None, unknown: list[str] | None
) -> None:
    one = window(state, qualities)
    assert one.unknown() == unknown
    assert one.is_unknown() == (unknown != [])


def test_of_chosen_products_only_those_count() -> None:
    partial = window(CoverageState.PARTIAL, {"a": MEASURED, "b": UNAVAILABLE})
    assert partial.unknown(["a"]) == []
    assert partial.unknown(["b", "c"]) == ["b", "c"]  # c may have been used: only a whole answer has all
    assert window(CoverageState.COMPLETE, {"a": MEASURED}).unknown(["a", "c"]) == []
    assert window(CoverageState.MISSING).unknown(["a"]) is None


def test_a_documented_product_that_an_answer_had_not_is_unknown() -> None:
    one = window(CoverageState.COMPLETE, {"a": MEASURED}, anomalies={Anomaly.PRODUCT_MISSING: ["b"]})
    assert one.unknown() == ["b"]
    assert not one.knows("b")
    assert one.knows("c")


def test_records_are_those_that_were_emitted_with_present_names() -> None:
    one = window(
        CoverageState.PARTIAL,
        {"a": MEASURED, "b": UNAVAILABLE},
        anomalies={Anomaly.SHRUNK: ["a"], Anomaly.SAME_TOTALS: []},
    )
    a, b = records_of(one)
    assert (a.org, a.labels, a.product, a.total_tests, a.org_users) == ("acme", {"team": "qa"}, "a", 5, 3)
    assert (b.total_tests, b.quality, b.state) == (None, UNAVAILABLE, CoverageState.PARTIAL)
    assert (a.anomalies, b.anomalies) == (["shrunk", "same_totals"], ["same_totals"])
    assert a.record_id is not None
    assert [record.product for record in records_of(one, ["b"])] == ["b"]
    assert list(records_of(window(CoverageState.MISSING))) == []


def test_of_several_restatements_the_first_former_numbers_and_the_present_ones_count() -> None:
    key = SliceKey(key=1, population=Population.ACCOUNT_USER, start=START)

    def noted(n: int, products: dict[str, Quality], tests: int) -> Restatement:
        replaced = emission(products, tests=tests, revision=n)
        return Restatement(slice=key, at=START + timedelta(days=n), run_id=f"run-{n}", replaced=replaced)

    one = window(
        CoverageState.COMPLETE, None, emission=emission({"a": MEASURED, "b": MEASURED, "c": MEASURED}, tests=9)
    )
    restatements = [
        noted(2, {"a": MEASURED}, 7),
        noted(3, {"a": MEASURED, "b": MEASURED}, 8),
        noted(4, {"b": MEASURED}, 9),
    ]
    a, b = restated(one, restatements)
    assert (a.before.usage.total_tests, a.now.total_tests, a.restatements, a.run_id) == (7, 9, 2, "run-3")
    assert a.changed_at == START + timedelta(days=3)
    assert (b.before.usage.total_tests, b.restatements, b.differs) == (8, 2, True)
    (again,) = restated(one, [noted(2, {"a": MEASURED}, 9)])
    assert not again.differs
    for since, is_new in ((START - timedelta(hours=1), True), (START + timedelta(hours=1), False)):
        assert {found.is_new for found in restated(one, restatements, since=since)} == {is_new}
