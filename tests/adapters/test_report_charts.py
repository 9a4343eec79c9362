"""The charts of a report: what is unknown has a mark and no height, and texts from outside stay texts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.report import calendar_chart, charts, page_of
from collector.adapters.report.svg import svg_of
from collector.core.org_coverage import CoverageState
from collector.core.periods import Period
from collector.core.prices import DurationUnit
from collector.core.report import Metric, Report
from collector.core.reporting import Reporting
from collector.model import Population
from tests.unit.test_present import START
from tests.unit.test_report import a_day, reported

FIRST = START.date()
MISSING = CoverageState.MISSING


def marks(spec: Any, kind: str) -> list[Any]:
    """The values that marks of a kind are drawn for, in all layers."""
    found = []
    data = spec.get("data", {}).get("values")
    for layer in spec.get("layer", []):
        mark = layer["mark"]
        if mark["type"] == kind:
            found += layer.get("data", {}).get("values", data)
    return found


def two_days(n: int = 0) -> Report:
    """The first day is known, of the second nothing, of the third one population."""
    now = [
        a_day(0, 8),
        a_day(1, None, state=MISSING),
        a_day(2, 4),
        a_day(2, None, state=MISSING, population=Population.SERVICE_USER),
    ]
    return reported(now, period=Period(FIRST, FIRST + timedelta(days=2 + n)))


def test_a_small_chart_has_no_step_where_nothing_is_known_and_a_tick_for_unknown_windows() -> None:
    report = two_days()
    spec = charts.small(report.orgs[0], report.period.parts(report.part), Metric.TESTS)
    steps = marks(spec, "area")
    assert [one["y"] for one in steps] == [50, 50, None, None, 25, 25]
    width = spec["width"]
    assert [round(one["x"] * 3 / width - 0.5) for one in marks(spec, "tick")] == [1, 2]


@given(st.lists(st.integers(0, 10**12) | st.none(), min_size=1, max_size=62))
def test_a_step_is_seen_unless_its_number_is_zero_or_unknown(numbers: list[int | None]) -> None:
    now = [
        a_day(n, tests, state=MISSING if tests is None else CoverageState.COMPLETE) for n, tests in enumerate(numbers)
    ]
    report = reported(now, period=Period(FIRST, FIRST + timedelta(days=len(numbers) - 1)))
    spec = charts.small(report.orgs[0], report.period.parts(report.part), Metric.TESTS)
    highs = [one["y"] for one in marks(spec, "area")][::2]
    for number, high in zip(numbers, highs, strict=True):
        assert (high is None) == (number is None)
        assert (high == 0) == (number == 0)
        assert high is None or 0 <= high <= 50


def test_a_day_without_a_known_number_has_no_heat_and_a_cross_and_one_known_in_part_a_dot() -> None:
    report = two_days(1)
    spec = calendar_chart.calendar(report.days, report.period, Metric.TESTS, 600)
    days = marks(spec, "rect")
    assert [(one["heat"], one["unknown"]) for one in days] == [("5", ""), ("none", "all"), ("4", "some"), ("none", "")]


def test_bars_over_time_leave_out_what_is_unknown_and_the_strip_below_says_so() -> None:
    report = two_days()
    bars, strip = charts.over_time(report, 600)["vconcat"]
    assert [(one["first"][:10], one["low"], one["high"]) for one in bars["data"]["values"]] == [
        (str(FIRST), 0, 8),
        (str(FIRST + timedelta(days=2)), 0, 4),
    ]
    assert [(one["unknown"], one["ratio"]) for one in strip["data"]["values"]] == [(0, 0), (1, 1.0), (1, 0.5)]


def test_products_beyond_the_largest_are_summed_and_nothing_gets_lost() -> None:
    now = [a_day(0, 10 + n, product=f"product-{n}", org=f"org-{n}") for n in range(11)]
    report = reported(now, period=Period(FIRST, FIRST))
    bars, _ = charts.over_time(report, 600)["vconcat"]
    values = bars["data"]["values"]
    assert len(values) == charts.SERIES + 1
    assert max(one["high"] for one in values) == sum(10 + n for n in range(11)) == report.total.now.tests
    assert values[-1]["product"] == "others"


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=400))
def test_the_largest_number_has_the_darkest_heat_and_more_is_never_lighter(numbers: list[int]) -> None:
    bounds = calendar_chart.bounds_of(numbers)
    assert calendar_chart.heat_of(max(numbers), bounds) == "5"
    assert calendar_chart.heat_of(0, bounds) == "0"
    heats = [int(calendar_chart.heat_of(one, bounds)) for one in sorted(numbers)]
    assert heats == sorted(heats)
    assert min(heats) >= 1


def test_a_calendar_shows_a_year_in_a_row_and_longer_periods_by_year() -> None:
    year = Period(date(2025, 11, 26), date(2026, 11, 25))
    assert calendar_chart.years(year) == [year]
    assert [str(one) for one in calendar_chart.years(Period(date(2024, 11, 1), date(2026, 2, 1)))] == [
        "2024-11-01 to 2024-12-31",
        "2025-01-01 to 2025-12-31",
        "2026-01-01 to 2026-02-01",
    ]


HOSTILE = '</svg><script>alert(1)</script> "datum" ${x} \u202e & <b>'


def test_names_from_outside_stay_texts_in_charts_and_page() -> None:
    now = [
        a_day(0, 9, org=HOSTILE, product=HOSTILE, labels={HOSTILE: HOSTILE}),
        a_day(1, None, org=HOSTILE, state=MISSING),
    ]
    before = [a_day(-1, 3, org=HOSTILE, product=HOSTILE), a_day(-2, 2, org=HOSTILE, product=HOSTILE)]
    page = page_of(reported(now, before, period=Period(FIRST, FIRST + timedelta(days=1)))).decode()
    assert "<script" not in page
    assert "\u202e" not in page
    assert page.count("</svg>") == page.count("<svg ")


def test_what_nobody_collected_makes_a_page_incomplete() -> None:
    reporting = Reporting(Period(FIRST, FIRST))
    reporting.add(a_day(0, 9))
    page = page_of(reporting.report(START, not_wanted={"acme": 3, "other": 0})).decode()
    assert "Not everything is known" in page
    assert "3 of 4 windows of the period were never collected, of 1 organization" in page
    assert "Everything is known" not in page


def test_a_refusal_is_named_and_hours_stand_where_the_unit_is_known() -> None:
    refused = a_day(1, None, state=MISSING, reason="refused_credential")
    report = reported([a_day(0, 9), refused], period=Period(FIRST, FIRST + timedelta(days=1)))
    page = page_of(replace(report, duration_unit=DurationUnit.SECONDS)).decode()
    assert "the API refuses the credential" in page
    assert "<dt>Hours</dt>" in page
    assert "<dt>Duration</dt>" in page_of(report).decode()


def test_a_drawing_is_described_and_has_the_colours_of_the_page() -> None:
    report = two_days()
    drawn = svg_of(charts.over_time(report, 600), 'a "chart" <of> tests')
    assert drawn.startswith('<svg role="img" aria-label="a &quot;chart&quot; &lt;of&gt; tests" viewBox=')
    assert "var(--s0)" in drawn
    assert not re.search(r' (role|class)="(?!img)', drawn)
    assert svg_of(charts.small(report.orgs[0], [FIRST], Metric.TESTS)).startswith('<svg aria-hidden="true" ')


@pytest.mark.parametrize("metric", [Metric.SCREENSHOTS, Metric.TESTS])
def test_a_page_without_any_number_says_so(metric: Metric) -> None:
    empty = page_of(reported([], period=Period(FIRST, FIRST), metric=metric)).decode()
    assert "No window of the period is wanted or due" in empty
    unknown = page_of(reported([a_day(0, None, state=MISSING)], period=Period(FIRST, FIRST), metric=metric)).decode()
    assert "No number is known." in unknown
    assert "not fetched yet" in unknown
