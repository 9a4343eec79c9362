"""Names on a command line of a shell: read as they are typed, and written so that the shell reads them back."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.shell_words import Typed, for_bash

NAMES = st.text(st.characters(min_codepoint=32, exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")) | st.just(" "))
BREAKS = " \t\n\"'@><=;|&(:"  # bash's default


@given(NAMES)
def test_a_shell_reads_a_name_back(name: str) -> None:
    assert shlex.split(f"x{for_bash(name)}") == [f"x{name}"]
    assert shlex.split(f"x'{for_bash(name, chr(39))}'") == [f"x{name}"]
    assert Typed.of(f'x"{for_bash(name, chr(34))}" ').words == [f"x{name}"]  # shlex leaves `\\$` as it is


@given(st.lists(NAMES.filter(bool)), NAMES)
def test_words_are_read_as_the_shell_reads_them(words: list[str], last: str) -> None:
    line = "".join(f"{shlex.quote(word)} " for word in words)
    for typed in (for_bash(last), f"'{for_bash(last, chr(39))}", f'"{for_bash(last, chr(34))}'):
        read = Typed.of(line + typed, breaks=BREAKS)
        assert (read.words, read.word) == (words, last)


@pytest.mark.parametrize(
    ("line", "word", "quote", "fixed"),
    [
        ("c --org ", "", "", 0),
        ("c --org ac", "ac", "", 0),
        ("c --org 'acme: e", "acme: e", "'", 0),
        ('c --org "Düsseldorf \\$H', "Düsseldorf $H", '"', 0),
        ("c --org acme:\\ e", "acme: e", "", 5),
        ("c --org acme\\:\\ e", "acme: e", "", 0),
        ("c --org 'acme: 'e", "acme: e", "", 0),
        ("c --org=it\\'", "--org=it'", "", 6),
        ("c --org='acme: e", "--org=acme: e", "'", 6),
        ("c --by month,label:t", "month,label:t", "", 12),
        ("c --org 'it'\\''s", "it's", "'", 3),
        ("c --org back\\", "back", "", 0),
    ],
)
def test_readline_replaces_what_follows_an_open_quotation_mark_or_the_last_break(
    line: str, word: str, quote: str, fixed: int
) -> None:
    typed = Typed.of(line, breaks=BREAKS)
    assert (typed.word, typed.quote, typed.fixed) == (word, quote, fixed)


def test_fish_escapes_between_single_quotes_too() -> None:
    assert Typed.of(r"'it\'s", is_fish=True).word == "it's"
    assert Typed.of(r"'back\\slash", is_fish=True).word == "back\\slash"
    assert Typed.of(r"'a\b", is_fish=True).word == "a\\b"
