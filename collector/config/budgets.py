"""The section `budgets`: what orgs may use in a month.

Owns its keys, and that they make sense together. How a budget stands is decided by `collector.core.budgets`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from collector.config.messages import invalid
from collector.config.names import Labels, Name
from collector.config.prices import Prices
from collector.config.sections import Section, Text, distinct, key
from collector.config.types import Money
from collector.core.budgets import Budget, BudgetMetric


def more_than_nothing(value: Decimal) -> Decimal:
    """Return an amount that can be used up."""
    if not value:
        raise invalid("must be more than 0")
    return value


class BudgetEntry(Section):
    """One budget: of what, for whom, how much in a month."""

    name: Name = Field(description="how metrics, alerts and reports call it")
    metric: BudgetMetric = Field(description="what it limits; cost needs `prices`, minutes `prices.duration_unit`")
    amount: Annotated[Money, AfterValidator(more_than_nothing)] = Field(
        description="how much may be used in a month, an exact decimal; of costs in `prices.currency`"
    )
    org: Name | None = key(None, "the org that it is for, or a glob such as acme-*; null: all orgs together")
    label: Labels | None = key(None, "only orgs that have these labels, such as {cost_center: qa}; not beside `org`")
    products: Annotated[tuple[Text, ...], AfterValidator(distinct)] = key(
        (), "the products that it is about, as the API names them; empty: all"
    )

    @model_validator(mode="after")
    def _is_for_org_or_label(self) -> Self:
        if self.org is not None and self.label is not None:
            raise invalid("a budget is for an org or for a label: give one of the two", "label")
        return self

    def budget(self, prices: Prices) -> Budget:
        """Return it as the rest of the collector knows it."""
        unit, is_cost = prices.duration_unit, self.metric is BudgetMetric.COST
        return Budget(
            name=self.name,
            metric=self.metric,
            amount=self.amount,
            unit=prices.currency or "" if is_cost else self.metric.value,
            products=self.products,
            per_unit=unit.per_minute if unit is not None and self.metric is BudgetMetric.MINUTES else 1,
            decimals=prices.decimals if is_cost else 0,
            org=self.org,
            label=tuple(sorted((self.label or {}).items())),
        )
