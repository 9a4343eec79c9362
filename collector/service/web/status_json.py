"""What is observed as JSON: the page's data for scripts (`status_document` describes it)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import orjson

from collector.core.budgets import BudgetStanding
from collector.core.org_coverage import COUNTED, OrgCoverage, PopulationCoverage
from collector.core.visible import visible
from collector.model import Window, Zone
from collector.service.health import unready
from collector.service.view import CurrentRun, Observed
from collector.service.web.choice import Choice, has_state
from collector.service.web.status_document import (
    AnomalyPart,
    BudgetPart,
    ConfigPart,
    CurrentRunPart,
    DaysPart,
    GapPart,
    OrgPart,
    PopulationPart,
    RemovedPart,
    RunPart,
    SchedulePart,
    SpanPart,
    StatusDocument,
    UsagePart,
)
from collector.service.web.verdict import headline

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Part = TypeVar("Part", bound="DataclassInstance")
EVERYTHING = Choice()


def status_bytes(seen: Observed, choice: Choice = EVERYTHING, *, now: datetime) -> bytes:
    """Return the document as it is sent. Sums of more than 64 bits are written as they are."""
    document = status_document(seen, choice, now=now)
    try:
        return visible(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
    except TypeError:  # orjson writes no integer of more than 64 bits
        text = json.dumps(document, default=_plain, ensure_ascii=False, separators=(",", ":"))
        return visible(text.encode() + b"\n")


def _plain(value: object) -> object:
    """Return what orjson writes for a value that the standard library doesn't know."""
    if isinstance(value, date):
        return value.isoformat()
    names: Iterable[str] = getattr(value, "__dataclass_fields__", ())
    if not names:
        raise TypeError(f"{type(value).__name__} can't be written as JSON")
    return {name: getattr(value, name) for name in names}


def status_document(seen: Observed, choice: Choice = EVERYTHING, *, now: datetime) -> StatusDocument:
    """Return what is observed; of the orgs those that are chosen, in the order of the config."""
    orgs = list(seen.orgs.values())
    return _like(
        StatusDocument,
        seen,
        now=now,
        headline=headline(seen, orgs)[1],
        unready=unready(seen),
        config=ConfigPart(
            path=seen.config_path,
            loaded_at=seen.config_loaded_at,
            refused_at=seen.config_refused_at,
            problems=seen.config_problems,
            warnings=seen.warnings,
        ),
        schedule=_like(SchedulePart, seen),
        current_run=seen.current and _current(seen.current),
        runs=[
            _like(RunPart, run, states={state.value: count for state, count in run.states.items()})
            for run in seen.all_runs
        ],
        ledger_read_at=seen.snapshot_at,
        orgs_total=len(orgs),
        orgs_lacking=sum(org.incomplete > 0 for org in orgs),
        credentials_refused=sum(org.refused for org in orgs),
        orgs_removed=[_like(RemovedPart, one, org=one.name) for one in seen.removed],
        budgets=[_budget(one) for one in seen.budgets],
        orgs=[_org(org) for org in orgs if choice.matches(org) and has_state(org, choice.shown)],
    )


def _budget(one: BudgetStanding) -> BudgetPart:
    return _like(
        BudgetPart,
        one.budget,
        label=dict(one.budget.label),
        first_day=one.month.first,
        last_day=one.month.last,
        amount=float(one.budget.amount),
        used=_float(one.used),
        used_ratio=_float(one.used_ratio),
        forecast=_float(one.forecast),
        forecast_ratio=_float(one.forecast_ratio),
        forecast_is_at_least=one.is_at_least,
        level=one.level,
        windows=one.windows,
        windows_unknown=one.unknown,
        windows_not_priced=one.not_priced,
        orgs=one.orgs,
        orgs_coarse=one.coarse,
        orgs_too_new=one.too_new,
        orgs_newly_priced=one.newly_priced,
        orgs_unpriced=one.unpriced,
        products_absent=one.absent,
        products_without_number=one.without_number,
        notes=one.notes,
    )


def _float(number: Fraction | None) -> float | None:
    return None if number is None else float(number)


def _org(org: OrgCoverage) -> OrgPart:
    return _like(
        OrgPart,
        org,
        org=org.name,
        labels=dict(org.labels),
        wanted=[_span(span, org.timezone) for span in org.wanted],
        lacking=org.incomplete,
        beyond_catch_up=org.stranded and _span(org.stranded, org.timezone),
        populations=[_population(org, population) for population in org.populations],
    )


def _population(org: OrgCoverage, population: PopulationCoverage) -> PopulationPart:
    days = population.days
    return _like(
        PopulationPart,
        population,
        **{state.value: population.count(state) for state in COUNTED},
        lacking=population.incomplete,
        oldest_usage=population.oldest_usage and population.oldest_usage.start,
        gaps=[_like(GapPart, _span(gap.window, org.timezone), state=gap.state) for gap in population.gaps],
        anomalies=[
            _like(AnomalyPart, _span(one.window, org.timezone), anomaly=one.anomaly.value, products=one.products)
            for one in population.anomalies
        ],
        days=DaysPart(
            first=org.last_day - timedelta(days=len(days) - 1),
            runs=[(state, sum(1 for _ in run)) for state, run in groupby(days)],
        ),
        newest_usage={name: _like(UsagePart, usage) for name, usage in population.newest_usage.items()},
    )


def _current(run: CurrentRun) -> CurrentRunPart:
    return _like(CurrentRunPart, run.progress, run_id=run.run_id, started_at=run.started_at, planned=run.progress.total)


def _span(window: Window, zone: str) -> SpanPart:
    tz = Zone.parse(zone).tz
    return SpanPart(start=window.start.astimezone(tz), end=window.end.astimezone(tz))


def _like(part: type[Part], source: object, **other: object) -> Part:
    """Return a part of the document: what isn't given is the source's attribute of that name."""
    names = part.__dataclass_fields__
    return part(**{name: other[name] if name in other else getattr(source, name) for name in names})
