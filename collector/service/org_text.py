"""The orgs' part of `/metrics`, written again only for the orgs that changed.

With thousands of orgs it is by far the largest part, and a scrape is answered on the event
loop, while between two scrapes of a run some dozens of orgs change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from collector.adapters.metrics import Bounded
from collector.core.org_coverage import OrgCoverage
from collector.service.org_metrics import OrgMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which of the larger parts are wanted: `service.org_metrics` and `service.usage_metrics`."""

    per_org: bool = True
    usage: bool = False


class OrgText:
    """Keeps what was written of each org for as long as its view is the same object: views are frozen."""

    def __init__(self) -> None:
        self._metrics = OrgMetrics()
        self._wanted = Wanted()
        self._orgs: Mapping[str, OrgCoverage] | None = None
        self._written: dict[str, tuple[OrgCoverage, tuple[bytes, ...]]] = {}
        self._text = b""

    @property
    def products(self) -> Bounded:
        """Which products have a label value of their own."""
        return self._metrics.products

    def of(self, orgs: Mapping[str, OrgCoverage], wanted: Wanted) -> bytes:
        """Return the text of these orgs, in the text format, version 0.0.4."""
        if orgs is self._orgs and wanted == self._wanted:
            return self._text
        if wanted != self._wanted:
            self._written.clear()
        self._orgs, self._wanted = orgs, wanted
        self._text = generate_latest(_Just(self._metrics.fleet(orgs.values())))
        if wanted.per_org:
            self._text += self._each(orgs)
        return self._text

    def _each(self, orgs: Mapping[str, OrgCoverage]) -> bytes:
        before = self._written
        self._written = {
            name: kept if (kept := before.get(name)) is not None and kept[0] is view else (view, self._write(view))
            for name, view in orgs.items()
        }
        heads = (generate_latest(_Just([family])) for family in self._metrics.each((), usage=self._wanted.usage))
        parts: list[bytes] = []
        for place, head in enumerate(heads):
            parts.append(head)
            parts += [samples[place] for _, samples in self._written.values()]
        return b"".join(parts)

    def _write(self, view: OrgCoverage) -> tuple[bytes, ...]:
        families = self._metrics.each([view], usage=self._wanted.usage)
        return tuple(_without_head(generate_latest(_Just([family]))) for family in families)


class _Just(Collector):
    """A registry of some families."""

    def __init__(self, families: Iterator[Metric] | list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _without_head(text: bytes) -> bytes:
    """Return a family's samples, without its two lines of HELP and TYPE."""
    return text.split(b"\n", 2)[2]
