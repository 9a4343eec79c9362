"""The API request for a slice.

Start and end are written with the offset of the window's start. So a local day of 23 or 25 hours
is requested with its real length (api.md, "Request").
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from enum import StrEnum
from functools import cache

from collector.model import ApiRequest, Slice

PATH = "/insights/api/v3/public/usage-report/summary"
MAX_SPAN = timedelta(days=90)  # of elapsed time; the OpenAPI document's limit, the guide's is 92


class RangeEnd(StrEnum):
    """How the API reads `to`: no document says whether that second is part of the range."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


def build_request(slice_: Slice, *, range_end: RangeEnd, max_span: timedelta = MAX_SPAN) -> ApiRequest:
    """Return the query for exactly this slice's window.

    Raises ValueError if the window's elapsed time is longer than `max_span`: the API would answer 400.
    """
    window = slice_.window
    if window.elapsed > max_span:
        raise ValueError(f"the window {window} is longer than {max_span}")
    offset = window.start.astimezone(slice_.org.zone.tz).utcoffset() or timedelta(0)
    last = window.end - timedelta(seconds=1) if range_end is RangeEnd.INCLUSIVE else window.end
    return ApiRequest(
        population=slice_.population,
        from_=_wall_clock(window.start, offset),
        to=_wall_clock(last, offset),
        timezone=_offset_text(offset),
    )


def _wall_clock(instant: datetime, offset: timedelta) -> str:
    return instant.astimezone(timezone(offset)).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")


@cache
def _offset_text(offset: timedelta) -> str:
    minutes, seconds = divmod(int(offset.total_seconds()), 60)
    if seconds:
        raise ValueError(f"the API accepts only whole minutes of offset, not {offset}")
    sign = "-" if minutes < 0 else "+"
    hours, minutes = divmod(abs(minutes), 60)
    return f"{sign}{hours:02}:{minutes:02}"
