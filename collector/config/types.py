"""The types of single config values: durations, sizes, dates, amounts of money, paths, cron lines.

Owns how each is parsed (the same way from a file, a variable or an option), and its JSON
Schema. Knows no keys, no files and no defaults. URLs and zones have their own modules.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from collector.config.messages import AMOUNT, DAY, FIELDS, NUMBER, duration_text, expected, invalid, says_off, shown
from collector.config.zones import parse_zone
from collector.core.schedule import cron_flaw
from collector.disk import HomeError, at_home
from collector.model import Zone

DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MAX_DAYS = 36_525  # a hundred years
SIZE = re.compile(r"([0-9]{1,15})(B|[kK]B|MB|GB|KiB|MiB|GiB)?")
UNIT_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
MONEY = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FIRST_DATE = date(2015, 1, 1)


def parse_duration(value: object) -> timedelta:
    """Return a duration from seconds or from text such as `30s`, `500ms`, `10m`, `6h`, `3d`."""
    if isinstance(value, timedelta):
        return value
    seconds: float = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (found := DURATION.fullmatch(value)):
        seconds = float(found[1]) * UNIT_SECONDS[found[2] or "s"]
    if not seconds >= 0:  # also NaN
        raise invalid(expected("a duration such as 30s, 500ms, 10m, 6h or 3d", value, AMOUNT))
    if seconds > MAX_DAYS * 86_400:
        raise invalid(expected(f"a duration of at most {MAX_DAYS}d, which is a hundred years", value, AMOUNT))
    return timedelta(seconds=seconds)


def missing_unit(value: object) -> str | None:
    """Return what to write instead of a number without a unit; None for 0, or if the value has a unit."""
    number = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    found = DURATION.fullmatch(number)
    if not found or found[2] or not float(number):
        return None
    return f"{number} has no unit: write {number}d for days, {number}h for hours, or {number}s for seconds"


def unit_below(shortest: timedelta) -> PlainValidator:
    """Return the parser of a duration of hours or days: a number without a unit is seconds, and not that few.

    Someone who writes `lookback: 7` means days.
    """

    def parse(value: object) -> timedelta:
        duration = parse_duration(value)
        if duration < shortest and (hint := missing_unit(value)):
            raise invalid(hint)
        return duration

    return PlainValidator(parse)


def parse_size(value: object) -> int:
    """Return bytes from a number or from text such as `128MB` (10^6) or `1GiB` (2^30)."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := SIZE.fullmatch(value)):
        return int(found[1]) * UNIT_BYTES[(found[2] or "B").upper()]
    raise invalid(expected("a size such as 128MB, 512KB or 1GiB", value, AMOUNT))


def parse_money(value: object) -> Decimal:
    """Return an amount from its digits, so that it is exact: a YAML number is read by its text."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = f"{value:f}"
    if not isinstance(value, str) or not MONEY.fullmatch(value):
        raise invalid(expected("an amount such as 12, 0.005 or 1250.00, with up to 9 decimals", value, NUMBER))
    return Decimal(value)


def parse_date(value: object) -> date:
    """Return a date for which the API can have usage."""
    day = value if isinstance(value, date) and not isinstance(value, datetime) else None
    if isinstance(value, str) and ISO_DATE.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise invalid(expected("a date that exists", value, DAY)) from None
    if day is None:
        raise invalid(expected("a date such as 2026-01-31", value, DAY))
    if day < FIRST_DATE:
        raise invalid(f"must not be before {FIRST_DATE}: there is no usage as old as {day}")
    return day


def parse_cron(value: object) -> str:
    """Return a cron line of five fields that matches some date."""
    if not isinstance(value, str) or len(value.split()) != 5:
        raise invalid(expected("five fields (minute hour day month weekday) such as '20 * * * *'", value, FIELDS))
    if flaw := cron_flaw(value):
        raise invalid(
            f"{shown(value, FIELDS)} isn't a valid schedule: {flaw}; the fields are minute, hour, day, month, weekday"
        )
    return value


def parse_path(value: object) -> Path:
    """Return a path that isn't empty and contains no NUL."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise invalid(expected("a path", value))
    if says_off(value):  # else a file of that name would be written
        raise invalid(f"expected a path, got {value!r}; for a file of that name write ./{value}")
    return Path(path_at_home(value))


def path_at_home(value: str) -> str:
    """Return a path, `~` being the home directory of the user who runs the collector."""
    try:
        return at_home(value)
    except HomeError as error:
        raise invalid(str(error)) from None


def positive(value: timedelta) -> timedelta:
    """Return a duration that is more than 0."""
    if not value:
        raise invalid(f"must be more than 0, got {duration_text(value)}")
    return value


def at_most(high: timedelta, because: str = "") -> AfterValidator:
    """Return the check that a duration is at most that long."""

    def check(value: timedelta) -> timedelta:
        if value > high:
            raise invalid(f"must be at most {duration_text(high)}{because}, got {duration_text(value)}")
        return value

    return AfterValidator(check)


def at_least(low: timedelta) -> AfterValidator:
    """Return the check that a duration is at least that long."""

    def check(value: timedelta) -> timedelta:
        if value < low:
            raise invalid(f"must be at least {duration_text(low)}, got {duration_text(value)}")
        return value

    return AfterValidator(check)


def text_schema(pattern: str | None = None, *, or_also: str | None = None, minimum: float = 0) -> WithJsonSchema:
    """Return the JSON Schema of a value that is written as text, or also as that type of number, or as 0."""
    text: dict[str, object] = {"type": "string", **({"pattern": pattern} if pattern else {})}
    if or_also is None:
        return WithJsonSchema(text)
    zero: list[dict[str, object]] = [{"const": 0}] if minimum else []
    return WithJsonSchema({"anyOf": [text, *zero, {"type": or_also, "minimum": minimum}]})


DURATION_TEXT = f"^{DURATION.pattern}$"
Duration = Annotated[timedelta, PlainValidator(parse_duration), text_schema(DURATION_TEXT, or_also="number")]
# A window is an hour or longer. Who means seconds can still write 7s.
Minutes = Annotated[
    timedelta, unit_below(timedelta(minutes=1)), text_schema(DURATION_TEXT, or_also="number", minimum=60)
]
Days = Annotated[timedelta, unit_below(timedelta(hours=1)), text_schema(DURATION_TEXT, or_also="number", minimum=3600)]
Positive = Annotated[Duration, AfterValidator(positive)]
PositiveDays = Annotated[Days, AfterValidator(positive)]
Size = Annotated[int, PlainValidator(parse_size), text_schema(f"^{SIZE.pattern}$", or_also="integer")]
Money = Annotated[Decimal, PlainValidator(parse_money), text_schema(f"^{MONEY.pattern}$", or_also="number")]
Date = Annotated[
    date, PlainValidator(parse_date), WithJsonSchema({"type": "string", "format": "date", "minLength": 10})
]
# Readers of YAML 1.1 take an unquoted +05:30 for the number 19800; ours takes it as it is written.
ZoneName = Annotated[Zone, PlainValidator(parse_zone), WithJsonSchema({"type": ["string", "integer"], "minLength": 1})]
Cron = Annotated[str, PlainValidator(parse_cron), text_schema(r"^\s*(\S+\s+){4}\S+\s*$")]
FilePath = Annotated[Path, PlainValidator(parse_path), text_schema("^[^\\u0000]+$")]
