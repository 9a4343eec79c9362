"""An org on the overview: its identity, what is wrong and what to do, and a line per population."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from collector.adapters.text import shell_word
from collector.app.invocation import Invocation
from collector.core.org_coverage import CoverageState, CredentialStanding, OrgCoverage, PopulationCoverage
from collector.model import Population
from collector.service.web.advice import TELLING, Advice, advice
from collector.service.web.choice import BROKEN, Choice
from collector.service.web.spark import Spark, spark
from collector.service.web.strip import Strip, strip
from collector.service.web.text import When, lag, line_text, local_dates, maybe_when, name_text
from collector.service.web.verdict import Tone

PEOPLE = {Population.ACCOUNT_USER: "human accounts", Population.SERVICE_USER: "service accounts"}
_LABEL_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Trouble:
    """A refused credential: why, since when, what to do."""

    advice: Advice
    message: str | None
    since: When | None
    last: When | None
    changed: bool | None
    again: When | None
    command: str


@dataclass(frozen=True, slots=True)
class Label:
    """A label, and the link to all orgs that have it."""

    key: str
    value: str
    whole: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One population of an org."""

    population: Population
    people: str
    strip: Strip
    spark: Spark
    incomplete: int
    lag: str
    last_success: When | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An org."""

    key: str  # an id in the document
    name: str
    href: str
    org_id: str | None
    org_name: str | None
    labels: Sequence[Label]
    tone: Tone
    standing: CredentialStanding
    trouble: Trouble | None
    lines: Sequence[Line]
    backfill: str | None


def row(org: OrgCoverage, invocation: Invocation, choice: Choice, *, root: str, now: datetime) -> Row:
    """Return an org as a row."""
    return Row(
        key=f"org-{quote(org.name, safe='')}",
        name=name_text(org.name),
        href=org_href(org.name, root),
        org_id=org.org_id and name_text(org.org_id),
        org_name=org.org_name and name_text(org.org_name),
        labels=[_label(key, value, choice, root) for key, value in org.labels.items()],
        tone=_tone(org),
        standing=org.credential.standing,
        trouble=trouble(org, invocation, now=now),
        lines=[line(org, population, now=now) for population in org.populations],
        backfill=backfill_command(org, invocation),
    )


def line(org: OrgCoverage, population: PopulationCoverage, *, now: datetime) -> Line:
    """Return a population as a line."""
    return Line(
        population=population.population,
        people=PEOPLE[population.population],
        strip=strip(population.days, org.last_day),
        spark=spark(population.tests, org.last_day),
        incomplete=population.incomplete,
        lag=lag(population.lag_s),
        last_success=maybe_when(population.last_success, now=now, zone=org.timezone),
    )


def trouble(org: OrgCoverage, invocation: Invocation, *, now: datetime) -> Trouble | None:
    """Return what is wrong with a credential, and what to do."""
    credential = org.credential
    if not org.refused:
        return None
    return Trouble(
        advice=advice(credential.reason, of_token=credential.user is None),
        message=line_text(credential.message) if credential.message and credential.reason in TELLING else None,
        since=maybe_when(credential.since, now=now, zone=org.timezone),
        last=maybe_when(credential.last_at, now=now, zone=org.timezone),
        changed=credential.changed,
        again=maybe_when(credential.tried_again_at, now=now, zone=org.timezone),
        command=f"{invocation.check} --org {shell_word(org.name)}",
    )


def backfill_command(org: OrgCoverage, invocation: Invocation) -> str | None:
    """Return the command that fills the gaps that no `collect` fills any more; None if there are none."""
    if org.stranded is None:
        return None
    first, last = local_dates(org.stranded, org.timezone)
    return f"{invocation.backfill} --org {shell_word(org.name)} --from {first} --to {last}"


def in_doubt_command(orgs: Iterable[OrgCoverage], invocation: Invocation) -> str | None:
    """Return the command that names the files whose windows are in doubt; None if no org has any."""
    if not any(org.count(CoverageState.IN_DOUBT) for org in orgs):
        return None
    return invocation.status


def org_href(name: str, root: str) -> str:
    """Return the link to an org's page; a browser would take `.` and `..` for steps in a path."""
    return f"{root}orgs/?name={name}" if name in {".", ".."} else f"{root}orgs/{quote(name, safe='')}"


def _label(key: str, value: str, choice: Choice, root: str) -> Label:
    shown = name_text(value)
    href = choice.href(root, labels=((key, value),))
    return Label(key, shown[:_LABEL_SHOWN] + "…" * (len(shown) > _LABEL_SHOWN), f"{key}: {shown}", href)


def _tone(org: OrgCoverage) -> Tone:
    if org.refused or org.count(*BROKEN):
        return Tone.BAD
    return Tone.WARN if org.incomplete else Tone.GOOD
