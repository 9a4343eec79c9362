"""The orgs that the config no longer has, as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.adapters.text import shell_word
from collector.service.view import Observed
from collector.service.web.text import When, name_text, when

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRow:
    """One of them."""

    name: str
    since: When


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The first ones, how many more there are, and what a person runs who means it."""

    orgs: Sequence[RemovedRow]
    more: int
    command: str


def removed(seen: Observed, *, now: datetime) -> Removed | None:
    """Return what is shown of them; None if there are none."""
    if not seen.removed:
        return None
    shown = seen.removed[:_SHOWN]
    return Removed(
        orgs=[
            RemovedRow(name=name_text(one.name), since=when(one.since, now=now, zone=seen.timezone)) for one in shown
        ],
        more=len(seen.removed) - len(shown),
        command=f"{seen.invocation.forget} {' '.join(shell_word(one.name) for one in shown)}",
    )
