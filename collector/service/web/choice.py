"""Which orgs are shown, and in which order: what a query string says. No query string is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlencode

from collector.core.org_coverage import CoverageState, CredentialStanding, OrgCoverage

PER_PAGE = 50
BROKEN = (CoverageState.FAILED, CoverageState.REFUSED, CoverageState.MISSING)  # worse than partial or in doubt
_LONGEST = 300
_LABELS = 5
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # HTML can't contain some, and no name has any
_NEVER = datetime.min.replace(tzinfo=UTC)


class Shown(StrEnum):
    """The filters, by the values of `?state=`."""

    ALL = "all"
    INCOMPLETE = "lacking"
    REFUSED = "refused"
    FAILED = "failed"
    MISSING = "missing"
    PARTIAL = "partial"
    IN_DOUBT = "in_doubt"
    UNVERIFIED = "unverified"
    COMPLETE = "complete"


class Sort(StrEnum):
    """The orders, by the values of `?sort=`."""

    WORST = "worst"
    NAME = "name"
    LAG = "lag"
    SUCCESS = "success"
    TESTS = "tests"


_WORDS = {kind: frozenset(one.value for one in kind) for kind in (Shown, Sort)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody chose to see. What a query string says beside that is ignored, and so are control characters."""

    q: str = ""
    shown: Shown = Shown.ALL
    labels: tuple[tuple[str, str], ...] = field(default=())  # key and value; an empty value: any
    sort: Sort = Sort.WORST
    page: int = 1

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Choice:
        """Read a query string's names and values."""
        choice = cls()
        for name, given in pairs:
            value = _CONTROL.sub("", given).strip()[:_LONGEST]
            match name:
                case "q":
                    choice = replace(choice, q=value)
                case "state" if value in _WORDS[Shown]:
                    choice = replace(choice, shown=Shown(value))
                case "sort" if value in _WORDS[Sort]:
                    choice = replace(choice, sort=Sort(value))
                case "page" if value.isascii() and value.isdigit():
                    choice = replace(choice, page=max(1, int(value[:9])))
                case "label" if value.partition(":")[0] and len(choice.labels) < _LABELS:
                    key, _, of_key = value.partition(":")
                    choice = replace(choice, labels=(*choice.labels, (key, of_key)))
                case _:
                    pass
        return choice

    def href(self, root: str = "", **changes: object) -> str:
        """Return a link to this choice with changes; a change of what is chosen begins at its first page."""
        other = replace(self, **({"page": 1} | changes))  # type: ignore[arg-type]
        pairs = [
            ("q", other.q),
            ("state", "" if other.shown is Shown.ALL else other.shown.value),
            *(("label", ":".join(filter(None, label))) for label in other.labels),
            ("sort", "" if other.sort is Sort.WORST else other.sort.value),
            ("page", "" if other.page == 1 else str(other.page)),
        ]
        query = urlencode([(name, value) for name, value in pairs if value])
        return (f"{root}?{query}" if query else root) or "?"

    def matches(self, org: OrgCoverage) -> bool:
        """Say whether an org matches the search and the labels; its state is not looked at."""
        return all(_has_label(org, key, value) for key, value in self.labels) and _found(org, self.q)


def has_state(org: OrgCoverage, shown: Shown) -> bool:
    """Say whether an org is in what is filtered for."""
    match shown:
        case Shown.ALL:
            return True
        case Shown.INCOMPLETE:
            return org.incomplete > 0
        case Shown.COMPLETE:
            return not org.incomplete and not org.refused
        case Shown.REFUSED:
            return org.refused or org.count(CoverageState.REFUSED) > 0
        case _:
            return org.count(CoverageState(shown.value)) > 0


def ordered(orgs: Iterable[OrgCoverage], sort: Sort) -> list[OrgCoverage]:
    """Return orgs in an order; equal ones stay in that of the config."""
    return sorted(orgs, key=_KEYS[sort])


def labels_of(orgs: Iterable[OrgCoverage], most: int) -> Sequence[str]:
    """Return the labels there are as `key:value`, sorted; those beyond `most` are left out."""
    return sorted({f"{key}:{value}" for org in orgs for key, value in org.labels.items()})[:most]


def _worst(org: OrgCoverage) -> tuple[object, ...]:
    broken = org.count(*BROKEN)
    unknown = org.credential.standing is CredentialStanding.UNKNOWN
    return (not org.refused, not broken, -broken, -org.incomplete, -org.lag_s, not unknown)


def _newest_tests(org: OrgCoverage) -> int:
    return sum(next((t for t in reversed(p.tests) if t is not None), 0) for p in org.populations)


_KEYS: dict[Sort, Callable[[OrgCoverage], tuple[object, ...]]] = {
    Sort.WORST: _worst,
    Sort.NAME: lambda org: (org.name.casefold(),),
    Sort.LAG: lambda org: (-org.lag_s,),
    Sort.SUCCESS: lambda org: (org.last_success or _NEVER,),
    Sort.TESTS: lambda org: (-_newest_tests(org),),
}


def _has_label(org: OrgCoverage, key: str, value: str) -> bool:
    return key in org.labels and value in {"", org.labels[key]}


def _found(org: OrgCoverage, words: str) -> bool:
    """Say whether each word is in a name, an id or a label of the org."""
    if not words:
        return True
    texts = [org.name, org.org_id or "", org.org_name or "", *(f"{k}:{v}" for k, v in org.labels.items())]
    text = "\n".join(texts).casefold()
    return all(word in text for word in words.casefold().split())
