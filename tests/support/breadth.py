"""How broad a test is in `make test`: some values of many, and all of them in `make test-all`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some_of(values: Iterable[Any], number: int) -> list[Any]:
    """Return parameters for all values; all but so many of them, spread evenly, are marked as slow."""
    every = list(values)
    kept = {index * len(every) // number for index in range(number)}
    return [one if index in kept else pytest.param(one, marks=pytest.mark.slow) for index, one in enumerate(every)]
