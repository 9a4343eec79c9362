"""The parts that messages about the config share.

Owns how a value, a path and a nearest name are shown. Never decides what is a problem. People paste a secret
into any key, so a value is shown only if it has the shape of what the key expects; else its kind and length are.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pydantic_core import PydanticCustomError

from collector.core.echo import echo

Step = str | int


class Hidden(str):
    """A key that messages don't show, as it may be a secret."""

    __slots__ = ()


KeyPath = tuple[Step, ...]

ERROR_TYPE = "collector_config"  # errors with a message of our own, not pydantic's
PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SHOWN_KEY = re.compile(r"[A-Za-z][a-z]{0,15}(?:[_-][a-z]{1,15}){0,3}")  # looks like a key, not like a secret
SYNONYMS = {"password": "access_key", "secret": "access_key", "key": "access_key", "api_key": "access_key"}
SECRET_KEY = re.compile("username|access_key|token")
# Near the shape of a type, and too short or too plain for a credential.
NUMBER = re.compile(r"[+-]?[0-9]{1,7}(?:[.,][0-9]{0,6})?")
AMOUNT = re.compile(r"[+-]?[0-9]{1,6}(?:[.,][0-9]{1,6})?(?: ?[A-Za-z]{1,8})?")
DAY = re.compile(r"[0-9]{1,4}(?:[./ -][0-9]{1,4}){2}")
ZONE = re.compile(
    r"(?=.{1,32}\Z)(?:[A-Za-z]{1,14}(?:[_/ -][A-Za-z]{1,14}){0,3}(?:[+-][0-9]{1,2})?|(?:UTC|GMT)?[+-]?[0-9:]{1,5})",
    re.IGNORECASE,
)
FIELD = r"(?:[0-9*,/-]{1,8}|[A-Za-z]{3}(?:[,-][A-Za-z]{3})*)"
FIELDS = re.compile(rf"@[a-z]{{1,8}}|{FIELD}(?: +{FIELD}){{0,6}}")
OFF = frozenset({"off", "false", "no", "none", "never", "disabled"})
UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000))


def shown(value: object, shape: re.Pattern[str] | None = None) -> str:
    """Return a value as messages show it: text as it is only if it has that shape, else its length."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, timedelta):
        return duration_text(value)
    text = str(value)
    if SECRET_KEY.search(text):  # YAML may have joined the next line, with its secret, to this value
        return "text with the name of a secret in it"
    return echo(text, shape)


def expected(what: str, value: object, shape: re.Pattern[str] | None = None) -> str:
    """Return the usual message: the expected value, and the given one."""
    return f"expected {what}, got {shown(value, shape)}"


def says_off(value: object) -> bool:
    """Return whether a value is a word with which people switch things off."""
    return isinstance(value, str | bool) and str(value).casefold() in OFF


def or_null(value: object) -> str:
    """Return what to add to a message about a key that null switches off: nothing, unless the value means that."""
    return "; to switch it off, write null" if says_off(value) else ""


def invalid(message: str, *keys: str) -> PydanticCustomError:
    """Return the error for a validator to raise; `keys` are the section's keys that it is about."""
    return PydanticCustomError(ERROR_TYPE, "{message}", {"message": message, "keys": keys})


def dotted(path: Sequence[Step]) -> str:
    """Return a path as `orgs[3].labels.team`; keys that aren't plain words are left out."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif PLAIN_KEY.fullmatch(step) and not isinstance(step, Hidden):
            text += f".{step}" if text else step
        else:
            text += "[…]"
    return text


def duration_text(value: timedelta) -> str:
    """Return a duration in the largest unit without a fraction, as it is written in the config."""
    microseconds = value // timedelta(microseconds=1)
    for unit, size in UNITS:
        if microseconds and microseconds % size == 0:
            return f"{microseconds // size}{unit}"
    return f"{value.total_seconds():g}s"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like the given one, if any is."""
    return next(iter(near_to(name, known, most=1)), None)


def near_to(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Return the known names that are like the given one, the most similar first."""
    folded = {key.casefold().replace("-", "_"): key for key in known}
    found = difflib.get_close_matches(name.casefold().replace("-", "_"), folded, n=most, cutoff=0.6)
    return [folded[key] for key in found]


def unknown_key(key: str, known: Sequence[str], *, has_value: bool) -> tuple[Step, str]:
    """Return the key, hidden if it may be a secret, and a message with the keys that exist.

    A key that isn't a plain word (`{token:abc}` lacks a space and is one long key) or has no
    value (`{token, abc}`) may contain a secret: only the part that is a known key is shown.
    """
    choice = f"known here: {', '.join(known)}"
    if not PLAIN_KEY.fullmatch(key):
        start = re.match(r"[A-Za-z_]+", key)
        if start and start[0] in known:
            return Hidden(key), f"`{start[0]}` must be followed by a `:` and a space"
        return Hidden(key), f"unknown key (not shown, as it may be a secret); {choice}"
    synonym = SYNONYMS.get(key)
    near = synonym if synonym in known else nearest(key, known)
    if not near and not has_value:
        return Hidden(key), f"unknown key without a value (not shown, as it may be a secret); {choice}"
    if not near and not SHOWN_KEY.fullmatch(key):
        return Hidden(key), f"unknown key (not shown, as it may be a secret); {choice}"
    return key, f"unknown key `{key}`; " + (f"did you mean `{near}`?" if near else choice)
