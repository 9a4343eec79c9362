"""Combines several answers of one slice into one finding.

A slice may be answered several times, each time in part. A product above zero in any of
the answers is measured, with its latest such number. A zero in a partial answer means "could
not be fetched": the number stays unknown (contract.md, "Delivery").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from collector.core.answer import DOCUMENTED_PRODUCTS
from collector.core.totals import zero_of
from collector.model import Answer, ProductUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The combined usage of a slice. A product whose usage is None exists, but its numbers are unknown."""

    org_id: str
    org_name: str
    users: int | None
    products: Mapping[str, ProductUsage | None]
    inferred: bool = False  # by an answer for another span

    @property
    def complete(self) -> bool:
        """Whether one of the answers was not partial: only such an answer has the users."""
        return self.users is not None

    @property
    def is_zero(self) -> bool:
        """Whether it is complete and every count in it is zero."""
        return self.users == 0 and all(usage is not None and usage.is_zero for usage in self.products.values())


def absorb(finding: Finding | None, answer: Answer) -> Finding:
    """Return the finding after one more answer. Call it with the oldest answer first."""
    if not answer.partial:
        # A product that is missing here keeps the number that a partial answer gave.
        before = {name: usage for name, usage in finding.products.items() if usage} if finding else {}
        products = {**answer.products, **{n: u for n, u in before.items() if n not in answer.products}}
        return Finding(org_id=answer.org_id, org_name=answer.org_name, users=answer.users, products=products)
    if finding is None:
        finding = Finding(org_id=answer.org_id, org_name=answer.org_name, users=None, products={})
    if finding.complete:
        return finding  # a worse answer never replaces a better one
    proven = {name: usage for name, usage in answer.products.items() if not usage.is_zero}
    unknown = dict.fromkeys(answer.products)
    return replace(finding, org_name=answer.org_name, products={**unknown, **finding.products, **proven})


def settled(answer: Answer) -> Finding:
    """Return that a slice is empty, by an answer that proves it: with its products and metrics, all of them zero."""
    products = {name: zero_of(usage) for name, usage in answer.products.items()}
    return Finding(org_id=answer.org_id, org_name=answer.org_name, users=0, products=products, inferred=True)


def missing_products(finding: Finding) -> list[str]:
    """Return the documented products that are in no answer: they get a warning instead of a record."""
    return [product for product in DOCUMENTED_PRODUCTS if product not in finding.products]
