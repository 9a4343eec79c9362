"""How long a plan takes at least, at the configured limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The least time, in seconds, of each org by itself and of all together."""

    org_seconds: tuple[float, ...]
    seconds: float


def estimate(requests: Sequence[int], *, rate: tuple[int, float], org_rate: tuple[int, float]) -> Estimate:
    """Return the least time for so many requests of each org.

    A rate is (requests, period in seconds). A full window's worth leaves at once, so n
    requests take (n - 1) // limit periods; the whole takes as long as its slowest part.
    """
    org_seconds = tuple(_seconds(n, *org_rate) for n in requests)
    return Estimate(org_seconds=org_seconds, seconds=max(_seconds(sum(requests), *rate), *org_seconds, 0.0))


def _seconds(requests: int, limit: int, period_s: float) -> float:
    return max(0, requests - 1) // limit * period_s
