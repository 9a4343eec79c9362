"""The sections of the config file: every key, its default and its range.

Owns what contract.md's "Config" says of them, and the rules within one section. Orgs,
files and variables have their own modules.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from collector.config.messages import CONTROL, duration_text, invalid, shown
from collector.config.types import (
    Cron,
    Date,
    Days,
    Duration,
    FilePath,
    Minutes,
    Positive,
    PositiveDays,
    Size,
    ZoneName,
    at_least,
    at_most,
)
from collector.config.urls import ApiUrl, HttpUrl, LedgerUrl, parse_output, require_tls
from collector.core.echo import WORD
from collector.core.layout import Compression, Layout, PartitionKey, RecordFormat
from collector.core.outputs import is_remote
from collector.core.request import RangeEnd
from collector.model import Granularity, Population

DAY = timedelta(days=1)
API_SPAN = timedelta(days=90)
MIN_SEAL, MAX_SEAL = 10**6, 10**12
MAX_UPLOAD = 10**9


def key(default: object, description: str, **bounds: Any) -> Any:
    """Declare a key: its default as it is written in the config, and its description."""
    return Field(default, validate_default=True, description=description, **bounds)


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a list without duplicates."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise invalid(f"{shown(str(value) if isinstance(value, str) else value, WORD)} is listed twice")
    return values


def not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a list that isn't empty."""
    if not values:
        raise invalid("must not be empty")
    return values


def one_line(value: str) -> str:
    """Return text of one line that isn't empty."""
    if not value.strip():
        raise invalid("is empty")
    if CONTROL.search(value):
        raise invalid("contains a line break or another control character")
    return value


def seal_size(value: int) -> int:
    """Return a size at which files can reasonably be sealed."""
    if not MIN_SEAL <= value <= MAX_SEAL:
        raise invalid(f"must be between 1MB and 1000GB, got {value} bytes")
    return value


Text = Annotated[str, AfterValidator(one_line)]
Populations = Annotated[
    tuple[Population, ...],
    AfterValidator(distinct),
    AfterValidator(not_empty),
    Field(json_schema_extra={"minItems": 1, "uniqueItems": True}),
]
Span = Annotated[PositiveDays, at_most(API_SPAN, ": the API accepts no longer range")]


class Section(BaseModel):
    """A section; if all its keys are commented out, it has its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_defaults(cls, value: object) -> object:
        return {} if value is None else value


class RateLimit(Section):
    """The most requests in any period of that length."""

    requests: int = key(1, "requests per period", ge=1, le=100_000)
    period: Annotated[Positive, at_most(DAY)] = key("1s", "length of the period")


class GlobalRateLimit(RateLimit):
    """The limit for all orgs together."""

    requests: int = key(10, "requests per period, all orgs together", ge=1, le=100_000)


class OrgRateLimit(RateLimit):
    """The limit for each org."""

    requests: int = key(2, "requests per period, one org", ge=1, le=100_000)


class Retry(Section):
    """How often, and for how long, a failed slice is retried."""

    attempts: int = key(6, "attempts per slice, the first included", ge=1, le=20)
    base_delay: Annotated[Positive, at_most(DAY)] = key("500ms", "delay before the second attempt; doubles each time")
    max_delay: Annotated[Positive, at_most(DAY)] = key("60s", "longest delay between two attempts")
    budget: Annotated[Duration, at_most(7 * DAY)] = key("10m", "time after which a slice isn't tried again")

    @model_validator(mode="after")
    def _delays_fit(self) -> Self:
        given = [name for name in ("base_delay", "max_delay") if name in self.model_fields_set]
        if self.base_delay > self.max_delay:
            low, high = duration_text(self.base_delay), duration_text(self.max_delay)
            raise invalid(f"base_delay ({low}) must not be more than max_delay ({high})", *given)
        return self


class Api(Section):
    """The API, and the limits on requests to it."""

    base_url: ApiUrl = key("https://api.lambdatest.com", "URL of the API: https, or http on loopback")
    timeout: Annotated[Positive, at_most(timedelta(hours=1))] = key("30s", "one attempt, all of it")
    max_span: Span = key("90d", "longest range of one request, in elapsed time")
    range_end: RangeEnd = key("inclusive", "how the API reads the end of a range")
    concurrency: int = key(16, "requests in flight, all orgs together", ge=1, le=1000)
    rate_limit: GlobalRateLimit = Field(default_factory=GlobalRateLimit, description="limit for all orgs together")
    org_concurrency: int = key(2, "requests in flight, one org", ge=1, le=1000)
    org_rate_limit: OrgRateLimit = Field(default_factory=OrgRateLimit, description="limit for each org")
    retry: Retry = Field(default_factory=Retry, description="how a failed slice is retried")
    ca_file: FilePath | None = key(None, "PEM file of authorities to trust beside the usual ones")


class Defaults(Section):
    """Defaults for orgs that don't set their own value."""

    timezone: ZoneName = key("UTC", "the org's calendar: IANA name or ±HH:MM")
    granularity: Granularity = key("day", "length of the windows")
    populations: Populations = key(tuple(map(str, Population)), "the users whose usage is collected")
    since: Date | None = key(None, "nothing older is wanted")


class Output(Section):
    """The output of records."""

    path: Annotated[Text, AfterValidator(parse_output)] = key(
        "-", "a directory, - for stdout, s3://…, gs://…, az://… or postgresql://…/table"
    )
    password_file: FilePath | None = key(
        None, "file with the password for a table in PostgreSQL; read at every connection"
    )
    format: RecordFormat = key("jsonl", "format of the records")
    compression: Compression = key("none", "compression of the files, or of stdout; Parquet compresses itself")
    partition_by: Annotated[tuple[PartitionKey, ...], AfterValidator(distinct)] = key(
        (), "directories to divide the records into, the outermost first: month=2026-06/org=acme"
    )
    labels: Annotated[tuple[Text, ...], AfterValidator(distinct)] = key(
        (), "labels that have a column of their own in CSV and Parquet: label_KEY"
    )
    seal_at: Annotated[Size, AfterValidator(seal_size)] = key("128MB", "size at which a file is finished")

    @model_validator(mode="after")
    def _fits_into_memory(self) -> Self:
        if is_remote(self.path) and self.seal_at > MAX_UPLOAD:
            raise invalid("must not be more than 1GB for this output.path: each file is delivered whole", "seal_at")
        return self

    @model_validator(mode="after")
    def _parquet_compresses_itself(self) -> Self:
        if self.format is RecordFormat.PARQUET and self.compression is not Compression.NONE:
            raise invalid(f"Parquet compresses itself: must be 'none', got '{self.compression}'", "compression")
        return self

    @property
    def layout(self) -> Layout:
        """How the files look."""
        return Layout(
            format=self.format, compression=self.compression, partition_by=self.partition_by, labels=self.labels
        )


class State(Section):
    """The ledger's place."""

    url: LedgerUrl = key("sqlite:///state/ledger.db", "sqlite:///…, postgresql://… or none")
    password_file: FilePath | None = key(None, "file with the password for PostgreSQL; read at every connection")


class Reconcile(Section):
    """When `serve` compares what was collected with the API's own totals; null: never."""

    cron: Cron | None = key("40 4 * * 0", "minute hour day month weekday, in schedule.timezone; null: never")
    last: PositiveDays = key("90d", "the windows that ended within this time are compared")

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_defaults(cls, value: object) -> object:
        return {"cron": None} if value is None else value


class Schedule(Section):
    """When `serve` collects, and what is fetched again."""

    cron: Cron = key("20 * * * *", "minute hour day month weekday")
    timezone: ZoneName = key("UTC", "time zone of cron")
    jitter: Annotated[Duration, at_most(DAY)] = key("60s", "random delay of a run, at most")
    settle: Minutes = key("6h", "how long after its end a window is due")
    recheck: Annotated[tuple[PositiveDays, ...], AfterValidator(distinct)] = key(
        ("1d", "3d"), "ages at which a complete window is fetched again"
    )
    lookback: PositiveDays = key("3d", "how far back the first run goes")
    repair_for: Days = key("30d", "age up to which partial and failed slices are fetched again")
    catch_up: Days = key("35d", "how far back a run fills gaps")
    restate_for: Days = key("30d", "age up to which numbers that became smaller are emitted")
    reconcile: Reconcile = Field(
        default_factory=Reconcile, description="when `serve` reconciles, and what; null: never"
    )


class Service(Section):
    """The HTTP server of `serve`."""

    host: Text = key("127.0.0.1", "address to listen on")
    port: int = key(8080, "port to listen on; 0 takes a free one", ge=0, le=65535)
    allowed_hosts: tuple[Text, ...] = key((), "Host headers that are accepted besides loopback's")
    token_file: FilePath | None = key(None, "file with the token that clients must send")
    usage_metrics: bool = key(False, "whether /metrics also shows usage")
    org_metrics: bool = key(True, "whether /metrics has labels per org")
    grace: Annotated[Duration, at_most(timedelta(hours=1))] = key("20s", "time to finish after a signal to stop")


class Otlp(Section):
    """The receiver of OpenTelemetry's protocol."""

    endpoint: HttpUrl | None = key(None, "URL of an OTLP receiver (http/protobuf), such as http://collector:4318")
    headers_file: FilePath | None = key(None, "file with headers, one `Name: value` a line; read for each push")
    every: Annotated[Duration, at_least(timedelta(seconds=1)), at_most(DAY)] = key("60s", "how often `serve` pushes")

    @model_validator(mode="after")
    def _headers_are_encrypted(self) -> Self:
        if self.headers_file is not None and self.endpoint is not None:
            try:
                require_tls(self.endpoint)
            except ValueError as error:
                raise invalid(f"with headers_file: {error}", "endpoint") from None
        return self


class Push(Section):
    """Where metrics are pushed."""

    gateway: HttpUrl | None = key(None, "URL of a Prometheus Pushgateway")
    textfile: FilePath | None = key(None, "file for node_exporter's textfile collector")
    otlp: Otlp = Field(
        default_factory=Otlp, description="the metrics of runs that end, and of `serve`, by OpenTelemetry"
    )


class Log(Section):
    """The log on stderr."""

    level: Literal["debug", "info", "warning", "error"] = key("info", "lowest level that is logged")
    format: Literal["auto", "console", "json"] = key("auto", "auto: console on a terminal, else json")
