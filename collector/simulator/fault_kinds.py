"""The kinds of faults: an example, a meaning, how the value is parsed, and the options of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.simulator.durations import parse_duration


class FaultError(ValueError):
    """A text is not a valid fault. The message says what is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The value of a fault, after the equals sign. Each kind uses one or two of the fields."""

    probability: float = 1.0
    duration_s: float = 0.0
    percent: int = 100
    choice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault: how its value is parsed, and its options besides first and after."""

    example: str
    meaning: str
    read: Callable[[str | None], Value]
    options: frozenset[str] = frozenset()


def _probability(text: str | None) -> Value:
    try:
        number = 1.0 if text is None else float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise FaultError(f"{text!r} is not a probability from 0 to 1")
    return Value(probability=number)


def _duration(default: str | None = None) -> Callable[[str | None], Value]:
    def read(text: str | None) -> Value:
        seconds = parse_duration(text or default or "")
        if seconds is None:
            raise FaultError(f"{text or ''!r} is not a duration with a unit, such as 200ms, 20s or 30d")
        return Value(duration_s=seconds)

    return read


def _late(text: str | None) -> Value:
    duration, _, share = (text or "3d:0.7").partition(":")
    return Value(
        duration_s=_duration()(duration).duration_s,
        percent=round(_probability(share or "0.7").probability * 100),
    )


def _choice(*choices: str) -> Callable[[str | None], Value]:
    def read(text: str | None) -> Value:
        if text is not None and text not in choices:
            raise FaultError(f"{text!r} is not one of {', '.join(choices)}")
        return Value(choice=text or choices[-1])

    return read


def _nothing(text: str | None) -> Value:
    if text is not None:
        raise FaultError("it takes no value")
    return Value()


def _org(text: str | None) -> Value:
    if not text:
        raise FaultError("it requires the name of an org")
    return Value(choice=text)


BODIES = ("json", "html", "empty")
GROUPS = {
    "automation": ("automation", "app-automation", "hyperexecute", "realtime"),
    "realdevice": ("realdevice",),
    "smartui": ("smartui",),
}
_STATUS_OPTIONS = frozenset({"body", "retry-after"})


def _status(meaning: str, example: str) -> Kind:
    return Kind(example=example, meaning=meaning, read=_probability, options=_STATUS_OPTIONS)


KINDS: dict[str, Kind] = {
    "latency": Kind(example="latency=200ms", meaning="the answer is delayed", read=_duration()),
    "429": _status("too many requests", "429=0.2,retry-after=2"),
    "500": _status("failed to resolve org users", "500=0.1"),
    "502": _status("bad gateway", "502=0.1,body=html"),
    "503": _status("service unavailable", "503=1,first=2"),
    "504": _status("gateway timeout", "504=0.1"),
    "reset": Kind(example="reset=0.1", meaning="the connection is reset", read=_probability),
    "slow-body": Kind(
        example="slow-body=5s", meaning="headers at once, then the body piece by piece", read=_duration("5s")
    ),
    "truncate": Kind(example="truncate=0.1", meaning="the body is shorter than Content-Length", read=_probability),
    "garbage": Kind(example="garbage=0.1", meaning="status 200 with HTML", read=_probability),
    "partial": Kind(
        example="partial=once",
        meaning="a group of products is missing: once, often, always",
        read=_choice("once", "often", "always"),
        options=frozenset({"group"}),
    ),
    "refused": Kind(example="refused", meaning="401, credential refused", read=_nothing),
    "not-admin": Kind(example="not-admin", meaning="403, admin access required", read=_nothing),
    "no-permission": Kind(example="no-permission", meaning="403, the role has no permission", read=_nothing),
    "late": Kind(example="late=3d:0.7", meaning="usage of the last 3 days is counted at 70 %", read=_late),
    "range-end": Kind(
        example="range-end=exclusive", meaning="the second of `to` is not included", read=_choice("exclusive")
    ),
    "not-additive": Kind(example="not-additive", meaning="counts of parts don't add up to the whole", read=_nothing),
    "retention": Kind(example="retention=30d", meaning="older usage is zero", read=_duration("30d")),
    "same-types": Kind(example="same-types", meaning="each type returns the sum of both", read=_nothing),
    "same-as": Kind(example="same-as=org-002", meaning="the credential answers as another org", read=_org),
    "extra-product": Kind(example="extra-product", meaning="adds an undocumented product and metric", read=_nothing),
}
