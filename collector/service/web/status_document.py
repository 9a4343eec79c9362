"""The document that `/api/status` sends, as values: its JSON Schema is derived from them.

Keys are only ever added. Instants are in UTC; days, gaps and spans are on the org's calendar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from collector.config.schema import DIALECT
from collector.core.budgets import BudgetMetric, Level
from collector.core.org_coverage import CoverageState, CredentialStatus
from collector.errors import Problem
from collector.model import Granularity, Population

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
IncompleteState = Literal["in_doubt", "partial", "failed", "refused", "missing"]


def about(text: str) -> Any:
    """Return what describes a key in the schema."""
    return Field(description=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanPart:
    """A span of windows."""

    start: Annotated[datetime, about("The first instant, with the zone's offset")]
    end: Annotated[datetime, about("The first instant after it")]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapPart(SpanPart):
    """Windows that follow each other in one state and are not complete."""

    state: IncompleteState


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyPart(SpanPart):
    """Windows that follow each other whose answers look wrong in one way."""

    anomaly: Annotated[str, about("As in the records")]
    products: Annotated[Sequence[str], about("That it is about; empty: all of the answer")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysPart:
    """The last 90 days, each as the worst of its windows."""

    first: Annotated[date, about("The first day, on the org's calendar")]
    runs: Annotated[Sequence[tuple[CoverageState, PositiveInt]], about("A state, and how many days in a row show it")]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePart:
    """One product's usage; null: the product has no such number, or it is not known."""

    total_tests: Count | None
    total_duration: Count | None
    total_screenshots: Count | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationPart:
    """One population of an org."""

    population: Annotated[Population, about("Whose usage")]
    windows: Annotated[Count, about("Windows that are wanted and due, of all time")]
    complete: Annotated[Count, about("Of them complete")]
    unverified: Annotated[
        Count, about("Of them zero throughout, and so old that the API may have deleted the data: not lacking")
    ]
    in_doubt: Annotated[Count, about("Of them fetched, with records in an unsealed file of a dead process")]
    partial: Annotated[Count, about("Of them partial")]
    failed: Annotated[Count, about("Of them failed")]
    refused: Annotated[Count, about("Of them refused")]
    missing: Annotated[Count, about("Of them missing: never fetched")]
    lacking: Annotated[Count, about("Of them not complete")]
    lag_s: Annotated[Seconds, about("How far the newest complete window lies behind the newest that is due")]
    last_success: Annotated[datetime | None, about("When a complete answer last came")]
    newest_complete: Annotated[datetime | None, about("The end of the newest complete window")]
    newest_due: Annotated[datetime | None, about("The end of the newest window that is due")]
    oldest_usage: Annotated[datetime | None, about("The start of the oldest window with usage")]
    gaps: Annotated[Sequence[GapPart], about("What is not complete: the newest gaps, oldest first")]
    gaps_left_out: Annotated[Count, about("Older ones that are not listed")]
    reasons: Annotated[Mapping[str, Count], about("Why windows of the last 90 days are not complete: windows by code")]
    anomalies: Annotated[Sequence[AnomalyPart], about("What looks wrong in the last 90 days: the newest, oldest first")]
    anomalies_left_out: Annotated[Count, about("Older ones that are not listed")]
    days: DaysPart
    tests: Annotated[Sequence[Count | None], about("All products' tests of the same days; null: unknown")]
    newest_usage: Annotated[
        Mapping[str, UsagePart], about("By product, of the newest window that is due, as far as it is known")
    ]
    newest_users: Annotated[Count | None, about("Distinct users in that window")]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgPart:
    """One org."""

    org: Annotated[str, about("The name in the config")]
    org_id: Annotated[str | None, about("The organization's id, as the API says it; null: no answer has come yet")]
    org_name: Annotated[str | None, about("The organization's name, as the API says it")]
    labels: Annotated[Mapping[str, str], about("From the config")]
    timezone: Annotated[str, about("The zone of its calendar")]
    granularity: Annotated[Granularity, about("The length of its windows")]
    credential: Annotated[
        CredentialStatus, about("Its standing; if it is refused: why, since when, which user, until when")
    ]
    wanted: Annotated[Sequence[SpanPart], about("What is wanted and due, as spans; what lies between was never wanted")]
    lacking: Annotated[Count, about("Windows that are not complete")]
    lag_s: Annotated[Seconds, about("The largest lag of its populations")]
    last_success: Annotated[datetime | None, about("When a complete answer last came")]
    beyond_catch_up: Annotated[SpanPart | None, about("Holds gaps that only a backfill fills")]
    populations: Annotated[Sequence[PopulationPart], about("Those that are collected")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedPart:
    """An org that the config no longer has. It is listed until `collector forget`."""

    org: Annotated[str, about("The name that it had in the config")]
    org_id: Annotated[str | None, about("The organization's id, as the API said it; null: no answer came")]
    org_name: Annotated[str | None, about("The organization's name, as the API said it")]
    since: Annotated[datetime, about("When a run first found it gone")]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPart:
    """How a budget stands in a month. Amounts are in `unit`."""

    name: Annotated[str, about("As in the config")]
    metric: BudgetMetric
    unit: Annotated[str, about("tests, minutes, screenshots, or the currency")]
    org: Annotated[str | None, about("The org that it is about, or a glob")]
    label: Annotated[Mapping[str, str], about("The labels of the orgs that it is about")]
    products: Annotated[Sequence[str], about("The products that it is about; empty: all")]
    first_day: Annotated[date, about("Of the month: on each org's own calendar")]
    last_day: Annotated[date, about("Of the month")]
    amount: Annotated[float, about("How much may be used in the month")]
    used: Annotated[
        float | None, about("The sum of what is known; null: no number of the month is known, or none can be")
    ]
    used_ratio: Annotated[float | None, about("The used part of the amount: 1 is all of it")]
    forecast: Annotated[float | None, about("What will be used by the end of the month; null: none can be made")]
    forecast_ratio: Annotated[float | None, about("The same as a part of the amount")]
    forecast_is_at_least: Annotated[bool, about("Whether the forecast leaves out what some orgs will use")]
    level: Annotated[Level, about("near: 80 % is used; forecast: it passes the amount; over: all is used")]
    windows: Annotated[Count, about("Windows of the month that are due")]
    windows_unknown: Annotated[Count, about("Of them with a number that is unknown: it is not in `used`")]
    windows_not_priced: Annotated[Count, about("Of them with usage that has no price: it is not in `used`")]
    orgs: Annotated[Count, about("Orgs that it is about")]
    orgs_coarse: Annotated[Count, about("Of them with windows longer than a day: not forecast")]
    orgs_too_new: Annotated[Count, about("Of them with too few known days: not forecast")]
    orgs_newly_priced: Annotated[Count, about("Of them with too few days since a price began: not forecast")]
    orgs_unpriced: Annotated[Count, about("Of them without a price for anything they use: in no number")]
    products_absent: Annotated[Sequence[str], about("Of `products`: those that no window has. Misspelt?")]
    products_without_number: Annotated[Sequence[str], about("Of `products`: those that never have this number")]
    notes: Annotated[Sequence[str], about("What its numbers leave out and why, in words")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigPart:
    """The config file."""

    path: Annotated[str, about("The file")]
    loaded_at: Annotated[datetime, about("When the config in force was loaded")]
    refused_at: Annotated[datetime | None, about("When a newer one was refused")]
    problems: Annotated[Sequence[Problem], about("What is wrong with the newer one")]
    warnings: Annotated[Sequence[str], about("What deserves a look")]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePart:
    """When runs begin."""

    cron: Annotated[str, about("The expression")]
    timezone: Annotated[str, about("The zone it is read in")]
    next_run: Annotated[datetime | None, about("When the next run begins")]
    reconcile_cron: Annotated[str | None, about("The expression of `schedule.reconcile`; null: never")]
    next_reconcile: Annotated[datetime | None, about("When the next reconcile begins; a run that is due goes first")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRunPart:
    """The run under way."""

    run_id: Annotated[str, about("As in files and manifests")]
    started_at: Annotated[datetime, about("When it began")]
    planned: Annotated[Count, about("Slices, as far as is known")]
    done: Annotated[Count, about("Of them ended")]
    orgs: Annotated[Count, about("Orgs with anything to do")]
    orgs_done: Annotated[Count, about("Of them done")]
    partial: Annotated[Count, about("Slices that ended partial")]
    failed: Annotated[Count, about("Slices that failed")]
    refused: Annotated[Count, about("Slices that were refused")]
    retries: Annotated[Count, about("How often a slice was tried again")]
    api_down: Annotated[bool, about("Whether every org fails, and the API is probed")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """A run that ended."""

    run_id: Annotated[str, about("As in files and manifests")]
    command: Annotated[str, about("What made it")]
    started_at: Annotated[datetime, about("When it began")]
    ended_at: Annotated[datetime, about("When it ended")]
    exit_code: Annotated[int | None, about("As of a command; null: interrupted, or a defect")]
    why: Annotated[str, about("The same in words")]
    planned: Annotated[Count, about("Slices; 0 for runs before the service started, and of other commands")]
    states: Annotated[Mapping[str, Count], about("How they ended: slices by state")]
    records: Annotated[Count, about("Records written")]
    requests: Annotated[Count, about("Requests sent")]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDocument:
    """What `/api/status` sends."""

    version: Annotated[str, about("Of the collector")]
    now: Annotated[datetime, about("When this was true")]
    started_at: Annotated[datetime, about("When the service started")]
    headline: Annotated[str, about("Whether everything is complete and runs can do their work, in words for people")]
    stopping: Annotated[bool, about("Whether it is being stopped")]
    unready: Annotated[str | None, about("Why no run can do its work, as /readyz says; null: one can")]
    config: ConfigPart
    schedule: SchedulePart
    current_run: CurrentRunPart | None
    runs: Annotated[Sequence[RunPart], about("Those that ended, newest first")]
    ledger_read_at: Annotated[datetime | None, about("When the ledger was last read; null: not yet")]
    orgs_total: Annotated[Count, about("Orgs of the config")]
    orgs_lacking: Annotated[Count, about("Of them with a window that is not complete")]
    credentials_refused: Annotated[Count, about("Of them with a refused credential")]
    orgs_removed: Annotated[Sequence[RemovedPart], about("Orgs that earlier runs had and the config no longer has")]
    budgets: Annotated[Sequence[BudgetPart], about("In the order of the config; of a shard: of its orgs")]
    budgets_read_at: Annotated[datetime | None, about("When the ledger was read for them; null: not yet, or none")]
    orgs: Annotated[
        Sequence[OrgPart], about("In the order of the config: those that `?q=`, `?state=`, `?label=` choose, else all")
    ]


class _Schema(GenerateJsonSchema):
    schema_dialect = DIALECT

    def field_title_should_be_set(self, *_: object, **__: object) -> bool:
        return False  # titles that pydantic makes up only repeat the keys

    def field_is_required(self, *_: object, **__: object) -> bool:
        return True  # every key is always sent


def status_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `/api/status`."""
    schema = TypeAdapter(StatusDocument).json_schema(mode="serialization", schema_generator=_Schema)
    return {"$schema": DIALECT, **schema, "title": "usage collector status"}
