"""The headline: is everything complete? From all orgs of the config."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from collector.core.org_coverage import CoverageState, OrgCoverage
from collector.service.view import Observed
from collector.service.web.choice import BROKEN, Choice, Shown, has_state
from collector.service.web.text import When, maybe_when, plural


class Tone(StrEnum):
    """How good or bad a thing is, for its colour and its mark."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    CALM = "calm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The headline, and the numbers beneath it."""

    tone: Tone
    headline: str
    orgs: int
    wanted: int  # windows that are wanted and due
    complete: int  # of them
    newest_due: When | None
    read: When | None


@dataclass(frozen=True, slots=True)
class Tally:
    """A filter, with how many orgs are in it."""

    shown: Shown
    orgs: int
    href: str
    current: bool


def verdict(seen: Observed, *, now: datetime) -> Verdict:
    """Return the headline of what is observed."""
    orgs = list(seen.orgs.values())
    populations = [population for org in orgs for population in org.populations]
    newest = max((p.newest_due for p in populations if p.newest_due), default=None)
    tone, text = headline(seen, orgs)
    return Verdict(
        tone=tone,
        headline=text,
        orgs=len(orgs),
        wanted=sum(p.windows for p in populations),
        complete=sum(p.count(CoverageState.COMPLETE) for p in populations),
        newest_due=maybe_when(newest, now=now, zone=seen.timezone),
        read=maybe_when(seen.snapshot_at, now=now, zone=seen.timezone),
    )


def headline(seen: Observed, orgs: Sequence[OrgCoverage]) -> tuple[Tone, str]:
    """Return whether everything is complete, as a tone and in words."""
    if seen.snapshot_at is None:
        return Tone.CALM, "The ledger is being read"
    if not orgs:
        return Tone.WARN, "There are no orgs in the config"
    incomplete = sum(org.incomplete > 0 for org in orgs)
    refused = sum(org.refused for org in orgs)
    said = []
    if incomplete:
        said.append(f"{plural(incomplete, 'org')} {'is' if incomplete == 1 else 'are'} incomplete")
    if refused:
        said.append(f"{plural(refused, 'credential')} refused")
    if said:
        bad = refused or any(org.count(*BROKEN) for org in orgs)
        return (Tone.BAD if bad else Tone.WARN), "; ".join(said)
    return Tone.GOOD, "All due windows are complete"


def tallies(orgs: Iterable[OrgCoverage], choice: Choice) -> list[Tally]:
    """Return the filters that match any org, the one that is chosen, and the one for all."""
    counts = dict.fromkeys(Shown, 0)
    for org in orgs:
        for shown in Shown:
            counts[shown] += has_state(org, shown)
    return [
        Tally(shown, count, choice.href(shown=shown), shown is choice.shown)
        for shown, count in counts.items()
        if count or shown in {Shown.ALL, choice.shown}
    ]
