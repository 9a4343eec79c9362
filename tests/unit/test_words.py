"""Texts for people: nothing from outside steers a terminal."""

from __future__ import annotations

import pytest

from collector.adapters.text import duration, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Acme Corp", "Acme Corp"),
        ("Ünïcødé 株式会社", "Ünïcødé 株式会社"),
        ("evil\x1b[31mRED", "evil\\u001b[31mRED"),
        ("a\u202eb\u0000c\r\n", "a\\u202eb\\u0000c\\u000d\\u000a"),
        ("x" * 100, "x" * 80 + "…"),
    ],
)
def test_what_would_steer_a_terminal_is_made_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (42, "42 s"),
        (200, "3 min 20 s"),
        (7800, "2 h 10 min"),
        (97_200, "1 d 3 h"),
        (3600, "1 h"),
    ],
)
def test_durations_are_told_in_the_two_units_that_say_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text
