"""How an org's rate slows down after a 429 without `Retry-After`, and how it recovers.

The API publishes no limits, so ours may be too high. The period of the org's rate limit is
multiplied by a stretch: each such answer doubles it, and each success makes it a little smaller.
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
