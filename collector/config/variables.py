"""Environment variables that look like settings and are none: a misspelt one is an error, never ignored.

Owns which `COLLECTOR_…` variables belong to others: those that Kubernetes makes for a service that is called
`collector`, and any that resemble no setting. No message contains a value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from pydantic_settings import BaseSettings

from collector.config.layers import PREFIX, is_list, leaves, section_paths, variable
from collector.config.messages import nearest
from collector.errors import Problem

_ORGS = f"{PREFIX}ORGS"
_MEANT = {f"{PREFIX}STATE": f"{PREFIX}STATE__URL", f"{PREFIX}OUTPUT": f"{PREFIX}OUTPUT__PATH"}  # instead of a section
OTHERS = ("COLLECTOR_CONFIG", "COLLECTOR_SHARDS")  # read by commands
_SERVICE = re.compile(
    rf"{PREFIX}(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
_LETTERS = 2  # so many letters may be wrong, missing or too many in a misspelt name


def misspelt(
    settings_cls: type[BaseSettings], environ: Mapping[str, str], *, theirs: Collection[str] = ()
) -> Iterator[Problem]:
    """Yield a problem for every variable that is meant as a setting and isn't one.

    `theirs` are the variables that the orgs name for their secrets.
    """
    known = {variable(path): is_list(field_info) for path, field_info in leaves(settings_cls)}
    scalars = [name for name, a_list in known.items() if not a_list]
    sections = [variable(path) for path in section_paths(settings_cls)]
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        if name in scalars or name in OTHERS or name in theirs:
            continue
        if name == _ORGS or name in known:
            yield Problem(path=name, message="a list is set in the file, not by a variable")
        elif name in sections or name.startswith(tuple(f"{one}__" for one in sections)):
            yield Problem(path=name, message=_unknown(name, scalars, sections))
        elif _SERVICE.fullmatch(name):
            continue
        elif meant := next((one for one in scalars if _joined(one) == _joined(name)), None):
            yield Problem(
                path=name, message=f"is no setting: {meant} is meant, with two underscores after each section"
            )
        elif meant := _like(name, [*scalars, *OTHERS]):
            yield Problem(path=name, message=f"is no setting; did you mean {meant}?")


def _unknown(name: str, scalars: Collection[str], sections: Collection[str]) -> str:
    """Return the message for a variable that begins with a section."""
    if name in _MEANT:
        return f"is no setting: {_MEANT[name]} is meant"
    if name in sections:
        first = next((one for one in scalars if one.startswith(f"{name}__")), None)
        return f"only the keys of a section have variables{f', such as {first}' if first else ''}"
    near = nearest(name, scalars)
    return f"there is no such setting{f'; did you mean {near}?' if near else ''}"


def _joined(name: str) -> str:
    return name.replace("__", "_")


def _like(name: str, known: Collection[str]) -> str | None:
    """Return the most similar known name, if at most two letters differ."""
    distance, found = min((_distance(name, one), one) for one in known)
    return found if distance <= _LETTERS else None


def _distance(one: str, other: str) -> int:
    """Return how many letters have to be changed, added or removed to get from one text to the other."""
    row = list(range(len(other) + 1))
    for n, letter in enumerate(one, 1):
        before, row[0] = row[0], n
        for m, other_letter in enumerate(other, 1):
            before, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, before + (letter != other_letter))
    return row[-1]
