"""How budgets stand: what is used, what is unknown beside it, and what the forecast is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from collector.config.budgets import BudgetEntry
from collector.config.prices import Prices
from collector.core.anomalies import Anomaly
from collector.core.budgeting import Budgeting
from collector.core.budgets import Budget, BudgetMetric, BudgetStanding, Level, month_of, percent_text, read_of
from collector.core.costs import Metric
from collector.core.org_coverage import CoverageState
from collector.core.periods import Period
from collector.core.present import PresentOrg, PresentWindow
from collector.core.prices import DurationUnit, Price, PriceList
from collector.model import Granularity, Population, Quality, Zone
from collector.simulator.habits import PRODUCTS
from tests.support.budgets import budget, seen
from tests.support.presents import usage, window

NOW = datetime(2026, 6, 23, 9, tzinfo=UTC)
TODAY = NOW.date()
JUNE = Period(date(2026, 6, 1), date(2026, 6, 30))
DAY = timedelta(days=1)
ROOT = Path(__file__).parents[2]
GLOBEX = PresentOrg(name="globex", org_id="2", labels={"team": "dev"})
MISSING, PARTIAL = CoverageState.MISSING, CoverageState.PARTIAL
COST, MINUTES, SCREENSHOTS = BudgetMetric.COST, BudgetMetric.MINUTES, BudgetMetric.SCREENSHOTS
PRICES = PriceList(
    [
        Price(metric=Metric.TESTS, unit_price=Decimal("0.003"), since=date(2026, 1, 1), product="automation"),
        Price(metric=Metric.TESTS, unit_price=Decimal(7), since=date(2026, 6, 20), product="visual"),
        Price(metric=Metric.MINUTES, unit_price=Decimal("0.01"), since=date(2026, 1, 1), product="automation"),
    ],
    currency="USD",
    duration_unit=DurationUnit.SECONDS,
)


def standing(
    windows: Iterable[PresentWindow], of: Budget | None = None, *, now: datetime = NOW, **more: Any
) -> BudgetStanding:
    every = {"acme": tuple(Population), "globex": tuple(Population)}
    values: dict[str, Any] = {"month": JUNE, "now": now, "collected": every, "prices": PRICES} | more
    budgeting = Budgeting([of or budget()], **values)
    for one in windows:
        budgeting.add(one)
    (found,) = budgeting.standings()
    return found


def days(first: date, last: date, tests: int = 10, **more: Any) -> Iterator[PresentWindow]:
    for n in range((last - first).days + 1):
        yield window({"automation": usage(tests)}, day=first + n * DAY, **more)


CENT = Fraction(3, 1000)  # of a test
YESTERDAY = TODAY - DAY
MAY_26 = TODAY - 28 * DAY


def test_used_is_the_known_sum_of_the_month_and_the_forecast_goes_to_its_end() -> None:
    found = standing(days(MAY_26, YESTERDAY))
    assert seen(found.used, found.forecast, found.windows, found.unknown) == (220, 300, 22, 0)
    assert (found.used_ratio, found.forecast_ratio, found.level) == (Fraction(22, 100), Fraction(3, 10), Level.OK)
    assert (found.orgs, found.is_at_least, found.month) == (1, False, JUNE)


def test_unknown_days_are_counted_beside_what_is_used_and_expected_like_their_weekday() -> None:
    missing = {date(2026, 6, 3), date(2026, 6, 4)}
    known = [replace(one, state=MISSING, emission=None) if one.window_date in missing else one
             for one in days(MAY_26, YESTERDAY)]  # fmt: skip
    found = standing(known)
    assert seen(found.used, found.unknown, found.windows, found.forecast) == (200, 2, 22, 300)


def test_an_unknown_day_is_never_a_basis_of_the_forecast() -> None:
    unverified = [window({"automation": Quality.UNVERIFIED}, day=MAY_26 + n * DAY) for n in range(14)]
    found = standing([*unverified, *days(MAY_26 + 14 * DAY, YESTERDAY)])
    assert seen(found.used, found.forecast) == (140, 300)


def test_of_a_partial_day_the_known_part_is_used_and_only_the_rest_is_expected() -> None:
    half = window({"automation": usage(4), "visual": Quality.UNAVAILABLE}, day=YESTERDAY, state=PARTIAL)
    found = standing([*days(MAY_26, YESTERDAY - DAY), half])
    assert seen(found.used, found.unknown, found.forecast) == (214, 1, 300)
    assert standing([*days(MAY_26, YESTERDAY - DAY), half], budget(products=("automation",))).unknown == 0


def test_a_day_that_is_not_due_yet_is_still_to_come_and_not_unknown() -> None:
    later = window(day=YESTERDAY, state=CoverageState.NOT_DUE)
    found = standing([*days(MAY_26, YESTERDAY - DAY), later])
    assert seen(found.used, found.unknown, found.windows, found.forecast) == (210, 0, 21, 300)


def test_of_fewer_than_seven_known_days_nothing_is_forecast() -> None:
    found = standing(days(TODAY - 6 * DAY, YESTERDAY))
    assert seen(found.used, found.forecast, found.too_new, found.level) == (60, None, 1, Level.OK)
    assert standing(days(TODAY - 7 * DAY, YESTERDAY)).forecast == 70 + 80


def test_a_month_without_a_known_number_is_unknown_and_not_zero() -> None:
    found = standing(window(day=JUNE.first + n * DAY, state=MISSING) for n in range(22))
    assert (found.used, found.used_ratio, found.unknown, found.level) == (None, None, 22, Level.UNKNOWN)


def test_a_month_of_which_nothing_is_due_yet_is_zero() -> None:
    assert standing(days(MAY_26, date(2026, 5, 31))).used == 0


def test_one_unknown_org_spoils_no_days_of_the_others() -> None:
    """Each org and population is forecast by itself: in a fleet, some window of each day is unknown."""
    dark = [window(day=MAY_26 + n * DAY, state=MISSING, org=GLOBEX) for n in range(28)]
    found = standing([*days(MAY_26, YESTERDAY), *dark])
    assert seen(found.used, found.forecast, found.unknown, found.orgs) == (220, 300, 22, 2)
    assert (found.too_new, found.is_at_least) == (1, True)


def test_populations_are_forecast_by_themselves_and_their_org_is_counted_once() -> None:
    other = {"population": Population.SERVICE_USER}
    found = standing([*days(MAY_26, YESTERDAY), *days(MAY_26, YESTERDAY, 1, **other)])
    assert seen(found.used, found.forecast, found.orgs) == (242, 330, 1)
    newer = [*days(MAY_26, YESTERDAY), *days(YESTERDAY, YESTERDAY, 1, **other)]
    assert seen(standing(newer).used, standing(newer).forecast, standing(newer).too_new) == (221, 301, 1)


def test_windows_longer_than_a_day_are_used_and_not_forecast() -> None:
    month = window({"automation": usage(500)}, day=JUNE.first, days=30, org=GLOBEX)
    found = standing([*days(MAY_26, YESTERDAY), month])
    assert seen(found.used, found.forecast, found.coarse, found.is_at_least) == (720, 800, 1, True)
    alone = standing([month])
    assert seen(alone.used, alone.forecast, alone.coarse) == (500, None, 1)


def test_nothing_more_is_expected_of_an_org_that_the_config_has_no_more_or_a_population_that_is_not_collected() -> None:
    gone = replace(GLOBEX, in_config=False)
    found = standing([*days(MAY_26, YESTERDAY), *days(MAY_26, YESTERDAY, org=gone)])
    assert seen(found.used, found.forecast, found.is_at_least) == (440, 520, False)
    only = {"acme": (Population.SERVICE_USER,)}
    assert standing(days(MAY_26, YESTERDAY), collected=only).forecast == 220


def test_a_budget_is_about_its_orgs_and_products_only() -> None:
    windows = [*days(MAY_26, YESTERDAY), *days(MAY_26, YESTERDAY, 1, org=GLOBEX)]
    assert standing(windows, budget(org="globex")).used == 22
    assert standing(windows, budget(org="*")).used == 242
    assert standing(windows, budget(label=(("team", "qa"),))).used == 220
    unused = [window({"automation": usage(1), "visual": usage(0)}, day=one.window_date) for one in windows]
    found = standing(unused, budget(products=("visual",)))
    assert seen(found.used, found.forecast, found.level, found.notes) == (0, 0, Level.OK, ())


def test_minutes_are_counted_by_the_unit_of_the_api() -> None:
    windows = [window({"automation": usage(1, 90)}, day=YESTERDAY)]
    assert standing(windows, budget("b", "3", MINUTES, per_unit=60)).used == Fraction(3, 2)
    assert standing(windows, budget("b", "3", MINUTES, per_unit=60)).used_ratio == Fraction(1, 2)
    assert standing([window({"automation": usage(1, 9, 5)}, day=YESTERDAY)], budget("b", "3", SCREENSHOTS)).used == 5


def test_costs_are_exact_and_usage_without_a_price_is_counted_apart() -> None:
    windows = [
        window({"automation": usage(1 + n, 7), "visual": usage(1)} if n % 2 else {"automation": usage(1 + n, 7)},
               day=JUNE.first + n * DAY)
        for n in range(22)
    ]  # fmt: skip
    found = standing(windows, budget(metric=COST))
    tests = sum(range(1, 23)) * Fraction(3, 1000)
    assert found.used == tests + 22 * Fraction(7, 6000) + 7 * 2  # visual has a price from June 20 on
    assert (found.unknown, found.not_priced, found.windows) == (0, 9, 22)


def test_days_before_the_prices_are_no_basis_of_a_forecast_of_costs() -> None:
    """Of these days only those without usage have a cost, 0: a forecast of them would be far too low."""

    def numbers(n: int) -> dict[str, Any]:
        return {"visual": usage(0 if n % 7 in (0, 1) else 10)}

    windows = [window(numbers(n), day=MAY_26 + n * DAY) for n in range(28)]
    found = standing(windows, budget(metric=COST))
    assert seen(found.used, found.forecast, found.newly_priced) == (210, None, 1)  # three days with a price
    later = datetime(2026, 6, 28, 9, tzinfo=UTC)
    longer = [window(numbers(n), day=MAY_26 + n * DAY) for n in range(33)]
    found = standing(longer, budget(metric=COST), now=later)
    assert found.used == 70 * sum(n % 7 not in (0, 1) for n in range(25, 33))
    assert found.forecast is not None


def two(tests: int | None = 10, screenshots: int = 40) -> dict[str, Any]:
    """The usage of a product with a price and of one that only tests' prices don't fit."""
    return {"automation": usage(tests), "smartui": usage(None, None, screenshots)}


def test_a_product_that_never_has_a_price_spoils_no_forecast_of_those_that_have_one() -> None:
    every = [window(two(), day=MAY_26 + n * DAY) for n in range(28)]
    found = standing(every, budget(metric=COST))
    assert seen(found.used, found.forecast) == (220 * CENT, 300 * CENT)
    assert (found.not_priced, found.is_at_least, found.too_new, found.newly_priced) == (22, False, 0, 0)
    alone = [window({"automation": usage(10)}, day=MAY_26 + n * DAY) for n in range(28)]
    assert standing(alone, budget(metric=COST)).forecast == found.forecast


def test_a_day_on_which_only_a_product_without_a_price_was_used_costs_nothing_of_those_with_one() -> None:
    every = [window(two(tests=10 if n < 27 else 0), day=MAY_26 + n * DAY) for n in range(28)]
    found = standing(every, budget(metric=COST))
    assert seen(found.used, found.forecast) == (210 * CENT, (210 + 70 + Fraction(30, 4)) * CENT)


def test_that_nothing_but_usage_without_a_price_is_known_is_neither_zero_nor_a_forecast_of_zero() -> None:
    """On its days without usage it costs nothing, but that is no basis."""
    every = [window(two(screenshots=0 if n % 7 in (0, 1) else 40), day=MAY_26 + n * DAY) for n in range(28)]
    found = standing(every, budget(metric=COST, products=("smartui",)))
    assert (found.used, found.forecast, found.level, found.not_priced) == (None, None, Level.UNKNOWN, 16)
    assert found.notes == (
        "16 windows with usage that has no price",
        "no forecast of 1 org or a part: what is used has no price",
    )


def test_the_prices_of_the_documents_make_a_forecast_of_all_products_of_the_api() -> None:
    text = (ROOT / "docs/budgets.md").read_text("utf-8")
    example = yaml.load(text.split("```yaml")[1].split("```")[0], yaml.BaseLoader)  # noqa: S506 - reads texts only
    prices = Prices.model_validate(example["prices"])
    counted = {name: usage(None, None, 9) if name == "smartui" else usage(10, 500) for name in PRODUCTS}
    windows = [window(dict(counted), day=MAY_26 + n * DAY) for n in range(28)]
    for entry in example["budgets"]:
        of = replace(BudgetEntry.model_validate(entry).budget(prices), org=None, label=())
        found = standing(windows, of, prices=prices.price_list())
        assert found.forecast is not None
        assert found.notes == ()


def test_an_org_without_any_price_spoils_no_forecast_of_the_others() -> None:
    unpriced = [window({"smartui": usage(None, None, 5)}, day=MAY_26 + n * DAY, org=GLOBEX) for n in range(28)]
    priced = [window(two(), day=MAY_26 + n * DAY) for n in range(28)]
    found = standing([*priced, *unpriced], budget(metric=COST))
    assert seen(found.forecast, found.is_at_least, found.not_priced, found.orgs) == (300 * CENT, False, 44, 2)


def test_why_there_is_no_forecast_is_true() -> None:
    newly = [window({"visual": usage(5)}, day=MAY_26 + n * DAY) for n in range(28)]  # a price from June 20 on
    found = standing(newly, budget(metric=COST))
    assert (found.newly_priced, found.too_new, found.forecast, found.is_at_least) == (1, 0, None, True)
    assert (
        found.notes[-1] == "no forecast of 1 org or a part: a price of what is used began fewer than 7 known days ago"
    )
    new = [window({"visual": usage(5)}, day=YESTERDAY)]
    found = standing(new, budget(metric=COST))
    assert (found.newly_priced, found.too_new) == (0, 1)
    assert found.notes == ("no forecast of 1 org or a part: fewer than 7 days of the last 4 weeks are known",)


def test_a_product_that_no_window_has_is_named_and_its_budget_is_unknown_and_not_zero() -> None:
    found = standing(days(MAY_26, YESTERDAY), budget(products=("automaton",)))
    assert (found.used, found.forecast, found.level, found.unknown) == (None, None, Level.UNKNOWN, 0)
    assert found.absent == ("automaton",)
    assert found.notes == ("no window has the product automaton: compare its name with those in an export",)


def test_of_two_products_the_one_that_no_window_has_is_named_and_the_other_counts() -> None:
    found = standing(days(MAY_26, YESTERDAY), budget(products=("automation", "automaton")))
    assert seen(found.used, found.forecast, found.level, found.absent) == (220, 300, Level.OK, ("automaton",))


def test_a_product_without_the_number_of_the_budget_is_named_and_its_budget_is_unknown() -> None:
    every = [window(two(), day=MAY_26 + n * DAY) for n in range(28)]
    found = standing(every, budget(products=("smartui",)))
    assert (found.used, found.forecast, found.level) == (None, None, Level.UNKNOWN)
    assert (found.absent, found.without_number) == ((), ("smartui",))
    assert found.notes == ("smartui has no tests in any window: that is not counted",)
    assert standing(every, budget("b", "9", SCREENSHOTS, products=("smartui",))).used == 22 * 40


def test_a_number_that_no_product_has_is_unknown_without_products_in_the_budget_too() -> None:
    found = standing(days(MAY_26, YESTERDAY), budget("b", "9", SCREENSHOTS))
    assert (found.used, found.forecast, found.level) == (None, None, Level.UNKNOWN)
    assert found.notes == ("no product has screenshots in any window",)


def test_an_org_whose_answers_have_no_product_used_nothing() -> None:
    assert standing([window({}, day=YESTERDAY)]).used == 0


def test_a_product_is_not_called_absent_by_windows_that_may_have_it() -> None:
    """Only a whole answer has all products; one product may be unknown in it."""
    missing = [window(day=YESTERDAY, state=MISSING), window({"automation": usage(1)}, day=YESTERDAY, state=PARTIAL)]
    assert standing(missing, budget(products=("visual",))).absent == ()
    gone = window({"automation": usage(1)}, day=YESTERDAY, anomalies={Anomaly.PRODUCT_MISSING: ("visual",)})
    assert standing([gone], budget(products=("visual",))).absent == ()
    unverified = window({"visual": Quality.UNVERIFIED}, day=YESTERDAY - DAY)
    assert standing([unverified, *days(YESTERDAY, YESTERDAY)], budget(products=("visual",))).product_notes == ()


def test_a_product_that_one_org_has_is_not_absent_of_the_others() -> None:
    other = window({"visual": usage(3)}, day=YESTERDAY, org=GLOBEX)
    found = standing([*days(MAY_26, YESTERDAY), other], budget(products=("visual",)))
    assert seen(found.used, found.absent) == (3, ())


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, ""),
        (Fraction(0), "0 %"),
        (Fraction(4, 1000), "0 %"),
        (Fraction(5, 1000), "1 %"),
        (Fraction(25, 1000), "3 %"),
        (Fraction(9994, 10_000), "100 %"),
        (Fraction(1351768, 10_000), "13,518 %"),
    ],
)
def test_percents_are_rounded_half_up_with_a_separator_and_a_space(ratio: Fraction | None, text: str) -> None:
    assert percent_text(ratio) == text


def test_hours_make_a_known_day_only_together_also_where_clocks_change() -> None:
    berlin = Zone.parse("Europe/Berlin").tz
    now, month = datetime(2026, 4, 3, 9, tzinfo=UTC), Period(date(2026, 4, 1), date(2026, 4, 30))
    instant, end = datetime(2026, 3, 22, 23, tzinfo=UTC), datetime(2026, 4, 3, 7, tzinfo=UTC)
    windows = []
    while instant < end:  # March 29 has 23 hours
        start = instant.astimezone(berlin)
        windows.append(
            window({"automation": usage(1)}, day=start.date(), granularity=Granularity.HOUR, timezone="Europe/Berlin",
                   window_date=start.date(), window_start=start, window_end=(instant + DAY / 24).astimezone(berlin))
        )  # fmt: skip
        instant += DAY / 24
    found = standing(windows, now=now, month=month)
    assert found.used == 24 + 24 + 9
    sundays = 4
    assert found.forecast == 30 * 24 - sundays
    assert standing(windows[3:], now=now, month=month).forecast == 30 * 24 - sundays


@pytest.mark.parametrize(
    ("used", "to_come", "level"),
    [
        ("799", 0, Level.OK),
        ("800", 0, Level.NEAR),
        ("999", 1, Level.NEAR),
        ("700", 301, Level.FORECAST),
        ("900", 101, Level.FORECAST),
        ("1000", 0, Level.OVER),
        ("5000", 9, Level.OVER),
    ],
)
def test_level_is_the_worst_that_is_true(used: str, to_come: int, level: Level) -> None:
    of = replace(standing([]), used=Fraction(used), forecast=Fraction(used) + to_come)
    assert of.level is level
    assert replace(of, forecast=None).level is (level if level is not Level.FORECAST else
                                                Level.NEAR if used == "900" else Level.OK)  # fmt: skip


def test_level_of_an_amount_with_decimals_is_exact() -> None:
    third = replace(standing([], budget("b", "0.3")), used=Fraction("0.24"), forecast=Fraction("0.3"))
    assert seen(third.used_ratio, third.forecast_ratio, third.level) == (Fraction(4, 5), 1, Level.NEAR)


def test_a_shard_without_the_orgs_of_a_budget_has_used_nothing_of_it() -> None:
    found = standing([])
    assert seen(found.used, found.forecast, found.orgs, found.level) == (0, 0, 0, Level.OK)


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("2026-06-23T12:00", "2026-06-01"),
        ("2026-07-01T05:59", "2026-06-01"),
        ("2026-07-01T06:00", "2026-06-01"),  # the last day of June has just become due
        ("2026-07-02T05:59", "2026-06-01"),
        ("2026-07-02T06:00", "2026-07-01"),
        ("2027-01-01T12:00", "2026-12-01"),
    ],
)
def test_the_month_is_that_of_the_newest_day_that_is_due(now: str, first: str) -> None:
    found = month_of(datetime.fromisoformat(now).replace(tzinfo=UTC), settle=timedelta(hours=6), zone=Zone.parse("UTC"))
    assert found.first == date.fromisoformat(first)
    assert (found.is_months, found.days < 32) == (True, True)


@given(st.integers(0, 24 * 730), st.sampled_from(["UTC", "Asia/Tokyo", "-11:00"]))
def test_what_is_read_has_the_month_and_28_days_before_the_present_one_in_any_zone(hours: int, zone: str) -> None:
    instant = NOW + timedelta(hours=hours)
    month = month_of(instant, settle=timedelta(hours=6), zone=Zone.parse(zone))
    read = read_of(month, instant)
    for org_zone in ("+14:00", "-11:00"):
        today = instant.astimezone(Zone.parse(org_zone).tz).date()
        assert read.first <= min(month.first, today - 28 * DAY)
        assert read.last >= max(month.last, today)
    assert read.days < 65


def test_the_order_of_orgs_is_no_matter() -> None:
    one, other = list(days(MAY_26, YESTERDAY)), list(days(MAY_26, YESTERDAY, 3, org=GLOBEX))
    assert standing([*one, *other]) == standing([*other, *one])
