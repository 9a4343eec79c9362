"""Messages for a time zone that doesn't exist.

Owns which zone is proposed for a name that doesn't exist. `Zone.parse` decides which zones exist.
"""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

from collector.config.messages import ZONE, expected, invalid, shown
from collector.model import MAX_OFFSET, Zone
from collector.zone_rules import zone_names

LOOSE_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])?([0-9]{1,2}):?([0-9]{2})?", re.IGNORECASE)
ABBREVIATIONS = {
    "ACST": "Australia/Adelaide",
    "AEDT": "Australia/Sydney",
    "AEST": "Australia/Sydney or Australia/Brisbane",
    "AKST": "America/Anchorage",
    "AST": "America/Halifax or Asia/Riyadh",
    "AWST": "Australia/Perth",
    "BRT": "America/Sao_Paulo",
    "BST": "Europe/London or Asia/Dhaka",
    "CDT": "America/Chicago or America/Havana",
    "CEST": "Europe/Berlin",
    "CST": "America/Chicago or Asia/Shanghai",
    "EDT": "America/New_York",
    "EEST": "Europe/Athens",
    "GST": "Asia/Dubai",
    "HKT": "Asia/Hong_Kong",
    "ICT": "Asia/Bangkok",
    "IST": "Asia/Kolkata, Asia/Jerusalem or Europe/Dublin",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "MDT": "America/Denver",
    "MSK": "Europe/Moscow",
    "NPT": "Asia/Kathmandu",
    "NZST": "Pacific/Auckland",
    "PDT": "America/Los_Angeles",
    "PHT": "Asia/Manila",
    "PKT": "Asia/Karachi",
    "PST": "America/Los_Angeles or Asia/Manila",
    "SAST": "Africa/Johannesburg",
    "SGT": "Asia/Singapore",
    "WIB": "Asia/Jakarta",
}


def parse_zone(value: object) -> Zone:
    """Return the zone of an IANA name or `±HH:MM`."""
    if isinstance(value, Zone):
        return value
    if not isinstance(value, str) or not value:
        raise invalid(expected("an IANA time zone such as Europe/Berlin, or an offset such as +05:30", value))
    try:
        return Zone.parse(value)
    except ValueError:
        raise invalid(zone_advice(value)) from None


@lru_cache(maxsize=1024)  # a thousand orgs may share one mistake
def zone_advice(name: str) -> str:
    """Return the problem of a name that `Zone.parse` refused, and what would be right."""
    if found := LOOSE_OFFSET.fullmatch(name.strip()):
        return offset_advice(name, *found.groups())
    if zones := ABBREVIATIONS.get(name.upper()):
        return f"unknown time zone {shown(name, ZONE)}: an abbreviation is ambiguous; write {zones}, or ±HH:MM"
    folded = {zone.casefold(): zone for zone in sorted(zone_names())}
    wanted = re.sub(r"[\s-]+", "_", name.strip().casefold())
    cities = {zone.rpartition("/")[2]: zone for zone in reversed(folded)}
    if near := cities.get(wanted):
        return f"unknown time zone {shown(name, ZONE)}; did you mean {folded[near]}?"
    if close := difflib.get_close_matches(wanted, folded, n=1):
        return f"unknown time zone {shown(name, ZONE)}; did you mean {folded[close[0]]}?"
    return f"unknown time zone {shown(name, ZONE)}: write an IANA name such as Europe/Berlin, or ±HH:MM"


def offset_advice(name: str, sign: str | None, hours: str, minutes: str | None) -> str:
    """Return the problem of an offset that is nearly right, and the right form."""
    text = f"{sign or '+'}{int(hours):02}:{minutes or '00'}"
    if int(hours) * 60 + int(minutes or 0) > MAX_OFFSET.total_seconds() / 60 or int(minutes or 0) > 59:
        return f"offset {shown(name, ZONE)} is out of range: -14:00 to +14:00"
    if sign is None and not name.upper().startswith(("UTC", "GMT")):
        return f"unknown time zone {shown(name, ZONE)}; an offset needs a sign: write +{text[1:]} or -{text[1:]}"
    return f"unknown time zone {shown(name, ZONE)}; did you mean {text}?"
