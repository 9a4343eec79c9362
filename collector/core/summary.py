"""What a run came to: per org and population how many slices ended how, and why.

Holds counts and merged spans, never slices: its size depends on the number of orgs alone.
Planned = complete + partial + failed + refused + not asked, always. Slices in doubt are not planned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from collector.core.anomalies import Anomalies, Anomaly
from collector.core.comparing import Compared
from collector.core.comparison import Comparison
from collector.core.exit_codes import ExitCode
from collector.core.extent import Extent
from collector.core.org_coverage import CoverageState
from collector.errors import REFUSED_CODES
from collector.model import Org, Population, Slice, SliceState, Window

_PRODUCTS_KEPT = 40
_IN_DOUBT = (
    "in doubt: an earlier run fetched these slices, and its process died before it sealed the file {}, which is in a "
    "directory that this run doesn't see or can't write to. `collector status` says what to do"
)


@dataclass(slots=True)
class Cause(Extent):
    """Why slices of one population are not complete."""

    state: SliceState | CoverageState  # of the latter, only that slices are in doubt
    code: str
    message: str


@dataclass(slots=True)
class AnomalyExtent(Extent):
    """The slices of one population that look wrong in one way, and the products that it is about, if any."""

    products: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Tally:
    """How slices of one population ended, and what was written of them."""

    states: Counter[SliceState] = field(default_factory=Counter)
    inferred: int = 0  # slices that are complete without a request: an answer for a longer span proves them empty
    records: int = 0
    restated: int = 0  # of the records
    causes: dict[tuple[SliceState, str], Cause] = field(default_factory=dict)
    anomalies: dict[Anomaly, AnomalyExtent] = field(default_factory=dict)

    def copy(self) -> Tally:
        """Return a tally that counts on by itself."""
        return replace(
            self,
            states=Counter(self.states),
            causes={key: replace(cause) for key, cause in self.causes.items()},
            anomalies={anomaly: replace(extent) for anomaly, extent in self.anomalies.items()},
        )


@dataclass(slots=True)
class PopulationSummary:
    """One population of one org."""

    planned: int = 0
    requests: int = 0
    tally: Tally = field(default_factory=Tally)
    in_doubt: Cause | None = None  # slices that were not planned: an earlier run fetched them
    comparison: Comparison | None = None  # of a run that compares
    _marked: Tally | None = None  # None: nothing was counted

    def end(self, state: SliceState, window: Window, *, why: tuple[str, str] | None, records: int) -> None:
        """Count the end of a slice; `why` is the code and message of what kept it from being complete."""
        self.tally.states[state] += 1
        self.tally.records += records
        if why is not None:
            self._add(state, why, [window], 1)

    def infer(self) -> None:
        """Count a slice that was inferred to be empty."""
        self.tally.inferred += 1

    def flag(self, window: Window, anomalies: Anomalies, *, restated: int) -> None:
        """Count what was restated, and the anomalies of a slice."""
        self.tally.restated += restated
        for anomaly, products in anomalies.items():
            extent = self.tally.anomalies.setdefault(anomaly, AnomalyExtent())
            extent.add(window)
            extent.products = tuple(dict.fromkeys([*extent.products, *products]))[:_PRODUCTS_KEPT]

    @property
    def flags(self) -> Counter[Anomaly]:
        """How many slices are suspicious, by what about them is."""
        return Counter({anomaly: extent.slices for anomaly, extent in self.tally.anomalies.items()})

    def doubt(self, window: Window, file: str) -> None:
        """Count a slice that an earlier run fetched into an unsealed file, which this run could not seal."""
        if self.in_doubt is None:
            self.in_doubt = Cause(CoverageState.IN_DOUBT, "awaited", _IN_DOUBT.format(file))
        self.in_doubt.add(window)

    def compare(self, one: Compared) -> None:
        """Add what the API says of a span of windows."""
        if self.comparison is not None:
            self.comparison.add(one)

    def mark(self) -> None:
        """Remember the present tally."""
        self._marked = self.tally.copy()

    def roll_back(self) -> None:
        """Return to the tally that was marked last; requests stay counted."""
        self.tally = self._marked.copy() if self._marked else Tally()

    def close(
        self, state: SliceState, code: str, message: str, windows: Iterable[Window] = (), *, but: int = 0
    ) -> None:
        """Count all slices that have no end of their own `but` so many, and where they are, as far as that is known."""
        rest = self.planned - self.tally.states.total() - but
        if rest > 0:
            self.tally.states[state] += rest
            self._add(state, (code, message), windows, rest)

    def refuse(self, state: SliceState, code: str, message: str) -> None:
        """Note that the org is refused, though no slice of it was planned."""
        self._add(state, (code, message), (), 0)

    def _add(self, state: SliceState, why: tuple[str, str], windows: Iterable[Window], slices: int) -> None:
        code, message = why
        self.tally.causes.setdefault((state, code), Cause(state, code, message)).add(*windows, slices=slices)


@dataclass(slots=True)
class OrgSummary:
    """One org, with the organization that answered, if one did."""

    org: Org
    populations: dict[Population, PopulationSummary]
    org_id: str | None = None
    org_name: str | None = None

    def count(self, state: SliceState) -> int:
        """Return how many slices ended so."""
        return sum(population.tally.states[state] for population in self.populations.values())

    @property
    def planned(self) -> int:
        """How many slices were planned."""
        return sum(population.planned for population in self.populations.values())

    @property
    def records(self) -> int:
        """How many records were written."""
        return sum(population.tally.records for population in self.populations.values())

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return sum(population.requests for population in self.populations.values())

    @property
    def flags(self) -> Counter[Anomaly]:
        """How many slices are suspicious, by what about them is."""
        return sum((population.flags for population in self.populations.values()), Counter[Anomaly]())

    @property
    def causes(self) -> list[tuple[Population, Cause]]:
        """Everything that kept slices from being complete."""
        return [
            (name, cause)
            for name, one in self.populations.items()
            for cause in (*one.tally.causes.values(), one.in_doubt)
            if cause is not None
        ]

    @property
    def in_doubt(self) -> int:
        """How many slices were fetched by an earlier run, into a file that may still be lost."""
        return sum(one.in_doubt.slices for one in self.populations.values() if one.in_doubt is not None)

    @property
    def refused(self) -> bool:
        """Whether a person has to act: also where the last slice was answered in part before the refusal."""
        return any(cause.state is SliceState.REFUSED or cause.code in REFUSED_CODES for _, cause in self.causes)

    @property
    def severity(self) -> tuple[int, int]:
        """A key to sort by: orgs that need a person first, then those with most that is incomplete."""
        return (int(self.refused), self.planned - self.count(SliceState.COMPLETE) + self.in_doubt)


@dataclass(slots=True)
class RunSummary:
    """The whole run."""

    orgs: dict[str, OrgSummary] = field(default_factory=dict)

    @classmethod
    def of(cls, orgs: Iterable[Org], *, compares: bool = False) -> RunSummary:
        """Begin with these orgs, of which nothing is planned yet, and nothing compared."""
        summary = cls()
        for org in orgs:
            summary.org(org)
        for population in summary._populations() if compares else ():
            population.comparison = Comparison()
        return summary

    def org(self, org: Org) -> OrgSummary:
        """Return the summary of an org, beginning it if need be."""
        if org.name not in self.orgs:
            self.orgs[org.name] = OrgSummary(org, {p: PopulationSummary() for p in org.populations})
        return self.orgs[org.name]

    def of_slice(self, slice_: Slice) -> PopulationSummary:
        """Return the summary of a slice's population."""
        return self.org(slice_.org).populations[slice_.population]

    def plan(self, org: Org, slices: Mapping[Population, int]) -> None:
        """Note how many slices of an org the run fetches, as far as is known now."""
        for population, summary in self.org(org).populations.items():
            summary.planned = slices.get(population, 0)

    def mark(self) -> None:
        """Remember what is counted: nothing can take it back any more."""
        for population in self._populations():
            population.mark()

    def roll_back(self) -> None:
        """Return to what was counted when `mark` was called last: what was written since then is gone."""
        for population in self._populations():
            population.roll_back()

    def _populations(self) -> Iterator[PopulationSummary]:
        for org in self.orgs.values():
            yield from org.populations.values()

    def count(self, state: SliceState) -> int:
        """Return how many slices ended so."""
        return sum(org.count(state) for org in self.orgs.values())

    @property
    def planned(self) -> int:
        """How many slices were planned."""
        return sum(org.planned for org in self.orgs.values())

    @property
    def records(self) -> int:
        """How many records were written."""
        return sum(org.records for org in self.orgs.values())

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return sum(org.requests for org in self.orgs.values())

    @property
    def restated(self) -> int:
        """How many of the records are restatements."""
        return sum(p.tally.restated for org in self.orgs.values() for p in org.populations.values())

    @property
    def inferred(self) -> int:
        """How many slices were inferred to be empty, without a request."""
        return sum(p.tally.inferred for org in self.orgs.values() for p in org.populations.values())

    @property
    def flags(self) -> Counter[Anomaly]:
        """How many slices are suspicious, by what about them is."""
        return sum((org.flags for org in self.orgs.values()), Counter[Anomaly]())

    @property
    def worst_first(self) -> list[OrgSummary]:
        """The orgs, the worst first."""
        return sorted(self.orgs.values(), key=lambda org: org.severity, reverse=True)

    @property
    def in_doubt(self) -> int:
        """How many slices were not planned, as an earlier run fetched them into a file that may still be lost."""
        return sum(org.in_doubt for org in self.orgs.values())

    @property
    def exit_code(self) -> ExitCode:
        """What the run's slices alone say."""
        if any(org.refused for org in self.orgs.values()):
            return ExitCode.REFUSED
        is_complete = self.count(SliceState.COMPLETE) == self.planned and not self.in_doubt
        compared = [population.comparison for population in self._populations() if population.comparison is not None]
        is_same = not any(one.differs or one.left_out for one in compared)
        return ExitCode.OK if is_complete and is_same else ExitCode.INCOMPLETE
