"""Rows of FOCUS datasets: what each month has, and that the rows of a closed month stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.columns import Kind
from collector.core.costs import Metric
from collector.core.emission import Emission
from collector.core.focus import Books, Focus, months_of
from collector.core.focus_columns import COLUMNS, as_text
from collector.core.ledger_entries import Restatement, SliceKey
from collector.core.org_coverage import CoverageState
from collector.core.present import PresentOrg, PresentWindow
from collector.core.prices import DurationUnit, Price, PriceList
from collector.model import ProductUsage, Quality
from tests.support.presents import Usage, emitted, usage, window

JUNE, JULY, AUGUST, SEPTEMBER = (date(2026, month, 1) for month in (6, 7, 8, 9))
DAY = date(2026, 6, 23)
NAMES = [column.name for column in COLUMNS]
PRICES = PriceList(
    [
        Price(metric=Metric.TESTS, unit_price=Decimal("0.005"), since=date(2026, 1, 1)),
        Price(metric=Metric.TESTS, unit_price=Decimal("0.004"), since=date(2026, 6, 16)),
        Price(metric=Metric.MINUTES, unit_price=Decimal("0.02"), since=date(2026, 1, 1), product="automation"),
    ],
    currency="EUR",
    duration_unit=DurationUnit.SECONDS,
)
# Columns of FOCUS 1.2 with the feature level "Mandatory", and which of them may be null (specification/columns, v1.2).
MANDATORY = {
    "BilledCost": False,
    "BillingAccountId": False,
    "BillingAccountName": True,
    "BillingCurrency": False,
    "BillingPeriodEnd": False,
    "BillingPeriodStart": False,
    "ChargeCategory": False,
    "ChargeClass": True,
    "ChargeDescription": True,
    "ChargePeriodEnd": False,
    "ChargePeriodStart": False,
    "ContractedCost": False,
    "EffectiveCost": False,
    "InvoiceIssuerName": False,
    "ListCost": False,
    "PricingQuantity": True,
    "PricingUnit": True,
    "ProviderName": False,
    "PublisherName": False,
    "ServiceCategory": False,
    "ServiceName": False,
}


def at(day: int, month: int = 7) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def restatement(instant: datetime, **products: Usage) -> Restatement:
    one = window()
    before = Emission(emitted_at=at(24, 6), users=3, products={name: emitted(of) for name, of in products.items()})
    key = SliceKey(key=1, population=one.population, start=one.window_start)
    return Restatement(slice=key, at=instant, run_id="run", replaced=before)


def rows(
    one: PresentWindow, restatements: Sequence[Restatement] = (), months: Iterable[date] = (JUNE,), **more: Any
) -> list[dict[str, Any]]:
    focus = Focus(PRICES, frozenset(months), **more)
    return [dict(zip(NAMES, row, strict=True)) for row, _ in focus.rows(one, restatements)]


def short(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (f"{one['BillingPeriodStart']:%m}", one["ChargeClass"], one["SkuId"], int(one["ConsumedQuantity"]))
        for one in found
    ]


def test_a_row_says_what_was_used_and_what_it_costs() -> None:
    org = PresentOrg(name="acme", org_id="77", org_name="Acme Corp", labels={"team": "qa", "zone": "é"})
    (one,) = rows(window({"visual": usage(1200)}, org=org))
    assert {name: value for name, value in one.items() if not name.startswith("x_")} == {
        "BilledCost": Decimal("4.8"),
        "BillingAccountId": "77",
        "BillingAccountName": "Acme Corp",
        "BillingCurrency": "EUR",
        "BillingPeriodEnd": at(1),
        "BillingPeriodStart": at(1, 6),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": "visual: 1200 tests, account-user, 2026-06-23",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": at(24, 6),
        "ChargePeriodStart": at(23, 6),
        "CommitmentDiscountStatus": None,
        "ConsumedQuantity": 1200,
        "ConsumedUnit": "Tests",
        "ContractedCost": Decimal("4.8"),
        "ContractedUnitPrice": Decimal("0.004"),
        "EffectiveCost": Decimal("4.8"),
        "InvoiceId": None,
        "InvoiceIssuerName": "TestMu AI",
        "ListCost": Decimal("4.8"),
        "PricingCategory": "Standard",
        "PricingQuantity": 1200,
        "PricingUnit": "Tests",
        "ProviderName": "TestMu AI",
        "PublisherName": "TestMu AI",
        "ServiceCategory": "Developer Tools",
        "ServiceName": "visual",
        "ServiceSubcategory": "Quality Assurance",
        "SkuId": "visual-tests",
        "SkuMeter": "Tests",
        "SkuPriceDetails": '{"x_Metric": "tests", "x_Product": "visual"}',
        "SkuPriceId": "visual-tests-0.004",
        "SubAccountId": "77",
        "SubAccountName": "Acme Corp",
        "Tags": '{"team": "qa", "zone": "é"}',
    }
    assert (one["x_Org"], one["x_Population"], one["x_Quality"], one["x_Revision"]) == (
        "acme",
        "account-user",
        "measured",
        1,
    )
    assert (one["x_WindowDate"], one["x_Timezone"], one["x_RestatedAt"]) == (DAY, "UTC", None)


def test_it_has_the_mandatory_columns_and_ours_are_behind_them() -> None:
    ours = [name.startswith("x_") for name in NAMES]
    assert set(MANDATORY) <= set(NAMES)
    assert ours == sorted(ours)
    assert len(set(NAMES)) == len(NAMES)


PRODUCTS = st.dictionaries(
    st.sampled_from(["automation", "visual"]),
    st.builds(usage, st.none() | st.integers(0, 10**12), st.none() | st.integers(0, 10**12)) | st.sampled_from(Quality),
    max_size=2,
)


@given(PRODUCTS, st.lists(st.tuples(st.integers(1, 100), PRODUCTS), max_size=4))
def test_every_row_keeps_the_rules_of_the_specification(
    products: dict[str, Usage], before: list[tuple[int, dict[str, Usage]]]
) -> None:
    restated = [
        restatement(at(1) + timedelta(days=days), **known) for days, known in sorted(before, key=lambda one: one[0])
    ]
    for one in rows(window(products), restated, (JUNE, JULY, AUGUST, SEPTEMBER, date(2026, 10, 1))):
        assert all(one[name] is not None for name, nullable in MANDATORY.items() if not nullable)
        assert all(value != "" for value in one.values())
        assert one["BilledCost"] == one["ContractedCost"] == one["EffectiveCost"] == one["ListCost"]
        assert abs(one["BilledCost"] - one["ContractedUnitPrice"] * one["PricingQuantity"]) < Decimal("1e-9")
        assert (
            (one["ChargeClass"] is None) == (one["x_RestatedAt"] is None) == (f"{one['BillingPeriodStart']:%m}" == "06")
        )
        assert one["ChargeClass"] is not None or one["PricingQuantity"] > 0
        assert json.loads(one["Tags"]) == {"team": "qa"}


def test_instants_and_decimals_are_written_as_the_specification_wants_them() -> None:
    ((row, _),) = Focus(PRICES, {JUNE}).rows(window({"visual": usage(1)}), ())
    text = dict(zip(NAMES, as_text(row), strict=True))
    assert (text["BillingPeriodStart"], text["ChargePeriodEnd"]) == ("2026-06-01T00:00:00Z", "2026-06-24T00:00:00Z")
    assert all(isinstance(text[one.name], str | None) for one in COLUMNS if one.kind is Kind.INSTANT)
    assert (text["ConsumedQuantity"], text["BilledCost"]) == ("1.0", "0.004")
    ((tiny, _),) = Focus(PRICES, {JUNE}).rows(window({"automation": usage(None, 1)}), ())
    assert dict(zip(NAMES, as_text(tiny), strict=True))["BilledCost"] == "0.000333333"


def test_what_is_unknown_unused_or_without_a_price_has_no_row() -> None:
    products: dict[str, Usage] = {
        "automation": Quality.UNAVAILABLE,
        "visual": usage(0),
        "hyp": usage(None, 60, 9),
        "old": usage(None),
    }
    assert rows(window(products, state=CoverageState.PARTIAL)) == []
    assert rows(window(state=CoverageState.MISSING)) == []


def test_a_window_is_in_the_month_of_its_local_date() -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC) - timedelta(hours=9)
    tokyo = window({"visual": usage(1)}, day=JUNE, window_start=start, window_end=start + timedelta(days=1))
    (one,) = rows(tokyo)
    assert (one["BillingPeriodStart"], one["ChargePeriodStart"]) == (at(1, 6), at(31, 5).replace(hour=15))
    assert rows(tokyo, months=(date(2026, 5, 1),)) == []


def test_a_label_steers_no_terminal() -> None:
    org = PresentOrg(name="acme", org_id="1", labels={"team": "\u202eqa\x9b"})
    (one,) = rows(window({"visual": usage(1)}, org=org))
    assert one["Tags"] == '{"team": "\\u202eqa\\u009b"}'


def test_only_chosen_products_have_rows() -> None:
    found = rows(window({"visual": usage(1), "automation": usage(2)}), products=["visual"])
    assert [one["ServiceName"] for one in found] == ["visual"]


def test_a_change_before_the_month_is_closed_is_no_correction() -> None:
    early = restatement(at(5), visual=usage(1))
    for instant in (at(1), at(6)):
        early = restatement(instant, visual=usage(1))
        assert short(rows(window({"visual": usage(3)}), [early], (JUNE, JULY))) == [("06", None, "visual-tests", 3)]


def test_a_change_after_the_month_is_closed_is_a_correction_in_the_next() -> None:
    late = restatement(at(6) + timedelta(microseconds=1), visual=usage(1))
    one = window({"visual": usage(3), "automation": usage(7)})
    june = [("06", None, "visual-tests", 1), ("06", None, "automation-tests", 7)]
    july = [("07", "Correction", "visual-tests", 2)]
    assert short(rows(one, [late])) == june
    assert short(rows(one, [late], [JULY])) == july
    assert short(rows(one, [late], [JUNE, JULY])) == june + july
    assert rows(one, [late], [AUGUST]) == []


def test_a_correction_is_in_the_month_in_which_it_became_known() -> None:
    changes = [
        restatement(at(20), visual=usage(1)),
        restatement(at(4, 8), visual=usage(5)),  # still July's
        restatement(at(9, 8), visual=usage(4)),
    ]
    one = window({"visual": usage(2)})
    assert short(rows(one, changes, [JULY])) == [("07", "Correction", "visual-tests", 3)]
    assert short(rows(one, changes, [AUGUST])) == [("08", "Correction", "visual-tests", -2)]
    (correction,) = rows(one, changes, [AUGUST])
    assert (correction["BilledCost"], correction["x_RestatedAt"]) == (Decimal("-0.008"), at(9, 8))
    assert correction["ChargePeriodStart"] == at(23, 6)
    assert correction["ChargeDescription"] == "correction of visual: -2 tests, account-user, 2026-06-23"


def test_changes_that_undo_each_other_are_no_correction() -> None:
    changes = [restatement(at(20), visual=usage(2)), restatement(at(21), visual=usage(5))]
    assert rows(window({"visual": usage(2)}), changes, [JULY]) == []


def test_a_number_that_was_unknown_when_its_month_was_closed_is_a_correction() -> None:
    late = restatement(at(20), visual=Quality.UNAVAILABLE)
    one = window({"visual": usage(3)})
    assert rows(one, [late]) == []
    assert short(rows(one, [late], [JULY])) == [("07", "Correction", "visual-tests", 3)]


CHANGES = st.lists(st.tuples(st.integers(0, 120), PRODUCTS), max_size=5).map(
    lambda found: sorted(found, key=lambda one: one[0])
)


@given(PRODUCTS, CHANGES)
def test_all_months_have_together_what_is_known_now(products: dict[str, Usage], before: list[tuple[int, Any]]) -> None:
    one = window(products)
    changes = [restatement(at(24, 6) + timedelta(days=days), **known) for days, known in before]
    months = months_of(JUNE, date(2026, 12, 31))
    focus = Focus(PRICES, frozenset(months))
    total = sum((cost for _, cost in focus.rows(one, changes)), Fraction())
    assert total == (PRICES.cost_of(one).amount or 0)
    apart = [row for month in months for row, _ in Focus(PRICES, {month}).rows(one, changes)]
    assert sorted(map(repr, apart)) == sorted(repr(row) for row, _ in focus.rows(one, changes))


@given(PRODUCTS, CHANGES, PRODUCTS)
def test_the_rows_of_a_closed_month_stay_as_they_are(
    products: dict[str, Usage], before: list[tuple[int, Any]], later: dict[str, Usage]
) -> None:
    changes = [restatement(at(24, 6) + timedelta(days=days), **known) for days, known in before]
    exported = Focus(PRICES, {JUNE, JULY, AUGUST, SEPTEMBER, date(2026, 10, 1)})
    first = window(products)
    after_all = restatement(at(1, 12), **products)
    second = window(products | {name: of for name, of in later.items() if name in products})
    assert list(map(repr, exported.rows(second, [*changes, after_all]))) == list(
        map(repr, exported.rows(first, changes))
    )


@pytest.mark.parametrize("closing", [timedelta(0), timedelta(days=5), timedelta(days=45)])
def test_each_instant_belongs_to_one_month(closing: timedelta) -> None:
    books = Books(closing)
    tick = timedelta(microseconds=1)
    for month in months_of(JUNE, date(2027, 7, 1)):
        assert books.month_of(books.closed_at(month)) == month
        following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
        assert books.month_of(books.closed_at(month) + tick) == following


def test_months_are_counted() -> None:
    assert months_of(date(2026, 11, 1), date(2027, 1, 31)) == [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)]
    assert months_of(JUNE, date(2026, 6, 30)) == [JUNE]


def test_minutes_that_are_no_decimal_are_rounded_at_the_ninth_place() -> None:
    (one,) = rows(window({"automation": ProductUsage(total_duration=100)}))
    assert (one["ConsumedQuantity"], one["BilledCost"]) == (Decimal("1.666666667"), Decimal("0.033333333"))
    assert (one["ConsumedUnit"], one["SkuId"]) == ("Minutes", "automation-minutes")
