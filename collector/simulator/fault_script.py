"""Decide which faults apply to the next request of an org.

Owns the active faults, the ordinal of each org's requests, and the random draws. A draw depends only on
(seed, org, ordinal, fault), so a run is repeatable, however its requests overlap. Sends nothing:
`endpoint` and `answer` apply the faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.simulator.fault_kinds import FaultError
from collector.simulator.faults import Fault, parse_fault
from collector.simulator.habits import keyed_int
from collector.simulator.orgs import Directory

_STATUSES = frozenset({"429", "500", "502", "503", "504"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFaults:
    """The faults of one request, by kind. Of two faults of a kind, the first counts."""

    ordinal: int  # of the org's requests, from 1
    faults: dict[str, Fault] = field(default_factory=dict)

    def __contains__(self, kind: str) -> bool:
        return kind in self.faults

    def get(self, kind: str) -> Fault | None:
        """Return the fault of that kind, if the request has one."""
        return self.faults.get(kind)

    def status(self) -> Fault | None:
        """Return the first fault that is an error status of the gateway or the service."""
        return next((fault for kind, fault in self.faults.items() if kind in _STATUSES), None)


@dataclass(slots=True)
class _Active:
    """A fault, and how many requests each org had sent when the fault was added."""

    fault: Fault
    since: Counter[str]


class FaultScript:
    """The active faults. They can be replaced at any time."""

    def __init__(self, texts: Sequence[str], *, directory: Directory, seed: int) -> None:
        self._directory = directory
        self._seed = seed
        self._requests: Counter[str] = Counter()
        self._active: list[_Active] = []
        self._by_org: dict[str, tuple[_Active, ...]] = {}
        self._answered: set[tuple[str, str]] = set()
        self.replace(texts)

    @property
    def texts(self) -> list[str]:
        """The active faults, as they were written."""
        return [entry.fault.text for entry in self._active]

    def replace(self, texts: Sequence[str]) -> None:
        """Replace all active faults.

        `first` and `after` start counting now for a new fault, and continue for a fault that was active before.
        Raises FaultError, and changes nothing, if one of the texts is not a valid fault.
        """
        faults = [self._checked(parse_fault(text)) for text in texts]
        since = {entry.fault.text: entry.since for entry in self._active}
        now = self._requests.copy()
        self._active = [_Active(fault, since.get(fault.text, now)) for fault in faults]
        self._by_org = {}

    def reset(self) -> None:
        """Restart the counting of `first`, `after` and `partial=once`, for every org."""
        self._requests.clear()
        self._answered.clear()
        self.replace(self.texts)
        for entry in self._active:
            entry.since = Counter()

    def draw_for(self, org: str) -> RequestFaults:
        """Count a request of that org and return its faults."""
        self._requests[org] += 1
        ordinal = self._requests[org]
        faults: dict[str, Fault] = {}
        for entry in self._of(org):
            fault, number = entry.fault, ordinal - entry.since[org]
            if number <= fault.after or (fault.first is not None and number > fault.first):
                continue
            if fault.kind not in faults and self._is_drawn(fault, org, ordinal):
                faults[fault.kind] = fault
        return RequestFaults(ordinal=ordinal, faults=faults)

    def draw(self, *parts: object) -> float:
        """Return a number in [0, 1) that depends only on the seed and the parts."""
        return keyed_int(self._seed, "draw", *parts) / 2**64

    def is_new(self, org: str, query: str) -> bool:
        """Return True the first time that it is called for this query of the org."""
        key = (org, query)
        known = key in self._answered
        self._answered.add(key)
        return not known

    def _is_drawn(self, fault: Fault, org: str, ordinal: int) -> bool:
        chance = fault.value.probability
        return chance >= 1 or self.draw(org, ordinal, fault.text) < chance

    def _of(self, org: str) -> tuple[_Active, ...]:
        found = self._by_org.get(org)
        if found is None:
            found = tuple(entry for entry in self._active if entry.fault.applies_to(org))
            self._by_org[org] = found
        return found

    def _checked(self, fault: Fault) -> Fault:
        names = [org.name for org in self._directory.orgs]
        if not any(map(fault.applies_to, names)):
            raise FaultError(f"{fault.text!r}: {fault.pattern!r} matches none of the orgs {names[0]} to {names[-1]}")
        if fault.kind == "same-as" and fault.value.choice not in names:
            raise FaultError(f"{fault.text!r}: {fault.value.choice!r} is not one of the orgs {names[0]} to {names[-1]}")
        return fault
