"""The shortest time that a plan can take at the configured limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The shortest time, in seconds, for each org by itself and for all together."""

    org_seconds: tuple[float, ...]
    seconds: float


def estimate(requests: Sequence[int], *, rate: tuple[int, float], org_rate: tuple[int, float]) -> Estimate:
    """Return the shortest time for these numbers of requests, one number for each org.

    A rate is (requests, period in seconds). All requests of a period can be sent at once, so n
    requests take (n - 1) // limit periods. The whole takes as long as its slowest part.
    """
    org_seconds = tuple(_seconds(n, *org_rate) for n in requests)
    return Estimate(org_seconds=org_seconds, seconds=max(_seconds(sum(requests), *rate), *org_seconds, 0.0))


def _seconds(requests: int, limit: int, period_s: float) -> float:
    return max(0, requests - 1) // limit * period_s
