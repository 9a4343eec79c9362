"""The one look: is everything here? In words, from all orgs of the config."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from collector.service.view import DayState, Observed, OrgView, Standing
from collector.service.web.choice import Choice, Shown, has_state
from collector.service.web.text import When, maybe_when, plural


class Tone(StrEnum):
    """How a thing stands, for its colour and its mark."""

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
        wanted=sum(sum(p.counts.values()) for p in populations),
        complete=sum(p.counts.get(DayState.COMPLETE.value, 0) for p in populations),
        newest_due=maybe_when(newest, now=now, zone=seen.timezone),
        read=maybe_when(seen.snapshot_at, now=now, zone=seen.timezone),
    )


def headline(seen: Observed, orgs: Sequence[OrgView]) -> tuple[Tone, str]:
    """Return the answer to "is everything here?"."""
    if seen.snapshot_at is None:
        return Tone.CALM, "The ledger is being read"
    if not orgs:
        return Tone.WARN, "There are no orgs in the config"
    lacking = sum(org.lacking > 0 for org in orgs)
    refused = sum(org.credential.standing is Standing.REFUSED for org in orgs)
    said = []
    if lacking:
        said.append(f"{plural(lacking, 'org')} {'lacks' if lacking == 1 else 'lack'} something")
    if refused:
        said.append(f"{plural(refused, 'credential')} refused")
    if said:
        return (Tone.BAD if refused or _broken(orgs) else Tone.WARN), "; ".join(said)
    return Tone.GOOD, "Everything due is here"


def tallies(orgs: Iterable[OrgView], choice: Choice) -> list[Tally]:
    """Return the filters that hold any org, and the one that is chosen; always that for all."""
    counts = dict.fromkeys(Shown, 0)
    for org in orgs:
        for shown in Shown:
            counts[shown] += has_state(org, shown)
    return [
        Tally(shown, count, choice.href(shown=shown), shown is choice.shown)
        for shown, count in counts.items()
        if count or shown in {Shown.ALL, choice.shown}
    ]


def _broken(orgs: Iterable[OrgView]) -> bool:
    """Say whether anything is worse than partial."""
    return any(
        population.counts.get(state.value, 0)
        for org in orgs
        for population in org.populations
        for state in (DayState.FAILED, DayState.REFUSED, DayState.MISSING)
    )
