"""The headline: is everything complete, and can the service go on? From all orgs of the config, and its own state.

It is good only if nothing on the page is bad: no trouble of ledger or output, no failed run, no refused config.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from collector.core.org_coverage import CoverageState, OrgCoverage
from collector.service.health import failed, is_starting, unready
from collector.service.view import Observed
from collector.service.web.choice import BROKEN, Choice, Shown, has_state
from collector.service.web.text import When, maybe_when, plural


class Tone(StrEnum):
    """How good or bad a thing is, for its colour and its mark."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    CALM = "calm"


_WORST_FIRST = (Tone.BAD, Tone.WARN, Tone.CALM, Tone.GOOD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The headline, and the numbers beneath it."""

    tone: Tone
    headline: str
    orgs: int
    wanted: int  # windows that are wanted and due
    complete: int  # of them
    unverified: int
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
        unverified=sum(p.count(CoverageState.UNVERIFIED) for p in populations),
        newest_due=maybe_when(newest, now=now, zone=seen.timezone),
        read=maybe_when(seen.snapshot_at, now=now, zone=seen.timezone),
    )


def headline(seen: Observed, orgs: Sequence[OrgCoverage]) -> tuple[Tone, str]:
    """Return whether everything is complete and runs can do their work, as a tone and in words."""
    parts = [*_of_service(seen), *_of_orgs(seen, orgs)]
    if not parts:
        unverified = any(org.count(CoverageState.UNVERIFIED) for org in orgs)
        return Tone.GOOD, "All due windows are complete" + (", but some zeros are unverified" if unverified else "")
    text = "; ".join(text for _, text in parts)
    return min((tone for tone, _ in parts), key=_WORST_FIRST.index), text[0].upper() + text[1:]


def _of_service(seen: Observed) -> Iterator[tuple[Tone, str]]:
    """Yield what is wrong with the service itself."""
    if unready(seen) and not is_starting(seen):
        yield Tone.BAD, "no run can do its work"
    elif failed(seen):
        yield Tone.BAD, "the last run failed"
    if seen.config_problems:
        yield Tone.BAD, "the new config is not in force"


def _of_orgs(seen: Observed, orgs: Sequence[OrgCoverage]) -> Iterator[tuple[Tone, str]]:
    """Yield what is not good about the orgs, as far as the ledger has been read."""
    if seen.snapshot_at is None:
        if not unready(seen) or is_starting(seen):
            yield Tone.CALM, "the ledger is being read"
        return
    if not orgs:
        yield Tone.WARN, "there are no orgs in the config"
    if incomplete := sum(org.incomplete > 0 for org in orgs):
        broken = any(org.count(*BROKEN) for org in orgs)
        are = "is" if incomplete == 1 else "are"
        yield (Tone.BAD if broken else Tone.WARN), f"{plural(incomplete, 'org')} {are} incomplete"
    if refused := sum(org.refused for org in orgs):
        yield Tone.BAD, f"{plural(refused, 'org')} {'is' if refused == 1 else 'are'} refused"
    if removed := len(seen.removed):
        yield Tone.WARN, f"{plural(removed, 'org')} {'is' if removed == 1 else 'are'} no longer in the config"


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
