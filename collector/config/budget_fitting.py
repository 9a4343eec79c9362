"""Checks of budgets that need other sections: whether each can be counted, and is for an org of the config."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from collector.config.layers import Layers
from collector.config.orgs import ReadOrg
from collector.config.settings import Settings
from collector.core.budgets import BudgetMetric
from collector.errors import Problem


def budget_problems(settings: Settings, layers: Layers) -> Iterator[Problem]:
    """Yield a problem for each budget whose name is taken, or that can't be counted without prices or a unit."""
    first: dict[str, int] = {}
    prices = settings.prices
    for index, entry in enumerate(settings.budgets):
        if (other := first.setdefault(entry.name, index)) != index:
            place = layers.problem(("budgets", other, "name"), "")
            at = f"{place.file}:{place.line}" if place.line else place.path
            yield layers.problem(("budgets", index, "name"), f"is already the name of the budget at {at}")
        if entry.metric is BudgetMetric.COST and not prices.list:
            text = "a budget of cost needs prices: add them to `prices.list`"
            yield layers.problem(("budgets", index, "metric"), text)
        if entry.metric is BudgetMetric.MINUTES and prices.duration_unit is None:
            yield layers.problem(
                ("budgets", index, "metric"),
                "a budget of minutes needs to know what total_duration counts: set `prices.duration_unit` to "
                "milliseconds, seconds or minutes. The API's documents contradict each other, so compare one day with "
                "your invoice",
            )


def idle_budgets(settings: Settings, layers: Layers, orgs: Collection[ReadOrg]) -> Iterator[Problem]:
    """Yield a warning for each budget that is for no org of the config.

    It is no error: who deletes an org must not stop the collection of all others.
    """
    known = [(read.settings.name, read.settings.labels or {}) for read in orgs]
    for index, entry in enumerate(settings.budgets):
        budget = entry.budget(settings.prices)
        if known and not any(budget.is_for(name, labels) for name, labels in known):
            which = "org" if entry.org is not None else "label"
            text = "no org in the config is meant: nobody hears when the budget is used up. Correct it, or delete it"
            yield layers.problem(("budgets", index, which), text)
