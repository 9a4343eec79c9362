"""A guard of the collector that is taken out. It patches the collector from outside, and only while a seed runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

Patch = AbstractContextManager[Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A guard that is taken out, and the invariants of which one must be found broken (whichever is met first)."""

    name: str
    breaks: Collection[str]
    patches: Callable[[], Sequence[Patch]]

    def __str__(self) -> str:
        return self.name

    def applied(self) -> ExitStack:
        """Take the guard out for as long as the context lasts."""
        with ExitStack() as stack:
            for one in self.patches():
                stack.enter_context(one)
            return stack.pop_all()


def nothing(*_: object, **__: object) -> None:
    return None
