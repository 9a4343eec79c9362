"""The words of the domain, as frozen values.

Owns what an org, a window, a slice, an answer and a record *are*. Never decides
anything, reads no clock and does no I/O. Datetimes are aware; windows are half-open.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from urllib.parse import urlsplit

from collector.zone_rules import zone_info


class Population(StrEnum):
    """Whose usage is counted: the API's `type` parameter."""

    ACCOUNT_USER = "account-user"
    SERVICE_USER = "service-user"


class Granularity(StrEnum):
    """How long the windows are that time is cut into, on the org's own calendar."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Quality(StrEnum):
    """How much a record's numbers can be relied upon."""

    MEASURED = "measured"
    UNAVAILABLE = "unavailable"  # its zero came in a partial answer: unknown, so null
    UNVERIFIED = "unverified"  # an all-zero answer so old that it may be retention
    INFERRED = "inferred"  # proven zero by a complete all-zero answer for an enclosing window


class SliceState(StrEnum):
    """What is known of a slice at the end of a run."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"
    NOT_ASKED = "not_asked"


FIXED_OFFSET = re.compile(r"([+-])(\d{2}):(\d{2})")
MAX_OFFSET = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone as the config names it: an IANA name or a fixed offset `±HH:MM`.

    `rules` names the rules that `tz` follows (`zone_rules`); an offset has none, since it never changes.
    """

    name: str
    tz: tzinfo = field(compare=False, repr=False)
    rules: str = field(default="", compare=False, repr=False)

    def __reduce__(self) -> tuple[Callable[[str], Zone], tuple[str]]:
        """Copy and pickle a zone by its name: a `ZoneInfo` made from a file can't be."""
        return Zone.parse, (self.name,)

    @classmethod
    def parse(cls, name: str) -> Zone:
        """Return the zone of that name.

        Raises ValueError for anything that is neither an IANA zone nor `±HH:MM` within 14 hours.
        """
        if match := FIXED_OFFSET.fullmatch(name):
            sign, hours, minutes = match.groups()
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            if int(minutes) > 59 or offset > MAX_OFFSET:
                raise ValueError(f"offset {name!r} is out of range: -14:00 to +14:00")
            return cls(name, timezone(-offset if sign == "-" else offset))
        return cls(name, *zone_info(name))


UTC_ZONE = Zone("UTC", UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open range of time `[start, end)`; both are instants in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"a window ends after it starts, not {self.start} to {self.end}")

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"

    @property
    def elapsed(self) -> timedelta:
        """How much time passes in it: a local day may be 23 or 25 hours long."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicCredential:
    """A user name and an access key, sent as HTTP Basic."""

    username: str
    access_key: str = field(repr=False)

    def authorization(self) -> str:
        """Return the value of the Authorization header."""
        pair = f"{self.username}:{self.access_key}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerCredential:
    """A token, sent as HTTP Bearer."""

    token: str = field(repr=False)

    def authorization(self) -> str:
        """Return the value of the Authorization header."""
        return f"Bearer {self.token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadCredential:
    """A credential that a command which sends nothing has not read; of Basic the user, if it can be known."""

    username: str | None = None

    def authorization(self) -> str:
        """Raise RuntimeError: nothing is sent with it."""
        raise RuntimeError("the credential was not read")


Credential = BasicCredential | BearerCredential | UnreadCredential


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Org:
    """One entry of the config: a name, a credential, a calendar, labels."""

    name: str
    base_url: str
    credential: Credential = field(repr=False)
    zone: Zone = UTC_ZONE
    granularity: Granularity = Granularity.DAY
    populations: tuple[Population, ...] = tuple(Population)
    since: date | None = None
    org_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The host of the API that the org is fetched from, with its port if the config names one."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Slice:
    """(org, population, window): the unit of work, one answer of the API."""

    org: Org
    population: Population
    window: Window


@dataclass(frozen=True, slots=True)
class Span(Slice):
    """(org, population, adjoining windows) that one request is for: its answer says which slices need one of their own.

    It is never committed.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A slice as a request: the query's values before they are percent-encoded."""

    population: Population
    from_: str
    to: str
    timezone: str

    def query(self) -> dict[str, str]:
        """Return the query's parameters by the names that the API gives them."""
        return {"type": self.population, "from": self.from_, "to": self.to, "timezone": self.timezone}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductUsage:
    """One product's totals in one answer. A metric that the product doesn't have is None."""

    total_tests: int | None = None
    total_duration: int | None = None
    total_screenshots: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_zero(self) -> bool:
        """Whether nothing at all was counted: in a partial answer that means unknown."""
        counts = (self.total_tests, self.total_duration, self.total_screenshots, *self.extra.values())
        return not any(map(_counts, counts))


def _counts(value: object) -> bool:
    """Whether a number above zero stands in a metric: texts and flags, which new ones may have, count nothing."""
    match value:
        case bool():
            return False
        case int() | float():
            return value > 0
        case Mapping():
            return any(map(_counts, value.values()))
        case list():
            return any(map(_counts, value))
        case _:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A 200 of the documented shape, for exactly the request that was sent."""

    org_id: str
    org_name: str
    users: int
    products: Mapping[str, ProductUsage]
    partial: bool = False

    @property
    def is_zero(self) -> bool:
        """Whether every count in it is zero."""
        return self.users == 0 and all(usage.is_zero for usage in self.products.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One product's totals in one slice: a line of the output (contract.md, "Record")."""

    record_id: str
    revision: int
    org: str
    org_id: str
    org_name: str
    labels: Mapping[str, str]
    population: Population
    product: str
    granularity: Granularity
    timezone: str
    window_date: date
    window_start: datetime
    window_end: datetime
    total_tests: int | None
    total_duration: int | None
    total_screenshots: int | None
    org_users: int | None
    quality: Quality
    anomalies: Sequence[str]  # `core.anomalies`
    collected_at: datetime
    run_id: str
    extra: Mapping[str, object] | None = None
