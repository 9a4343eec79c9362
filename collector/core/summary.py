"""What a run came to: per org and population how many slices ended how, and why.

Holds counts and merged spans, never slices: its size depends on the number of orgs alone.
Planned = complete + partial + failed + refused + not asked, always.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.core.anomalies import Anomaly
from collector.core.exit_codes import ExitCode
from collector.core.plan import SPANS_KEPT, LanePlan
from collector.core.windows import merge
from collector.errors import REFUSED_CODES
from collector.model import Org, Population, SliceState, Window


@dataclass(slots=True)
class Cause:
    """Why slices of one population are not complete."""

    state: SliceState
    code: str
    message: str
    slices: int = 0
    spans: list[Window] = field(default_factory=list)
    more_spans: bool = False

    def add(self, *windows: Window, slices: int = 1) -> None:
        """Count slices, keeping where in time they lie as few spans, up to a bound."""
        self.slices += slices
        spans = merge([*self.spans, *windows])
        self.more_spans = self.more_spans or len(spans) > SPANS_KEPT
        self.spans = spans[:SPANS_KEPT]


@dataclass(slots=True)
class PopulationSummary:
    """One population of one org."""

    planned: int
    states: Counter[SliceState] = field(default_factory=Counter)
    records: int = 0
    requests: int = 0
    restated: int = 0  # of the records
    causes: dict[tuple[SliceState, str], Cause] = field(default_factory=dict)
    flags: Counter[Anomaly] = field(default_factory=Counter)  # slices

    def flag(self, flags: Iterable[Anomaly], *, restated: int) -> None:
        """Count what was restated, and what is suspicious about a slice."""
        self.restated += restated
        self.flags.update(list(flags))  # a mapping would be taken for counts

    def end(self, state: SliceState, window: Window, *, why: tuple[str, str] | None, asked: int, records: int) -> None:
        """Count the end of a slice; `why` is the code and message of what kept it from being complete."""
        self.states[state] += 1
        self.requests += asked
        self.records += records
        if why is not None:
            code, message = why
            self.causes.setdefault((state, code), Cause(state, code, message)).add(window)

    def absorb(self, other: PopulationSummary) -> None:
        """Count what another one of the same population has counted."""
        self.states += other.states
        self.requests += other.requests
        self.restated += other.restated
        self.flags += other.flags
        self.records += other.records
        for key, cause in other.causes.items():
            own = self.causes.setdefault(key, Cause(cause.state, cause.code, cause.message))
            own.add(*cause.spans, slices=cause.slices)
            own.more_spans = own.more_spans or cause.more_spans

    def close(self, state: SliceState, code: str, message: str, windows: Iterable[Window] = ()) -> None:
        """Count the slices that have no end of their own, and where they lie, as far as that is known."""
        rest = self.planned - self.states.total()
        if rest:
            self.states[state] += rest
            self.causes.setdefault((state, code), Cause(state, code, message)).add(*windows, slices=rest)


@dataclass(slots=True)
class OrgSummary:
    """One org, with the organization that answered, if one did."""

    org: Org
    populations: dict[Population, PopulationSummary]
    org_id: str | None = None
    org_name: str | None = None

    def count(self, state: SliceState) -> int:
        """Return how many slices ended so."""
        return sum(population.states[state] for population in self.populations.values())

    @property
    def planned(self) -> int:
        """How many slices were planned."""
        return sum(population.planned for population in self.populations.values())

    @property
    def records(self) -> int:
        """How many records were written."""
        return sum(population.records for population in self.populations.values())

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
        return [(name, cause) for name, population in self.populations.items() for cause in population.causes.values()]

    @property
    def refused(self) -> bool:
        """Whether a person has to act: also where the last slice was answered in part before the refusal."""
        return any(cause.state is SliceState.REFUSED or cause.code in REFUSED_CODES for _, cause in self.causes)

    @property
    def severity(self) -> tuple[int, int]:
        """A key to sort by: who needs a person first, then who lacks most."""
        return (int(self.refused), self.planned - self.count(SliceState.COMPLETE))


@dataclass(slots=True)
class RunSummary:
    """The whole run."""

    orgs: dict[str, OrgSummary]

    @classmethod
    def of(cls, plans: Iterable[LanePlan]) -> RunSummary:
        """Begin with what is planned."""
        return cls(
            {
                plan.org.name: OrgSummary(
                    plan.org, {population: PopulationSummary(plan.windows) for population in plan.org.populations}
                )
                for plan in plans
            }
        )

    def org(self, org: Org) -> OrgSummary:
        """Return the summary of an org, beginning it if need be."""
        if org.name not in self.orgs:
            self.orgs[org.name] = OrgSummary(org, {p: PopulationSummary(0) for p in org.populations})
        return self.orgs[org.name]

    def absorb(self, other: RunSummary) -> None:
        """Count what another one has counted."""
        for theirs in other.orgs.values():
            own = self.org(theirs.org)
            if theirs.org_id is not None:
                own.org_id, own.org_name = theirs.org_id, theirs.org_name
            for population, counted in theirs.populations.items():
                own.populations[population].absorb(counted)

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
        return sum(p.restated for org in self.orgs.values() for p in org.populations.values())

    @property
    def flags(self) -> Counter[Anomaly]:
        """How many slices are suspicious, by what about them is."""
        return sum((org.flags for org in self.orgs.values()), Counter[Anomaly]())

    @property
    def worst_first(self) -> list[OrgSummary]:
        """The orgs, those that lack something first."""
        return sorted(self.orgs.values(), key=lambda org: org.severity, reverse=True)

    @property
    def exit_code(self) -> ExitCode:
        """What the run's slices alone say."""
        if any(org.refused for org in self.orgs.values()):
            return ExitCode.REFUSED
        return ExitCode.OK if self.count(SliceState.COMPLETE) == self.planned else ExitCode.INCOMPLETE
