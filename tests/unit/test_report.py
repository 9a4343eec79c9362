"""A report: equal to the sums of an export, and nothing that isn't known is ever zero."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from collector.app.report import add_begun
from collector.core.columns import Kind
from collector.core.export_rows import group_row
from collector.core.grouping import By, Dimension, Group, Sum, groups_of, order, parse_dimensions, parts
from collector.core.org_coverage import CoverageState
from collector.core.periods import Period
from collector.core.present import PresentOrg, PresentWindow
from collector.core.report import Metric, Report
from collector.core.report_rows import document, line_columns, line_rows
from collector.core.reporting import Reporting
from collector.errors import ConfigError
from collector.model import Granularity, Population, Quality
from tests.unit.test_grouping import DIMENSIONS, windows
from tests.unit.test_present import START, emission, window

MADE_AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
PERIOD = Period(START.date(), START.date() + timedelta(days=60))
MEASURED, UNAVAILABLE = Quality.MEASURED, Quality.UNAVAILABLE


def reported(
    now: Sequence[PresentWindow], before: Sequence[PresentWindow] = (), *, period: Period = PERIOD, **more: Any
) -> Report:
    reporting = Reporting(period, **more)
    for one in now:
        reporting.add(one)
    for one in before:
        reporting.add_before(one)
    return reporting.report(MADE_AT)


def a_day(
    n: int,
    tests: int | None = 5,
    *,
    state: CoverageState = CoverageState.COMPLETE,
    product: str = "automation",
    org: str = "acme",
    labels: dict[str, str] | None = None,
    **more: Any,
) -> PresentWindow:
    start = START + timedelta(days=n)
    emitted = None if tests is None else emission({product: MEASURED}, tests=tests)
    values = {
        "org": PresentOrg(name=org, org_id=org, labels=labels or {}),
        "window_date": start.date(),
        "window_start": start,
        "window_end": start + timedelta(days=1),
        "emission": emitted,
    }
    return window(state, None, **(values | more))


def exported(found: Sequence[PresentWindow], *by: str) -> dict[Any, Sum]:
    dimensions = parse_dimensions(by)
    part_of = parts(dimensions)
    ranked = sorted(found, key=lambda one: order(part_of(one.org)))
    return {group.key: group.sum for group in groups_of(iter(ranked), dimensions)}


@given(windows(), windows(), DIMENSIONS)
def test_each_line_is_what_an_export_by_the_same_sums_up(
    now: list[PresentWindow], before: list[PresentWindow], dimensions: tuple[Dimension, ...]
) -> None:
    report = reported(now, before, by=dimensions)
    assert {line.key: line.now for line in report.orgs if line.now.windows} == exported(now, "org")
    assert {line.key: line.before for line in report.orgs if line.before.windows} == exported(before, "org")
    assert {line.key: line.now for line in report.populations if line.now.windows} == exported(now, "population")
    assert {line.key: line.now for line in report.labels.get("team", ()) if line.now.windows} == (
        exported(now, "label:team") if "team" in report.labels else {}
    )
    assert {(day,): sums for day, sums in report.days.items()} == exported(now, "day")
    whole = Sum()
    for one in now:
        whole.add_window(one)
    assert report.total.now == whole
    products = {line.key: line.now for line in report.of_products if line.now.windows}
    assert products == {key: sums for key, sums in exported(now, "product").items() if sums.windows}
    if report.compares:
        names = [f"label:{one.label}" if one.label else one.by.value for one in dimensions]
        assert {line.key: line.now for line in report.lines if line.now.windows} == exported(now, *names)


@given(windows())
def test_parts_add_up_to_the_whole(now: list[PresentWindow]) -> None:
    report = reported(now)
    for line in [report.total, *report.orgs, *report.populations]:
        whole = Sum()
        for sums in line.parts.values():
            whole.merge(sums)
        assert whole == line.now


def test_lines_stand_by_their_numbers_and_what_is_unknown_stands_last() -> None:
    now = [a_day(0, tests, org=org) for org, tests in {"low": 1, "unknown": None, "high": 9, "zero": 0}.items()]
    now[1] = a_day(0, None, org="unknown", state=CoverageState.MISSING)
    assert [line.name for line in reported(now).orgs] == ["high", "low", "zero", "unknown"]


def test_a_change_needs_known_numbers_and_is_exact_if_every_window_is_known() -> None:
    missing = a_day(1, None, state=CoverageState.MISSING)
    now, before = [a_day(0, 12)], [a_day(-61, 10)]
    (line,) = reported(now, before).orgs
    assert line.change(Metric.TESTS) == (2, 0.2, True)
    (line,) = reported([*now, missing], before).orgs
    assert line.change(Metric.TESTS) == (2, 0.2, False)
    (line,) = reported([missing], before).orgs
    assert line.change(Metric.TESTS) is None
    (line,) = reported(now, [a_day(-61, 0)]).orgs
    assert line.change(Metric.TESTS) == (12, None, True)
    (line,) = reported(now).orgs
    assert line.change(Metric.TESTS) is None, "there is nothing to compare with"
    (line,) = reported(now, before).orgs
    assert line.change(Metric.SCREENSHOTS) is None


def test_movers_are_wholly_known_and_in_the_order_of_their_difference() -> None:
    before = [a_day(-61, 10, org=org) for org in ("up", "down", "same", "partly")]
    now = [a_day(0, tests, org=org) for org, tests in {"up": 15, "down": 1, "same": 10, "partly": 99}.items()]
    now.append(a_day(1, None, org="partly", state=CoverageState.FAILED))
    assert [line.name for line in reported(now, before).movers(5)] == ["down", "up"]
    assert [line.name for line in reported(now, before).movers(1)] == ["down"]


def test_unknown_windows_are_named_by_org_accounts_and_state() -> None:
    failed = [a_day(n, None, state=CoverageState.FAILED) for n in (0, 3)]
    other = a_day(1, None, state=CoverageState.MISSING, population=Population.SERVICE_USER)
    report = reported([a_day(2, 7), *failed, other])
    assert [
        (one.population.value, one.state.value, one.windows, (one.last - one.first).days) for one in report.unknown
    ] == [
        ("account-user", "failed", 2, 3),
        ("service-user", "missing", 1, 0),
    ]
    assert report.total.now == Sum(tests=7, windows=4, unknown=3)


def test_weeks_are_in_no_calendar_of_days_and_charts_have_weeks() -> None:
    week = a_day(-1, 70, org="weekly", granularity=Granularity.WEEK, window_end=START + timedelta(days=6))
    report = reported([a_day(0, 5), week], granularities=[Granularity.DAY, Granularity.WEEK])
    assert report.part is By.WEEK
    assert report.coarse == ["weekly"]
    assert {day: sums.tests for day, sums in report.days.items()} == {START.date(): 5}
    assert report.total.now.tests == 75
    with pytest.raises(ConfigError, match=r"--by day: weekly is collected by week"):
        reported([week], by=parse_dimensions(["day"]))


def test_a_week_counts_in_the_period_in_which_it_begins() -> None:
    weeks = [a_day(7 * n - 3, 70, org="weekly", granularity=Granularity.WEEK) for n in range(4)]
    period = Period(START.date(), START.date() + timedelta(days=13))
    found: list[PresentWindow] = []
    add_begun(iter(weeks), period, found.append)
    assert found == weeks[1:3]


def test_lines_with_a_time_are_in_its_order_and_have_nothing_to_compare_with() -> None:
    now = [a_day(40, 1, org="a"), a_day(0, 9, org="b")]
    report = reported(now, [a_day(-61, 3, org="a")], by=parse_dimensions(["org,month"]))
    assert [line.key for line in report.lines] == [("b", date(2026, 6, 1)), ("a", date(2026, 8, 1))]
    assert not report.compares
    assert not any(line.before.windows for line in report.lines)
    assert report.total.before.tests == 3


def test_rows_have_a_value_for_each_column() -> None:
    for by in (["org,product"], ["month"], ["label:team,population"]):
        report = reported([a_day(0, labels={"team": "x"})], [a_day(-61)], by=parse_dimensions(by))
        columns = line_columns(report)
        for row in line_rows(report):
            assert len(row) == len(columns)
            assert all(
                isinstance(value, int)
                for column, value in zip(columns, row, strict=True)
                if column.kind in {Kind.INTEGER, Kind.DECIMAL} and value is not None
            )


def test_the_document_has_the_lines_with_the_period_before_and_the_parts() -> None:
    report = reported([a_day(0, 6, labels={"team": "x"})], [a_day(-61, 5)], by=parse_dimensions(["org"]))
    found = document(report)
    numbers = {"total_tests": 6, "total_duration": None, "total_screenshots": None, "windows": 1, "windows_unknown": 0}
    before = numbers | {"total_tests": 5}
    (line,) = found["lines"]
    assert line == {"org": "acme", "org_id": "acme", **numbers, "before": before}
    (org,) = found["orgs"]
    assert org["parts"] == [{"first": "2026-06-23", **numbers}]
    assert found["labels"]["team"][0]["team"] == "x"
    assert found["period"] == {"first": "2026-06-23", "last": "2026-08-22"}
    assert found["days"] == [{"date": "2026-06-23", **numbers}]


def test_a_group_is_a_row_as_in_an_export() -> None:
    report = reported([a_day(0, 6)], by=parse_dimensions(["org"]))
    (row,) = line_rows(report)
    line = report.lines[0]
    expected = group_row(report.by, Group(("acme",), line.now, "acme"))
    assert tuple(row)[: len(expected)] == tuple(expected) == ("acme", "acme", 6, None, None, 1, 0)
