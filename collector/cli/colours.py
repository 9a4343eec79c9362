"""Colours of states, as the status page has them, in the colours of a terminal. A state's word or mark stands beside.

A terminal has its own palette for light and dark; so these are names, not values.
"""

from __future__ import annotations

from collections.abc import Mapping

COLOURS: Mapping[str, str] = {  # by the state, of a window or of a slice
    "complete": "green",
    "unverified": "cyan",
    "in_doubt": "bright_blue",  # many terminals have a blue that can't be read on black
    "partial": "yellow",
    "failed": "red",
    "refused": "magenta",
    "missing": "red",
    "not_asked": "red",
}
