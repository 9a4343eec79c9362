"""How many slices there are, and where in time: as few spans, up to a bound."""

from __future__ import annotations

from dataclasses import dataclass, field

from collector.core.plan import SPANS_KEPT
from collector.core.windows import merge
from collector.model import Window


@dataclass(slots=True, kw_only=True)
class Extent:
    """How many slices of one population, and where in time."""

    slices: int = 0
    spans: list[Window] = field(default_factory=list)
    more_spans: bool = False

    def add(self, *windows: Window, slices: int = 1) -> None:
        """Count slices, keeping where in time they lie as few spans, up to a bound."""
        self.slices += slices
        spans = merge([*self.spans, *windows])
        self.more_spans = self.more_spans or len(spans) > SPANS_KEPT
        self.spans = spans[:SPANS_KEPT]
