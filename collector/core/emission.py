"""The records that were last emitted for a slice, and how a new finding changes them.

A restatement is a record that differs in its numbers or its quality from what was emitted
before under the same `record_id`: the next revision (contract.md, "Words"). An equal record is
not emitted again. A worse answer never replaces a better one: a partial one never replaces a
complete one, and an unverified zero never replaces a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from collector.core.finding import Finding
from collector.model import ProductUsage, Quality

_BEST_FIRST = (Quality.MEASURED, Quality.INFERRED, Quality.UNVERIFIED, Quality.UNAVAILABLE)
_RANK = {quality: rank for rank, quality in enumerate(_BEST_FIRST)}
_UNKNOWN = frozenset({Quality.UNAVAILABLE, Quality.UNVERIFIED})  # a partial answer may still replace these
_TICK = timedelta(microseconds=1)


class Emitted(NamedTuple):
    """One product's record as it was last emitted."""

    revision: int
    quality: Quality
    usage: ProductUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """A slice as it was last emitted: its products, and the users, which are the same on each record."""

    emitted_at: datetime
    users: int | None
    products: Mapping[str, Emitted]

    @property
    def unverified(self) -> bool:
        """Whether it has records, and each is an unverified zero."""
        return bool(self.products) and all(one.quality is Quality.UNVERIFIED for one in self.products.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The effect of a finding: the records to emit now, and the slice's emission after that."""

    emission: Emission
    emitted: Mapping[str, Emitted] = field(default_factory=dict)
    shrunk: tuple[str, ...] = ()  # products whose totals are smaller than before: retention, or a correction
    kept: tuple[str, ...] = ()  # of those: whose earlier, larger numbers stay
    restated: int = 0  # how many of the emitted records are not a first revision


def change(
    previous: Emission | None,
    finding: Finding,
    *,
    quality: Quality,
    now: datetime,
    emit_shrunk: bool,
    unread: Sequence[datetime] = (),
) -> Change:
    """Return the effect of a finding on a slice's emission.

    `quality` is that of the finding's known numbers. A product with smaller totals keeps its old
    numbers unless `emit_shrunk`. After a complete answer, a partial one only adds numbers that were
    unknown. `emitted_at` always rises, whatever the clock does. `unread` are the ends of runs that may have
    emitted revisions of the slice which can't be read: one number is skipped for each, and what it may have
    restated since `previous` is emitted again.
    """
    overtaken = any(previous is None or end >= previous.emitted_at for end in unread)
    step = 1 + len(unread)
    settled = previous is not None and previous.users is not None and not finding.complete
    before = previous.products if previous else {}
    products = dict(before)
    emitted: dict[str, Emitted] = {}
    shrunk, kept = [], []
    held_back = False
    for product, usage in finding.products.items():
        old = before.get(product)
        new = (quality if usage is not None else Quality.UNAVAILABLE, usage or ProductUsage())
        if old is not None and settled and old.quality not in _UNKNOWN:
            continue
        if old is not None:
            smaller = usage is not None and is_smaller(usage, old.usage)
            if smaller:
                shrunk.append(product)
            if _RANK[new[0]] > _RANK[old.quality] or (smaller and not emit_shrunk):
                held_back = True
                kept += [product] if smaller else []
                continue
        if old is None or overtaken or new != (old.quality, old.usage):
            emitted[product] = Emitted(revision=step + (old.revision if old else 0), quality=new[0], usage=new[1])
    # If numbers of an answer are not emitted, its users are not either.
    users = finding.users
    if previous is not None and (users is None or held_back):
        users = previous.users
    users_differ = previous is not None and users != previous.users
    if users_differ:
        # Every record of the slice has the users, so all of them differ.
        for product, old in before.items():
            emitted.setdefault(product, Emitted(revision=old.revision + step, quality=old.quality, usage=old.usage))
    products |= emitted
    at = _behind(previous, unread, now=now) if emitted or previous is None else previous.emitted_at
    return Change(
        emission=Emission(emitted_at=at, users=users, products=products),
        emitted=emitted,
        shrunk=tuple(shrunk),
        kept=tuple(kept),
        restated=sum(product in before for product in emitted),
    )


def again(previous: Emission, *, now: datetime, unread: Sequence[datetime] = ()) -> Change:
    """Return the effect of emitting all of a slice's records once more with the numbers that they have."""
    emitted = {
        product: Emitted(revision=old.revision + 1 + len(unread), quality=old.quality, usage=old.usage)
        for product, old in previous.products.items()
    }
    at = _behind(previous, unread, now=now)
    emission = Emission(emitted_at=at, users=previous.users, products=emitted)
    return Change(emission=emission, emitted=emitted, restated=len(emitted))


def replaced(before: Emission | None, after: Emission) -> Emission | None:
    """Return the records of an emission that differ from those of a later one; None if none does.

    Records that are emitted again with the same numbers, as by a `relabel`, are no restatement.
    """
    if before is None:
        return None
    differ = {
        product: old
        for product, old in before.products.items()
        if (new := after.products.get(product)) is not None
        and (before.users, old.quality, old.usage) != (after.users, new.quality, new.usage)
    }
    return Emission(emitted_at=before.emitted_at, users=before.users, products=differ) if differ else None


def _behind(previous: Emission | None, unread: Sequence[datetime], *, now: datetime) -> datetime:
    """Return the time of an emission: always behind all earlier ones, whatever the clock does."""
    earlier: list[datetime] = [*unread, *([previous.emitted_at] if previous else [])]
    return max([now, *[instant + _TICK for instant in earlier]])


def newest_of(one: Emission, other: Emission) -> Emission:
    """Return two emissions of one slice as one: the newest revision of each product, and the newest users.

    If a revision was emitted twice, the later one counts, as it does for readers.
    """
    later, earlier = (other, one) if other.emitted_at > one.emitted_at else (one, other)
    products = dict(later.products)
    for product, emitted in earlier.products.items():
        if product not in products or emitted.revision > products[product].revision:
            products[product] = emitted
    return Emission(emitted_at=later.emitted_at, users=later.users, products=products)


def is_smaller(new: ProductUsage, old: ProductUsage) -> bool:
    """Return whether any total is smaller."""
    pairs = (
        (new.total_tests, old.total_tests),
        (new.total_duration, old.total_duration),
        (new.total_screenshots, old.total_screenshots),
    )
    return any(a is not None and b is not None and a < b for a, b in pairs)
