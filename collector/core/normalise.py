"""Answers become records.

A slice may have been answered several times, each time in part. What the answers prove
together is a `Finding`: a product above zero in any of them is measured, the latest such
number stands; a zero out of a partial answer means "could not be fetched" and is null in
the record, never 0 (contract.md, "Record" and "Delivery").
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import orjson

from collector.core.response import DOCUMENTED_PRODUCTS
from collector.model import Answer, ProductUsage, Quality, Record, Slice

_NAMESPACE = uuid.UUID("6f1f4f0e-7f0a-5c57-9b0e-5d1c0f6f8f11")  # of record ids, for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is known of a slice. A product whose usage is None is known to exist and nothing more."""

    org_id: str
    org_name: str
    users: int | None
    products: Mapping[str, ProductUsage | None]

    @property
    def complete(self) -> bool:
        """Whether an answer that isn't partial is behind it: only such an answer counts the users."""
        return self.users is not None

    @property
    def is_zero(self) -> bool:
        """Whether it is complete and every count in it is zero."""
        return self.users == 0 and all(usage is not None and usage.is_zero for usage in self.products.values())


def absorb(finding: Finding | None, answer: Answer) -> Finding:
    """Return what is proven by an answer together with those before it, oldest first."""
    if not answer.partial:
        # A product that it lacks it doesn't deny: what a partial answer proved of that one stays.
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


def missing_products(finding: Finding) -> list[str]:
    """Return the documented products that no answer mentioned: they get no record and a warning."""
    return [product for product in DOCUMENTED_PRODUCTS if product not in finding.products]


def record_id(org_id: str, slice_: Slice, product: str) -> str:
    """Return the identity of a record: the same for ever, whatever the org is called in the config."""
    window = slice_.window
    key = [org_id, slice_.population.value, product, _utc_text(window.start), _utc_text(window.end)]
    return str(uuid.uuid5(_NAMESPACE, orjson.dumps(key).decode()))


def normalise(
    slice_: Slice, finding: Finding, *, collected_at: datetime, run_id: str, trust_zero_for: timedelta
) -> Iterator[Record]:
    """Yield a record for each product of a finding, in the order of the answer."""
    old = collected_at - slice_.window.end > trust_zero_for
    full = Quality.UNVERIFIED if finding.is_zero and old else Quality.MEASURED
    org = slice_.org
    for product, known in finding.products.items():
        usage = known or ProductUsage()
        yield Record(
            record_id=record_id(finding.org_id, slice_, product),
            revision=1,
            org=org.name,
            org_id=finding.org_id,
            org_name=finding.org_name,
            labels=org.labels,
            population=slice_.population,
            product=product,
            granularity=org.granularity,
            timezone=org.zone.name,
            window_start=slice_.window.start.astimezone(org.zone.tz),
            window_end=slice_.window.end.astimezone(org.zone.tz),
            total_tests=usage.total_tests,
            total_duration=usage.total_duration,
            total_screenshots=usage.total_screenshots,
            org_users=finding.users,
            quality=full if known else Quality.UNAVAILABLE,
            collected_at=collected_at,
            run_id=run_id,
            extra=usage.extra or None,
        )


def _utc_text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
