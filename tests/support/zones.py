"""One zone by two versions of the tz database: its clocks go back on 1 November, and in the other they don't."""

from __future__ import annotations

from dataclasses import replace

from collector.model import Zone

_VANCOUVER = "America/Vancouver"
# From 1 November 2026 on at -08:00, and the whole year at -07:00 (its summer time). The same until then, from March on.
OLD_RULES = replace(Zone.parse("America/Los_Angeles"), name=_VANCOUVER, rules="2025b 0123456789abcdef")
NEW_RULES = replace(Zone.parse("America/Phoenix"), name=_VANCOUVER, rules="2026f fedcba9876543210")
