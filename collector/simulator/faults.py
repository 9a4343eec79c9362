"""The syntax of faults: `PATTERN:KIND[=VALUE][,OPTION=VALUE…]`.

Owns the grammar and the messages for syntax errors; `fault_kinds` has the kinds. Applies nothing:
`fault_script` decides which faults a request has, `endpoint` and `answer` apply them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from collector.simulator.fault_kinds import BODIES, GROUPS, KINDS, FaultError, Value

_COMMON = ("first", "after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, parsed."""

    text: str
    pattern: str
    kind: str
    value: Value
    body: str | None = None  # json, html, empty
    retry_after: str | None = None  # seconds, or "date"
    group: str | None = None  # the product group that is missing in a partial answer
    first: int | None = None  # applies to the first so many requests of an org
    after: int = 0  # doesn't apply to the first so many requests of an org

    def applies_to(self, org: str) -> bool:
        """Return whether the pattern matches that org."""
        return fnmatchcase(org, self.pattern)


def parse_fault(text: str) -> Fault:
    """Parse a fault. Raises FaultError, whose message says what is valid."""
    pattern, colon, rest = text.partition(":")
    if not colon or not pattern.strip() or not rest.strip():
        raise FaultError(f"{text!r} is not a fault: write PATTERN:KIND[=VALUE][,OPTION=VALUE...]; {kinds_line()}")
    first, *others = (part.strip() for part in rest.split(","))
    name, value = _split(first)
    kind = KINDS.get(name)
    if kind is None:
        raise FaultError(f"{text!r}: unknown kind {name!r}{_nearest(name, KINDS)}; {kinds_line()}")
    options = dict(_split(other) for other in others)
    for option in options:
        known = sorted({*_COMMON, *kind.options})
        if option not in known:
            raise FaultError(
                f"{text!r}: unknown option {option!r}{_nearest(option, known)}; {name} has {', '.join(known)}"
            )
    try:
        first_requests, after = _count("first", options), _count("after", options) or 0
        if first_requests is not None and first_requests <= after:
            raise FaultError(
                "first and after both count from the first request, so these apply to none: first must be larger"
            )
        return Fault(
            text=text,
            pattern=pattern.strip(),
            kind=name,
            value=kind.read(value),
            body=_one_of("body", options, BODIES),
            retry_after=_retry_after(options),
            group=_one_of("group", options, GROUPS),
            first=first_requests,
            after=after,
        )
    except FaultError as error:
        raise FaultError(f"{text!r}: {error}; write it like PATTERN:{kind.example}") from None


def kinds_line() -> str:
    """Return the names of all kinds, for messages."""
    return f"kinds are {', '.join(KINDS)}"


def _split(part: str) -> tuple[str, str | None]:
    name, equals, value = part.partition("=")
    return name.strip(), value.strip() if equals else None


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _one_of(option: str, options: dict[str, str | None], choices: Iterable[str]) -> str | None:
    if option not in options:
        return None
    choice = options[option] or ""
    if choice not in choices:
        raise FaultError(f"{option} must be one of {', '.join(choices)}")
    return choice


def _retry_after(options: dict[str, str | None]) -> str | None:
    text = options.get("retry-after")
    if "retry-after" in options and not (text == "date" or (text and text.isascii() and text.isdigit())):
        raise FaultError("retry-after must be a number of seconds, or date")
    return text


def _count(option: str, options: dict[str, str | None]) -> int | None:
    if option not in options:
        return None
    text = options[option] or ""
    if not (text.isascii() and text.isdigit()):
        raise FaultError(f"{option} must be a number of requests")
    return int(text)
