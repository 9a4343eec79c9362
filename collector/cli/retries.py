"""The retries of a run, summed up at its end: one line per org and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.text import Text

from collector.adapters.text import printable
from collector.events import Event, RetryScheduled

_LINES = 40


class Retries:
    """Counts retries by org and reason."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, event: Event) -> None:
        """Count an event, if it is a retry."""
        if isinstance(event, RetryScheduled):
            self._counts[event.slice.org.name, event.reason.code] += 1

    def lines(self) -> Iterator[Text]:
        """Yield a line per org and reason, those with most retries first; of many, the first ones."""
        for (org, reason), retries in self._counts.most_common(_LINES):
            number = "1 retry" if retries == 1 else f"{retries} retries"
            yield Text.assemble((printable(org), "bold"), f": {number}: {reason.replace('_', ' ')}")
        if rest := self._counts.most_common()[_LINES:]:
            yield Text(
                f"and {sum(retries for _, retries in rest)} retries of other orgs or for other reasons", style="dim"
            )
