"""Notes about the windows that an export read: products without a record, orgs that the config has no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from collector.adapters.text import some
from collector.core.present import PresentWindow

log = structlog.get_logger("collector")
_NAMED = 5


@dataclass(slots=True)
class Seen:
    """What is worth a note of the windows that were read."""

    windows: int = 0
    unknown: int = 0
    products: set[str] = field(default_factory=set)
    extra: bool = False
    gone: dict[str, None] = field(default_factory=dict)

    def note(self, window: PresentWindow, products: Sequence[str]) -> None:
        """Note a window."""
        self.windows += 1
        self.unknown += window.is_unknown(products)
        self.products.update(window.products)
        self.extra = self.extra or any(one.usage.extra for one in window.products.values())
        if not window.org.in_config:
            self.gone[window.org.name] = None

    def warn_of_products(self, products: Sequence[str]) -> None:
        """Warn if a chosen product has no record."""
        if new := [one for one in products if one not in self.products]:
            known = f"the products are {some(sorted(self.products), 9)}" if self.products else "no window has any"
            log.warning("products.unknown", message=f"no record is of {', '.join(map(repr, new))}: {known}")

    def warn_of_gone(self, not_wanted: Mapping[str, int]) -> None:
        """Warn of orgs that the config has no more, and of windows that nobody wanted, by org."""
        if left := {name: number for name, number in not_wanted.items() if number}:
            message = (
                f"of {some([*left], _NAMED)}, {sum(left.values())} windows of the range are not wanted: they are not "
                "known, and not counted as unknown. A `backfill` fetches them, as far as `since` permits"
            )
            log.warning("windows.not_wanted", orgs=len(left), windows=sum(left.values()), message=message)
        if gone := self.gone:
            message = (
                f"no longer in the config: {some([*gone], _NAMED)}. Their numbers are here, without labels; windows "
                "that were never requested of them are not"
            )
            log.warning("orgs.gone", orgs=len(gone), message=message)
