"""Pydantic's errors as messages for the person who wrote the config.

Owns one message for every type of error: what is wrong, and what would be right. Never
uses pydantic's own text for a value, which may contain the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from collector.config.messages import ERROR_TYPE, NUMBER, KeyPath, expected, nearest, or_null, shown, unknown_key
from collector.config.secrets import KEYS
from collector.core.echo import WORD

HIDDEN = KEYS | {"url"}
WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
}
SHAPES = {"a whole number": NUMBER, "true or false": WORD}
CHOICES = ("enum", "literal_error")
BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}


def findings(
    error: ValidationError, model: type[BaseModel], *, more: Sequence[str] = (), null_is_off: bool = False
) -> Iterator[tuple[KeyPath, str]]:
    """Yield the path and the message of every problem.

    `more` are known keys of the top level that the model doesn't have. `null_is_off` is whether null means "off" for
    keys that may be null, not "as elsewhere".
    """
    for details in error.errors(include_url=False):
        loc: KeyPath = details["loc"]
        if loc and loc[-1] == "[key]":
            loc = loc[:-1]
        if details["type"] == "extra_forbidden":
            known = known_keys(model, loc[:-1], more)
            key, text = unknown_key(str(loc[-1]), known, has_value=details["input"] is not None)
            yield (*loc[:-1], key), text
        else:
            keys = details.get("ctx", {}).get("keys", ())
            off = or_null(details["input"]) if null_is_off and not keys and _may_be_null(model, loc) else ""
            yield (*loc, *keys[:1]), message_of(details, loc) + off


def _may_be_null(model: type[BaseModel], path: KeyPath) -> bool:
    annotation: object = model
    for step in path:
        kinds = (annotation, *get_args(annotation))
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None or str(step) not in inner.model_fields:
            return False
        annotation = inner.model_fields[str(step)].annotation
    return type(None) in get_args(annotation)


def message_of(details: ErrorDetails, loc: KeyPath) -> str:
    """Return the message for one value."""
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == ERROR_TYPE:
        return details["msg"]
    if kind == "missing":
        return f"needs {_article(str(loc[-1]))} `{loc[-1]}`"
    if kind in CHOICES:
        wanted: str = context["expected"]
        names = wanted.replace(" or ", ", ").replace("'", "").split(", ")
        near = nearest(value, names) if isinstance(value, str) else None
        return expected(wanted, value, WORD) + (f"; did you mean {near}?" if near else "")
    if kind in BOUNDS:
        word, bound = BOUNDS[kind]
        return f"must be {word} {context[bound]}, got {shown(value, NUMBER)}"
    if wanted := WANTED.get(kind, ""):
        may_be_secret = bool(loc) and loc[-1] in HIDDEN
        return f"expected {wanted}" if may_be_secret else expected(wanted, value, SHAPES.get(wanted))
    return "isn't valid here"


def known_keys(model: type[BaseModel], path: KeyPath, more: Sequence[str]) -> list[str]:
    """Return the keys that exist at a path, in the order of the documentation."""
    for step in path:
        if isinstance(step, int):
            continue  # an item of the list whose model was found by the step before
        annotation = model.model_fields[step].annotation
        inner = next((kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)), None)
        if inner is None or not issubclass(inner, BaseModel):
            return []
        model, more = inner, ()
    return [*(one.alias or name for name, one in model.model_fields.items()), *more]


def _article(key: str) -> str:
    return "an" if key[:1] in "aeio" else "a"
