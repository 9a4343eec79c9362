"""Budgets, and how they may stand, for tests."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from collector.core.budgets import Budget, BudgetMetric, BudgetStanding
from collector.core.periods import Period

NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
TESTS = BudgetMetric.TESTS


def budget(name: str = "all", amount: str = "1000", metric: BudgetMetric = TESTS, **more: Any) -> Budget:
    """Return a budget; without more, it is for all orgs."""
    values: dict[str, Any] = {"name": name, "metric": metric, "amount": Decimal(amount), "unit": metric.value}
    return Budget(**(values | more))


def standing(of: Budget | None = None, used: str | None = "500", forecast: str | None = "900", **more: Any,
             ) -> BudgetStanding:  # fmt: skip
    """Return how a budget stands."""
    values: dict[str, Any] = {
        "budget": of or budget(),
        "month": NOVEMBER,
        "used": None if used is None else Fraction(used),
        "forecast": None if forecast is None else Fraction(forecast),
        "windows": 40,
        "unknown": 0,
        "not_priced": 0,
        "orgs": 2,
        "coarse": 0,
        "too_new": 0,
        "newly_priced": 0,
        "unpriced": 0,
        "nothing_counted": False,
    }
    return BudgetStanding(**(values | more))


def seen(*values: object) -> tuple[object, ...]:
    """Return numbers to be compared: an exact fraction may equal a whole number."""
    return values
