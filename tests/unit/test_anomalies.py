"""Which answers are anomalies, and which are not: nobody reads a warning that comes every day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.anomalies import Anomaly, History, Past, anomalies, past_of
from collector.core.emission import Emission, Emitted
from collector.core.finding import Finding
from collector.model import ProductUsage, Quality, Window

DAY = timedelta(days=1)
START = datetime(2026, 6, 1, tzinfo=UTC)
WINDOW = Window(START, START + DAY)


def usage(tests: int, duration: int | None = None) -> ProductUsage:
    return ProductUsage(total_tests=tests, total_duration=tests * 100 if duration is None else duration)


def finding(users: int | None = 3, **products: ProductUsage | None) -> Finding:
    return Finding(org_id="1", org_name="One", users=users, products=products)


def emission(users: int = 3, **products: ProductUsage) -> Emission:
    emitted = {name: Emitted(revision=1, quality=Quality.MEASURED, usage=used) for name, used in products.items()}
    return Emission(emitted_at=START, users=users, products=emitted)


def days_before(count: int, automation: ProductUsage) -> list[Past]:
    before = emission(automation=automation)
    return [past_of(Window(START - n * DAY, START - (n - 1) * DAY), before) for n in range(1, count + 1)]


ZERO = finding(0, automation=usage(0))
BUSY = days_before(28, automation=usage(50))


def test_both_populations_with_the_same_non_zero_totals_are_an_anomaly() -> None:
    twin = emission(users=9, automation=usage(7))
    assert anomalies(WINDOW, finding(automation=usage(7)), past=History(), twin=twin) == {Anomaly.SAME_TOTALS: ()}


def test_the_same_totals_are_told_also_where_one_answer_names_more_products_that_are_zero() -> None:
    twin = emission(automation=usage(7), realdevice=usage(0))
    assert anomalies(WINDOW, finding(automation=usage(7)), past=History(), twin=twin) == {Anomaly.SAME_TOTALS: ()}


@pytest.mark.parametrize("twin", [None, emission(automation=usage(8)), emission(automation=usage(0))])
def test_other_totals_of_the_twin_are_not(twin: Emission | None) -> None:
    assert anomalies(WINDOW, finding(automation=usage(7)), past=History(), twin=twin) == {}


def test_two_populations_that_are_both_zero_are_no_anomaly() -> None:
    assert anomalies(WINDOW, ZERO, past=History(), twin=emission(users=0, automation=usage(0))) == {}


def test_all_zero_after_four_weeks_that_never_were_is_an_anomaly() -> None:
    assert anomalies(WINDOW, ZERO, past=History(BUSY), twin=None) == {Anomaly.SUDDENLY_ZERO: ()}


def test_all_zero_is_no_anomaly_where_a_day_of_the_last_four_weeks_was() -> None:
    weekend = past_of(Window(START - 3 * DAY, START - 2 * DAY), emission(users=0, automation=usage(0)))
    assert anomalies(WINDOW, ZERO, past=History([*BUSY[:2], weekend, *BUSY[3:]]), twin=None) == {}


def test_all_zero_is_no_anomaly_where_less_than_four_weeks_are_known() -> None:
    assert anomalies(WINDOW, ZERO, past=History(BUSY[:20]), twin=None) == {}


def test_a_zero_day_longer_ago_than_four_weeks_says_nothing() -> None:
    long_ago = past_of(Window(START - 40 * DAY, START - 39 * DAY), emission(users=0, automation=usage(0)))
    assert anomalies(WINDOW, ZERO, past=History([*BUSY, long_ago]), twin=None) == {Anomaly.SUDDENLY_ZERO: ()}


@pytest.mark.parametrize("factor", [1000, 1_000_000, 300])
def test_a_mean_duration_that_leaps_is_an_anomaly_in_either_direction(factor: int) -> None:
    large = finding(automation=usage(50, 50 * 100 * factor))
    assert anomalies(WINDOW, large, past=History(BUSY), twin=None) == {Anomaly.UNIT_CHANGED: ["automation"]}
    past = days_before(28, automation=usage(50, 50 * 100 * factor))
    assert anomalies(WINDOW, finding(automation=usage(50)), past=History(past), twin=None) == {
        Anomaly.UNIT_CHANGED: ["automation"]
    }


@pytest.mark.parametrize("factor", [1, 10, 100, 0.02])
def test_usage_that_varies_is_not(factor: float) -> None:
    varied = finding(automation=usage(50, int(50 * 100 * factor)))
    assert anomalies(WINDOW, varied, past=History(BUSY), twin=None) == {}


def test_a_mean_of_few_tests_says_nothing() -> None:
    assert anomalies(WINDOW, finding(automation=usage(3, 10**9)), past=History(BUSY), twin=None) == {}


def test_a_partial_answer_is_not_looked_at() -> None:
    partial = finding(None, automation=usage(50, 10**9))
    assert anomalies(WINDOW, partial, past=History(BUSY), twin=emission(automation=usage(50, 10**9))) == {}


@given(ages=st.lists(st.integers(1, 200), unique=True), later=st.integers(0, 30))
def test_what_may_be_forgotten_changes_no_verdict_of_a_later_window(ages: list[int], later: int) -> None:
    past = [past_of(Window(START - n * DAY, START - (n - 1) * DAY), emission(automation=usage(50))) for n in ages]
    window = Window(START + later * DAY, START + (later + 1) * DAY)
    kept = History(past).since(START)
    leaping = finding(automation=usage(50, 10**9))
    for answer in (ZERO, leaping):
        whole = anomalies(window, answer, past=History(past), twin=None)
        assert anomalies(window, answer, past=kept, twin=None) == whole


@given(
    means=st.lists(st.integers(1, 10**7), max_size=40),
    now=st.integers(1, 10**7),
)
def test_the_bounds_of_all_means_change_no_verdict(means: list[int], now: int) -> None:
    past = [
        past_of(Window(START - n * DAY, START - (n - 1) * DAY), emission(automation=usage(10, 10 * mean)))
        for n, mean in enumerate(means, start=1)
    ]
    recent = means[:28]
    leaps = bool(recent) and not median(recent) / 300 < now < median(recent) * 300
    found = anomalies(WINDOW, finding(automation=usage(10, 10 * now)), past=History(past), twin=None)
    assert found == ({Anomaly.UNIT_CHANGED: ["automation"]} if leaps else {})
