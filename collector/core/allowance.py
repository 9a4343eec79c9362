"""What requests for spans may cost, where a search hopes to save more of them (`core.search`)."""

from __future__ import annotations

from dataclasses import dataclass

WINDOWS_PER_SPAN = 20  # one request more for so many windows


@dataclass(slots=True)
class Allowance:
    """Bounds the requests for spans: they cost at most 5 % more than a request for each window would.

    Searches share it: what idle orgs save, others may use. One is kept for each span that is still to be requested for
    the first time, as long as that is affordable.
    """

    considered: int = 0  # windows, of all searches
    extra: int = 0  # requests for spans
    saved: int = 0  # windows settled without a request
    kept: int = 0  # for spans to come

    def permits(self, *, kept: int = 0) -> bool:
        """Return whether one more request for a span is affordable, and `kept` more behind it."""
        return (self.extra - self.saved + 1 + kept) * WINDOWS_PER_SPAN <= self.considered
