"""A report as values for programs: rows of a table, and a JSON document. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from collector.core.budgets import BudgetMetric, BudgetStanding
from collector.core.columns import Column, Kind, Row
from collector.core.costs import rounded
from collector.core.export_rows import GROUP_COSTS, group_columns, group_costs, group_row
from collector.core.grouping import By, Dimension, Group, Sum
from collector.core.periods import Period
from collector.core.prices import PriceList
from collector.core.report import Line, Report

_NUMBERS = ("total_tests", "total_duration", "total_screenshots")
_SUMS = (*_NUMBERS, "windows", "windows_unknown")  # the last columns of an export's sums
_BEFORE = (
    *(Column(f"{name}_before", Kind.DECIMAL, "In the period before") for name in _NUMBERS),
    Column("windows_before", Kind.INTEGER),
    Column("windows_unknown_before", Kind.INTEGER),
)
_COST_BEFORE = (Column("cost_before", Kind.DECIMAL, "In the period before"),)


def line_columns(report: Report) -> tuple[Column, ...]:
    """Return the columns of a report's lines: those of an export by the same, and the period before."""
    costs = GROUP_COSTS if report.prices else ()
    before = (*_BEFORE, *(_COST_BEFORE if report.prices else ())) if report.compares else ()
    return (*group_columns(report.by), *costs, *before)


def line_rows(report: Report) -> Iterator[Row]:
    """Yield a report's lines as rows."""
    prices = report.prices
    for line in report.lines:
        group, before = Group(line.key, line.now, line.org_id), line.before
        row = list(group_row(report.by, group))
        if prices:
            row += group_costs(group, _amount(line.now, prices), prices.currency)
        if report.compares:
            row += (before.tests, before.duration, before.screenshots, before.windows, before.unknown)
            row += [_amount(before, prices)] if prices else []
        yield row


def _amount(sums: Sum, prices: PriceList) -> Decimal | None:
    return None if (amount := sums.cost.amount) is None else rounded(amount, prices.decimals)


def document(report: Report) -> dict[str, Any]:
    """Return a report as a JSON document."""
    return {
        "period": _period(report.period),
        "before": _period(report.before),
        "made_at": report.made_at.isoformat(timespec="seconds"),
        "metric": report.metric.value,
        "part": report.part.value,
        "only_products": list(report.products),
        "currency": report.prices.currency or None,
        "total": _line((), report.total, report.prices),
        "lines": [_line(report.by, line, report.prices) for line in report.lines],
        "orgs": [_line((Dimension(By.ORG),), line, report.prices) for line in report.orgs],
        "products": [_line((Dimension(By.PRODUCT),), line, report.prices) for line in report.of_products],
        "populations": [_line((Dimension(By.POPULATION),), line, report.prices) for line in report.populations],
        "labels": {
            key: [_line((Dimension(By.LABEL, key),), line, report.prices) for line in lines]
            for key, lines in report.labels.items()
        },
        "days": [{"date": day.isoformat(), **_sum(sums, report.prices)} for day, sums in sorted(report.days.items())],
        "unknown": [
            {
                "org": one.org,
                "population": one.population.value,
                "state": one.state.value,
                "reason": one.reason,
                "windows": one.windows,
                "first": one.first.isoformat(),
                "last": one.last.isoformat(),
            }
            for one in report.unknown
        ],
        "budgets": [_budget(one) for one in report.budgets],
        "windows_not_wanted": report.windows_not_wanted,
        "not_wanted": dict(report.not_wanted),
        "orgs_without_days": list(report.coarse),
        "orgs_not_in_config": list(report.gone),
    }


def _budget(one: BudgetStanding) -> dict[str, Any]:
    budget = one.budget
    return {
        "budget": budget.name,
        "month": f"{one.month.first:%Y-%m}",
        "metric": budget.metric.value,
        "unit": budget.unit,
        "amount": str(budget.amount),
        "used": amount_text(one.used, one),
        "forecast": amount_text(one.forecast, one),
        "forecast_is_at_least": one.is_at_least,
        "level": one.level.value,
        "windows": one.windows,
        "windows_unknown": one.unknown,
        "windows_not_priced": one.not_priced,
        "notes": list(one.notes),
    }


def amount_text(value: Fraction | None, one: BudgetStanding) -> str | None:
    """Return an amount of a budget, with the decimals that its own amount has, and at least two of money."""
    if value is None:
        return None
    _, _, exponent = one.budget.amount.as_tuple()
    decimals = max(2 if one.budget.metric is BudgetMetric.COST else 0, -exponent if isinstance(exponent, int) else 0)
    return f"{rounded(value, decimals):f}"


def _period(period: Period) -> dict[str, str]:
    return {"first": period.first.isoformat(), "last": period.last.isoformat()}


def _line(dimensions: Sequence[Dimension], line: Line, prices: PriceList) -> dict[str, Any]:
    names = [column.name for column in group_columns(dimensions)][: -len(_SUMS)]
    values = group_row(dimensions, Group(line.key, line.now, line.org_id))[: len(names)]
    key = {
        name: value.isoformat() if isinstance(value, date) else value for name, value in zip(names, values, strict=True)
    }
    parts = [{"first": part.isoformat(), **_sum(sums, prices)} for part, sums in sorted(line.parts.items())]
    shown = {**key, **_sum(line.now, prices), "before": _sum(line.before, prices)}
    return shown | ({"parts": parts} if parts else {})


def _sum(sums: Sum, prices: PriceList) -> dict[str, int | str | None]:
    numbers: dict[str, int | str | None] = {
        "total_tests": sums.tests,
        "total_duration": sums.duration,
        "total_screenshots": sums.screenshots,
        "windows": sums.windows,
        "windows_unknown": sums.unknown,
    }
    if prices:
        amount = _amount(sums, prices)
        numbers["cost"] = None if amount is None else str(amount)
        numbers["windows_cost_unknown"] = sums.cost.windows_unknown
        numbers["windows_not_priced"] = sums.cost.windows_not_priced
    return numbers
