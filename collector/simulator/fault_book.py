"""Which faults meet the next request of an org.

Owns the faults in force, the ordinal of each org's requests and the dice. A draw follows
from (seed, org, ordinal, fault) alone, so that a run is the same again, however its
requests overlap. Never sends anything: `endpoint` and `answer` act on what is drawn here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.simulator.faults import Fault, FaultError, parse_fault
from collector.simulator.habits import keyed_int
from collector.simulator.orgs import Directory

_STATUSES = frozenset({"429", "500", "502", "503", "504"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """The faults that one request meets, by kind; the first of a kind wins."""

    ordinal: int  # of the org's requests, from 1
    faults: dict[str, Fault] = field(default_factory=dict)

    def __contains__(self, kind: str) -> bool:
        return kind in self.faults

    def get(self, kind: str) -> Fault | None:
        """Return the fault of that kind, if the request meets one."""
        return self.faults.get(kind)

    def status(self) -> Fault | None:
        """Return the first fault that answers with an error status of a gateway or the service."""
        return next((fault for kind, fault in self.faults.items() if kind in _STATUSES), None)


@dataclass(slots=True)
class _InForce:
    """A fault, and how often each org had asked when it came into force."""

    fault: Fault
    since: Counter[str]


class FaultBook:
    """The faults in force; they can be replaced at any time."""

    def __init__(self, texts: Sequence[str], *, directory: Directory, seed: int) -> None:
        self._directory = directory
        self._seed = seed
        self._asked: Counter[str] = Counter()
        self._in_force: list[_InForce] = []
        self._by_org: dict[str, tuple[_InForce, ...]] = {}
        self._answered: set[tuple[str, str]] = set()
        self.replace(texts)

    @property
    def texts(self) -> list[str]:
        """The faults in force, as they were asked for."""
        return [entry.fault.text for entry in self._in_force]

    def replace(self, texts: Sequence[str]) -> None:
        """Put these faults in force instead of all others.

        `first` and `after` count from now for a fault that is new, and go on for one that stays.
        Raises FaultError, and changes nothing, if one of the texts is no fault.
        """
        faults = [self._checked(parse_fault(text)) for text in texts]
        since = {entry.fault.text: entry.since for entry in self._in_force}
        now = self._asked.copy()
        self._in_force = [_InForce(fault, since.get(fault.text, now)) for fault in faults]
        self._by_org = {}

    def restart(self) -> None:
        """Let `first`, `after` and `partial=once` begin again, for every org."""
        self._asked.clear()
        self._answered.clear()
        self.replace(self.texts)
        for entry in self._in_force:
            entry.since = Counter()

    def meet(self, org: str) -> Met:
        """Count a request of that org and say which faults it meets."""
        self._asked[org] += 1
        ordinal = self._asked[org]
        faults: dict[str, Fault] = {}
        for entry in self._of(org):
            fault, place = entry.fault, ordinal - entry.since[org]
            if place <= fault.after or (fault.first is not None and place > fault.first):
                continue
            if fault.kind not in faults and self._falls(fault, org, ordinal):
                faults[fault.kind] = fault
        return Met(ordinal=ordinal, faults=faults)

    def draw(self, *parts: object) -> float:
        """Return a number in [0, 1) that follows from the seed and the parts."""
        return keyed_int(self._seed, "draw", *parts) / 2**64

    def is_new(self, org: str, query: str) -> bool:
        """Say, once, that this query of the org wasn't answered before."""
        key = (org, query)
        known = key in self._answered
        self._answered.add(key)
        return not known

    def _falls(self, fault: Fault, org: str, ordinal: int) -> bool:
        chance = fault.value.probability
        return chance >= 1 or self.draw(org, ordinal, fault.text) < chance

    def _of(self, org: str) -> tuple[_InForce, ...]:
        found = self._by_org.get(org)
        if found is None:
            found = tuple(entry for entry in self._in_force if entry.fault.concerns(org))
            self._by_org[org] = found
        return found

    def _checked(self, fault: Fault) -> Fault:
        names = [org.name for org in self._directory.orgs]
        if not any(map(fault.concerns, names)):
            raise FaultError(f"{fault.text!r}: {fault.pattern!r} is none of the orgs {names[0]} to {names[-1]}")
        if fault.kind == "same-as" and fault.value.word not in names:
            raise FaultError(f"{fault.text!r}: {fault.value.word!r} is none of the orgs {names[0]} to {names[-1]}")
        return fault
