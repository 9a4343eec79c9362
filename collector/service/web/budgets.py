"""How budgets stand, as the page shows it: words and numbers, and a bar that needs no colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from collector.core.budgets import LEVELS, Budget, BudgetStanding, Level, percent_text
from collector.core.costs import rounded
from collector.service.view import Observed
from collector.service.web.text import When, line_text, name_text, when
from collector.service.web.verdict import Tone

_WIDTH = 110  # of a bar
_TONES = {
    Level.UNKNOWN: Tone.CALM,
    Level.OK: Tone.GOOD,
    Level.NEAR: Tone.WARN,
    Level.FORECAST: Tone.WARN,
    Level.OVER: Tone.BAD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar, in pixels: what is used, the forecast, and where the amount is."""

    width: int
    used: int
    forecast: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """One budget."""

    name: str
    about: str
    tone: Tone
    level: str
    used: str
    used_percent: str
    amount: str
    forecast: str
    at_least: bool
    forecast_percent: str
    unknown: int
    notes: Sequence[str]
    bar: Bar | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """All budgets of a month."""

    month: str
    read: When
    rows: Sequence[BudgetRow]


def budgets(seen: Observed, *, now: datetime) -> Budgets | None:
    """Return what is shown of budgets; None if there are none, or they have not been read yet."""
    if not seen.budgets or seen.budgets_read_at is None:
        return None
    return Budgets(
        month=f"{seen.budgets[0].month.first:%B %Y}",
        read=when(seen.budgets_read_at, now=now, zone=seen.timezone),
        rows=[_row(one) for one in seen.budgets],
    )


def _row(one: BudgetStanding) -> BudgetRow:
    budget = one.budget
    products = f", {', '.join(budget.products)}" if budget.products else ""
    return BudgetRow(
        name=name_text(budget.name),
        about=line_text(f"{budget.meant}{products}"),
        tone=_TONES[one.level],
        level=LEVELS[one.level],
        used="not known" if one.used is None else amount_text(one.used, budget),
        used_percent=percent_text(one.used_ratio),
        amount=f"{amount_text(Fraction(budget.amount), budget)} {budget.unit}",
        forecast="none" if one.forecast is None else amount_text(one.forecast, budget),
        at_least=one.is_at_least and one.forecast is not None,
        forecast_percent=percent_text(one.forecast_ratio),
        unknown=one.unknown,
        notes=[line_text(note) for note in one.notes],
        bar=_bar(one.used_ratio, one.forecast_ratio),
    )


def amount_text(amount: Fraction, budget: Budget) -> str:
    """Return an amount in the budget's unit, rounded to be shown."""
    return f"{rounded(amount, budget.decimals):,f}"


def _bar(used: Fraction | None, forecast: Fraction | None) -> Bar | None:
    if used is None:
        return None
    whole = max(Fraction(1), used, forecast or used)
    return Bar(
        width=_WIDTH,
        used=round(_WIDTH * used / whole),
        forecast=round(_WIDTH * max(forecast or used, used) / whole),
        amount=round(_WIDTH / whole),
    )
