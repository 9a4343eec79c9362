"""A state has one colour, on the page and at a terminal, and a mark by which it is known without."""

from __future__ import annotations

import colorsys
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

import collector
from collector.adapters.logs import has_colours
from collector.cli.colours import COLOURS
from collector.cli.status_table import STATES
from collector.core.org_coverage import COUNTED
from collector.model import SliceState

CSS = Path(collector.__file__).parent / "service" / "web" / "static" / "page.css"
HUES = {  # degrees
    "red": range(-20, 20),
    "yellow": range(20, 60),
    "green": range(140, 180),
    "cyan": range(180, 205),
    "bright_blue": range(205, 240),
    "magenta": range(265, 320),
}


def themes() -> list[dict[str, str]]:
    """Return the page's colours of states, in light and in dark."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", CSS.read_text()):
        found[name.replace("-", "_")].append(value)
    return [{state: found[state][n] for state in COUNTED} for n in range(2)]


def hue(value: str) -> float:
    red, green, blue = (int(value[n : n + 2], 16) / 255 for n in (1, 3, 5))
    degrees = colorsys.rgb_to_hsv(red, green, blue)[0] * 360
    return degrees - 360 if degrees > 340 else degrees


def alike(colours: dict[str, str]) -> set[frozenset[str]]:
    """Return which states share a colour."""
    shared: dict[str, set[str]] = defaultdict(set)
    for state in COUNTED:
        shared[colours[state]].add(state)
    return set(map(frozenset, shared.values()))


def test_states_have_the_colours_of_the_page() -> None:
    for theme in themes():
        assert alike(theme) == alike(dict(COLOURS))
        wrong = {state: value for state, value in theme.items() if int(hue(value)) not in HUES[COLOURS[state]]}
        assert wrong == {}


def names(states: Iterable[str]) -> set[str]:
    return set(map(str, states))


def test_each_state_has_a_colour_and_a_mark_of_its_own() -> None:
    assert names(COLOURS) == names(COUNTED) | names(SliceState)
    marks = [mark for mark, _ in STATES.values()]
    assert names(STATES) == names(COUNTED)
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, False),
    ],
)
def test_the_log_has_colours_as_the_tables_have(environ: dict[str, str], expected: bool) -> None:
    assert has_colours(io.StringIO(), environ) is expected
