"""Where an exception came from, as it is logged: a place of ours, wherever the project is installed."""

from __future__ import annotations

from typing import Any

import pytest

import collector.core.ranges
from collector.core.ranges import Moment
from collector.errors import place_of

LIBRARY = "/home/someone/usage-collector/.venv/lib/python3.11/site-packages/library.py"


def test_a_library_in_a_folder_that_is_called_like_us_is_no_place_of_ours() -> None:
    """The README's clone is such a folder: its `.venv` counted as ours."""
    call: dict[str, Any] = {}
    exec(compile("def call(text):\n    text.nothing\n", LIBRARY, "exec"), call)  # noqa: S102
    parse = compile("def parse(call):\n    call('')\n", collector.core.ranges.__file__, "exec")
    exec(parse, call)  # noqa: S102
    with pytest.raises(AttributeError) as caught:
        call["parse"](call["call"])
    assert place_of(caught.value) == "core/ranges.py:2 in parse"


def test_it_is_the_innermost_one() -> None:
    with pytest.raises(ValueError, match="not a date") as caught:
        Moment.parse("no date")
    assert place_of(caught.value).startswith("core/ranges.py:")
