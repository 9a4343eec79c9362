"""Sums of costs: exact, and rounded only to be shown."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.costs import CostSum, Metric, WindowCost, remainder, rounded
from collector.core.grouping import Groups, groups_of, parse_dimensions
from collector.core.org_coverage import CoverageState
from collector.core.prices import DurationUnit, Price, PriceList
from collector.model import Quality
from tests.support.presents import usage, window

JANUARY = date(2026, 1, 1)
SECONDS = PriceList(
    [
        Price(metric=Metric.TESTS, unit_price=Decimal("0.005"), since=JANUARY, product="automation"),
        Price(metric=Metric.TESTS, unit_price=Decimal("0.0045"), since=date(2026, 6, 16), product="automation"),
        Price(metric=Metric.MINUTES, unit_price=Decimal("0.02"), since=JANUARY, product="automation"),
        Price(metric=Metric.SCREENSHOTS, unit_price=Decimal("0.001"), since=JANUARY),
    ],
    currency="USD",
    duration_unit=DurationUnit.SECONDS,
)
AMOUNTS = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=60_000_000)


def test_a_month_with_a_price_that_changes_and_an_unknown_day_equals_the_calculation_in_decimals() -> None:
    first, failed = date(2026, 6, 1), 20
    months = []
    expected = Decimal()
    with localcontext(prec=60):
        for n in range(30):
            day = first + timedelta(days=n)
            tests, minutes, pictures = 1000 + 37 * n, 11 * n, 5000 + n
            if n == failed:
                months.append(window(day=day, state=CoverageState.FAILED))
                continue
            months.append(window({"automation": usage(tests, 60 * minutes), "visual": usage(1, 0, pictures)}, day=day))
            unit = Decimal("0.005") if day < date(2026, 6, 16) else Decimal("0.0045")
            expected += tests * unit + minutes * Decimal("0.02") + pictures * Decimal("0.001")
    (group,) = groups_of(iter(months), parse_dimensions(["month"]), (), SECONDS)
    cost = group.sum.cost
    assert cost.amount == Fraction(expected)
    assert (cost.windows_unknown, cost.windows_not_priced, group.sum.unknown) == (1, 0, 1)


def test_a_group_in_which_nothing_is_known_has_no_cost() -> None:
    windows = [
        window(state=CoverageState.MISSING),
        window({"automation": Quality.UNAVAILABLE}, state=CoverageState.PARTIAL),
    ]
    (group,) = groups_of(iter(windows), (), (), SECONDS)
    assert (group.sum.cost.amount, group.sum.cost.windows_unknown) == (None, 2)


def test_costs_by_product_count_what_each_of_them_lacks() -> None:
    windows = [
        window({"automation": usage(10), "tunnel": usage(4)}),
        window({"automation": usage(10), "visual": usage(0, 0, 3)}, state=CoverageState.PARTIAL),
        window(state=CoverageState.FAILED),
    ]
    groups = groups_of(iter(windows), parse_dimensions(["product"]), (), SECONDS)
    found = {
        one.key[0]: (one.sum.cost.amount, one.sum.cost.windows_unknown, one.sum.cost.windows_not_priced)
        for one in groups
    }
    assert found == {
        "automation": (Fraction("0.09"), 1, 0),
        "tunnel": (None, 2, 1),
        "visual": (Fraction("0.003"), 1, 0),
    }


def test_groups_without_prices_have_no_cost() -> None:
    (group,) = groups_of(iter([window({"automation": usage(10)}), window(state=CoverageState.FAILED)]), ())
    assert group.sum.cost == CostSum()


WINDOWS = st.lists(
    st.builds(
        window,
        st.none()
        | st.dictionaries(
            st.sampled_from(["automation", "visual"]),
            st.builds(usage, st.none() | st.integers(0, 99), st.integers(0, 99), st.none() | st.integers(0, 99))
            | st.just(Quality.UNAVAILABLE),
        ),
        day=st.dates(date(2026, 6, 1), date(2026, 7, 31)),
        state=st.sampled_from([CoverageState.COMPLETE, CoverageState.PARTIAL, CoverageState.FAILED]),
    ),
    max_size=12,
)


@given(WINDOWS, st.sampled_from(["day", "month", "product", "population", "week,product"]))
def test_the_costs_of_groups_are_together_the_cost_of_all(windows: list[object], by: str) -> None:
    everything = Groups((), (), SECONDS)
    for one in windows:
        everything.add(one)  # type: ignore[arg-type]
    total = CostSum()
    for group in groups_of(iter(windows), parse_dimensions([by]), (), SECONDS):  # type: ignore[arg-type]
        total.merge(group.sum.cost)
    assert [total.amount] == ([one.sum.cost.amount for one in everything.rows()] or [None])


def test_sums_of_different_prices_stay_exact() -> None:
    one = window({"automation": usage(7, 11, 13)})
    other = PriceList([Price(metric=Metric.TESTS, unit_price=Decimal("0.000000007"), since=JANUARY)])
    total = CostSum()
    for prices in (SECONDS, other, PriceList(), SECONDS):
        total.add(prices.cost_of(one))
    exact = SECONDS.cost_of(one).amount, other.cost_of(one).amount
    assert None not in exact
    assert total.amount == 2 * exact[0] + exact[1]  # type: ignore[operator]


@given(AMOUNTS, st.integers(0, 9))
def test_an_amount_is_rounded_half_even_by_decimals(amount: Fraction, decimals: int) -> None:
    with localcontext(prec=200, rounding=ROUND_HALF_EVEN):
        found = rounded(amount, decimals)
        assert found.as_tuple().exponent == -decimals
        assert abs(Fraction(found) - amount) <= Fraction(1, 2 * 10**decimals)


@pytest.mark.parametrize(
    ("amount", "shown"), [("0.005", "0.00"), ("0.015", "0.02"), ("0.025", "0.02"), ("-0.005", "0.00"), ("2.5", "2.50")]
)
def test_halves_are_rounded_to_even(amount: str, shown: str) -> None:
    assert f"{rounded(Fraction(amount), 2):f}" == shown


def test_large_amounts_are_rounded_exactly() -> None:
    assert str(rounded(Fraction(2 * 10**40, 3), 2)) == "6" * 40 + ".67"
    assert remainder(rounded(Fraction(10**40), 2), [rounded(Fraction(1, 3), 2)]) == Decimal("9" * 40 + ".67")


@given(st.lists(AMOUNTS | st.none()), st.integers(0, 4))
def test_rows_and_remainder_are_together_the_total(amounts: list[Fraction | None], decimals: int) -> None:
    known = [one for one in amounts if one is not None]
    total = rounded(sum(known, Fraction()), decimals)
    rows = [None if one is None else rounded(one, decimals) for one in amounts]
    rest = remainder(total, rows)
    assert sum((Fraction(one) for one in rows if one is not None), Fraction(rest)) == Fraction(total)
    assert abs(rest) <= Decimal(len(known) + 1) / 2 / 10**decimals


def test_the_cost_of_a_window_without_charges_is_none() -> None:
    assert WindowCost().amount is None
