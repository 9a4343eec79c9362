"""How an org's rate backs off after a 429 without `Retry-After`, and how it recovers.

The API publishes no limits, so ours may be too high: the period of the org's rate limit is
stretched, doubled at each such answer and eased a little by each success.
"""

from __future__ import annotations

WIDEST = 32.0
_EASE = 0.9


def slow_down(stretch: float) -> float:
    """Return the next wider stretch of the period (1.0 is the configured one)."""
    return min(WIDEST, stretch * 2)


def recover(stretch: float) -> float:
    """Return the stretch after one more success."""
    return max(1.0, stretch * _EASE)
