"""Which price counts, and what a window costs by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.anomalies import Anomaly
from collector.core.costs import Charge, Metric
from collector.core.org_coverage import CoverageState
from collector.core.present import PresentOrg
from collector.core.prices import EVERY, DurationUnit, Price, PriceList
from collector.model import Quality
from tests.support.presents import ACME, DAY, usage, window

START = date(2026, 1, 1)
ANYTHING = 10**9


def price(unit_price: str = "1", metric: Metric = Metric.TESTS, since: date = START, **more: object) -> Price:
    return Price(metric=metric, unit_price=Decimal(unit_price), since=since, **more)  # type: ignore[arg-type]


def listed(*prices: Price, unit: DurationUnit | None = None) -> PriceList:
    return PriceList(prices, currency="USD", duration_unit=unit)


def counting(prices: Sequence[Price], *, org: PresentOrg = ACME, day: date = DAY) -> str | None:
    """Return the unit price that counts for a test of automation."""
    charges = listed(*prices).cost_of(window({"automation": usage(1)}, day=day, org=org)).charges
    assert len(charges) < 2
    return str(charges[0].unit_price) if charges else None


SPECIFIC = [
    price("8", org="acme", product="automation"),
    price("7", org="acme"),
    price("6", org="ac*", product="automation"),
    price("5", org="ac*"),
    price("4", label=(("team", "qa"),), product="automation"),
    price("3", label=(("team", "qa"),)),
    price("2", product="automation"),
    price("1"),
]


@pytest.mark.parametrize("first", range(len(SPECIFIC)))
def test_the_most_specific_price_counts(first: int) -> None:
    fitting = SPECIFIC[first:]
    assert counting(fitting) == counting(fitting[::-1]) == str(8 - first)


def test_a_newer_price_for_all_does_not_replace_the_one_of_an_org() -> None:
    assert counting([price("7", org="acme"), price("1", since=START + timedelta(days=90))]) == "7"


@pytest.mark.parametrize(
    "other",
    [
        price(org="globex"),
        price(org="ACME"),
        price(org="ac?"),
        price(label=(("team", "dev"),)),
        price(label=(("team", "qa"), ("zone", "eu"))),
        price(product="tunnel"),
        price(metric=Metric.SCREENSHOTS),
        price(since=DAY + timedelta(days=1)),
    ],
)
def test_a_price_that_is_not_for_it_does_not_count(other: Price) -> None:
    assert counting([other]) is None


def test_a_price_counts_from_its_date_on_until_the_next() -> None:
    prices = [price("3", since=date(2026, 3, 1)), price("1"), price("2", since=date(2026, 2, 1))]
    days = {date(2025, 12, 31): None, START: "1", date(2026, 1, 31): "1", date(2026, 2, 1): "2", date(2026, 3, 1): "3"}
    assert {day: counting(prices, day=day) for day in days} == days


def test_of_prices_that_clash_none_counts() -> None:
    prices = [price("1", org="ac*"), price("2", org="*me"), price("3", product="automation")]
    assert counting(prices) is None
    assert counting([*prices, price("4", org="*me", since=DAY)]) == "4"
    assert list(listed(*prices).clashes("acme", {})) == [(0, 1)]
    assert not list(listed(*prices).clashes("globex", {}))
    assert not list(listed(price("1", org="ac*"), price("1.0", org="*me")).clashes("acme", {}))
    assert counting([price("1", org="ac*"), price("1.00", org="*me")]) in ("1", "1.00")


def test_each_number_is_charged_by_its_own_price() -> None:
    prices = listed(
        price("0.005"), price("0.02", Metric.MINUTES), price("0.001", Metric.SCREENSHOTS), unit=DurationUnit.SECONDS
    )
    cost = prices.cost_of(window({"automation": usage(3, 100), "visual": usage(2, 0, 7)}))
    found = [(one.product, one.metric, one.quantity, str(one.unit_price), one.amount) for one in cost.charges]
    assert found == [
        ("automation", Metric.TESTS, 3, "0.005", Fraction(15, 1000)),
        ("automation", Metric.MINUTES, Fraction(5, 3), "0.02", Fraction(1, 30)),
        ("visual", Metric.TESTS, 2, "0.005", Fraction(1, 100)),
        ("visual", Metric.MINUTES, 0, "0.02", 0),
        ("visual", Metric.SCREENSHOTS, 7, "0.001", Fraction(7, 1000)),
    ]
    assert cost.amount == Fraction("0.015") + Fraction(1, 30) + Fraction("0.017")
    assert (cost.unknown, cost.not_priced) == (False, [])


@pytest.mark.parametrize(("unit", "per_minute"), [("milliseconds", 60_000), ("seconds", 60), ("minutes", 1)])
def test_minutes_are_counted_by_the_unit_that_the_config_names(unit: str, per_minute: int) -> None:
    prices = listed(price("0.3", Metric.MINUTES), unit=DurationUnit(unit))
    assert prices.cost_of(window({"automation": usage(duration=7)})).amount == Fraction("0.3") * Fraction(7, per_minute)


def test_prices_of_minutes_need_the_unit() -> None:
    with pytest.raises(ValueError, match="unit"):
        listed(price("1", Metric.MINUTES))


def test_without_prices_nothing_has_a_cost_and_nothing_is_left_out() -> None:
    cost = PriceList().cost_of(window({"automation": usage(3)}, state=CoverageState.FAILED))
    assert (list(cost.charges), cost.amount, cost.unknown, list(cost.not_priced)) == ([], None, False, [])
    assert not PriceList()


def test_usage_without_a_price_is_listed_apart() -> None:
    prices = listed(price("2", product="automation"), price("1", Metric.SCREENSHOTS, product="visual"))
    cost = prices.cost_of(
        window({"automation": usage(1, 5), "tunnel": usage(0, 9), "visual": usage(5), "hyp": usage(0)})
    )
    assert cost.amount == 2
    assert (cost.not_priced, cost.changing) == (["tunnel", "visual"], [])


def test_what_was_not_used_costs_nothing() -> None:
    cost = listed(price("2")).cost_of(window({"automation": usage(0), "b": usage(None)}))
    assert cost.amount == 0
    assert (cost.unknown, cost.not_priced) == (False, [])


@pytest.mark.parametrize("before", [[price("1", since=date(2026, 1, 1))], []])
def test_a_window_in_which_the_price_changes_is_not_divided(before: list[Price]) -> None:
    prices = listed(*before, price("2", since=date(2026, 6, 16)))
    june = window({"automation": usage(10), "idle": usage(0)}, day=date(2026, 6, 1), days=30)
    cost = prices.cost_of(june)
    assert cost.amount == 0
    assert (cost.not_priced, cost.changing) == (["automation"], ["automation"])
    for day, days in ((date(2026, 6, 16), 15), (date(2026, 7, 1), 31)):
        assert prices.cost_of(window({"automation": usage(10)}, day=day, days=days)).amount == 20
    until = window({"automation": usage(10)}, day=date(2026, 5, 31), days=16)
    assert prices.cost_of(until).amount == (10 if before else None)


UNKNOWN = [
    (CoverageState.MISSING, None, True, None),
    (CoverageState.REFUSED, None, True, None),
    (CoverageState.PARTIAL, {"automation": usage(2), "tunnel": Quality.UNAVAILABLE}, False, 2),
    (CoverageState.PARTIAL, {"automation": Quality.UNAVAILABLE, "tunnel": usage(2)}, True, None),
    (CoverageState.UNVERIFIED, {"automation": Quality.UNVERIFIED}, True, None),
    (CoverageState.FAILED, {"automation": usage(2)}, True, 2),  # an older number, as sums have it
    (CoverageState.COMPLETE, {"automation": usage(2)}, False, 2),
    (CoverageState.COMPLETE, {}, False, None),
]


@pytest.mark.parametrize(("state", "products", "unknown", "amount"), UNKNOWN)
def test_unknown_is_no_cost_and_is_marked(
    state: CoverageState, products: dict[str, object] | None, unknown: bool, amount: int | None
) -> None:
    cost = listed(price("1", product="automation")).cost_of(window(products, state=state))  # type: ignore[arg-type]
    assert (cost.unknown, cost.amount) == (unknown, amount)


def test_unknown_numbers_that_have_no_price_do_not_matter() -> None:
    missing = window(state=CoverageState.MISSING)
    for other in (price(product="automation", org="globex"), price(since=DAY + timedelta(days=1))):
        assert not listed(other).cost_of(missing).unknown
    assert listed(price(product=EVERY)).cost_of(missing).unknown
    assert not listed(price(product="automation")).cost_of(missing, ["tunnel"]).unknown
    assert listed(price(product="automation")).cost_of(missing, ["tunnel", "automation"]).unknown
    gone = window({"automation": usage(1)}, anomalies={Anomaly.PRODUCT_MISSING: ["visual"]})
    assert listed(price(product="visual")).cost_of(gone).unknown
    assert not listed(price(product="automation")).cost_of(gone).unknown


def test_of_chosen_products_only_those_cost_something() -> None:
    one = window({"automation": usage(1), "visual": usage(2), "tunnel": Quality.UNAVAILABLE})
    cost = listed(price("1")).cost_of(one, ["visual"])
    assert ([charge.product for charge in cost.charges], cost.unknown) == (["visual"], False)


METRICS = st.sampled_from([Metric.TESTS, Metric.SCREENSHOTS])
PRICES = st.builds(
    Price,
    metric=METRICS,
    unit_price=st.decimals(0, 10, places=3),
    since=st.dates(DAY - timedelta(days=3), DAY + timedelta(days=3)),
    product=st.sampled_from(["a", "b", EVERY]),
    org=st.sampled_from([None, None, "acme", "ac*", "*me", "globex"]),
    label=st.just(()),
) | st.builds(
    Price,
    metric=METRICS,
    unit_price=st.decimals(0, 10, places=3),
    since=st.dates(DAY - timedelta(days=3), DAY + timedelta(days=3)),
    product=st.sampled_from(["a", "b", EVERY]),
    label=st.sampled_from([(("team", "qa"),), (("team", "dev"),)]),
)
NUMBERS = st.builds(usage, st.none() | st.integers(0, ANYTHING), st.none(), st.none() | st.integers(0, ANYTHING))


def by_hand(prices: Sequence[Price], product: str, metric: Metric, day: date) -> Decimal | None:
    """Return the unit price that counts, by the words of the documents: one kind of price after the other."""
    fitting = [one for one in prices if one.metric is metric and one.product in (product, EVERY) and one.since <= day]
    kinds = (
        [one for one in fitting if one.org == "acme"],
        [one for one in fitting if one.org in ("ac*", "*me")],
        [one for one in fitting if one.label == (("team", "qa"),)],
        [one for one in fitting if one.org is None and not one.label],
    )
    for kind in kinds:
        for of in (product, EVERY):
            if named := [one for one in kind if one.product == of]:
                newest = max(one.since for one in named)
                found = {one.unit_price for one in named if one.since == newest}
                return found.pop() if len(found) == 1 else None
    return None


@given(st.lists(PRICES, max_size=8), st.dictionaries(st.sampled_from(["a", "b", "c"]), NUMBERS))
def test_the_charges_are_those_of_a_calculation_by_hand(prices: list[Price], products: dict[str, object]) -> None:
    cost = listed(*prices).cost_of(window(products))  # type: ignore[arg-type]
    expected: list[tuple[str, Metric, Decimal]] = []
    for product, numbers in products.items():
        for metric, number in ((Metric.TESTS, numbers.total_tests), (Metric.SCREENSHOTS, numbers.total_screenshots)):  # type: ignore[attr-defined]
            unit = by_hand(prices, product, metric, DAY)
            if number is not None and unit is not None:
                expected.append((product, metric, number * unit))
    found = [(one.product, one.metric, Decimal(one.amount.numerator) / one.amount.denominator) for one in cost.charges]
    assert found == expected
    assert cost.amount == (sum(Fraction(amount) for *_, amount in expected) if expected else None)


@given(st.lists(PRICES, max_size=6))
def test_clashes_are_found_wherever_no_single_price_counts(prices: list[Price]) -> None:
    clashing = list(listed(*prices).clashes("acme", {"team": "qa"}))
    for first, second in clashing:
        one, other = prices[first], prices[second]
        assert first < second
        assert (one.metric, one.product, one.rank, one.since) == (other.metric, other.product, other.rank, other.since)
        assert one.unit_price != other.unit_price
    if not clashing:
        for metric in (Metric.TESTS, Metric.SCREENSHOTS):
            begun = any(
                one.metric is metric
                and one.since <= DAY
                and one.product in ("a", EVERY)
                and one.is_for("acme", ACME.labels)
                for one in prices
            )
            assert (by_hand(prices, "a", metric, DAY) is not None) == begun


def test_a_charge_is_exact() -> None:
    one = Charge("a", Metric.MINUTES, 10, 60, Decimal("0.1"), 1, 60)
    assert (one.quantity, one.amount) == (Fraction(1, 6), Fraction(1, 60))
