"""Values of a table as JSON."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import orjson

from collector.core.visible import visible


def json_bytes(value: object) -> bytes:
    """Return a value as JSON in UTF-8, without characters that steer a terminal."""
    # A plain date has no form of its own in JSON, and orjson writes Z where the others write the offset.
    option = orjson.OPT_PASSTHROUGH_DATETIME
    try:
        return visible(orjson.dumps(value, default=_plain, option=option))
    except orjson.JSONEncodeError:  # an integer of more than 64 bits: a sum
        return visible(orjson.dumps(_with_large(value), default=_plain, option=option))


def json_text(value: object) -> str:
    """Return a value as JSON."""
    return json_bytes(value).decode()


def _with_large(value: object) -> object:
    match value:
        case bool():
            return value
        case int():
            return orjson.Fragment(str(value))
        case dict():
            return {key: _with_large(one) for key, one in value.items()}
        case _:
            return value


def _plain(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"  # a text: a number would be a float where it is read
    raise TypeError(f"{type(value).__name__} has no form in JSON")
