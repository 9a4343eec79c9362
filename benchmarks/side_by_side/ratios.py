"""What is compared: each ratio is of two contenders in the same turn; the median of all turns counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.side_by_side.turns import Turn


@dataclass(frozen=True)
class Ratio:
    """A ratio in each turn, with the bound that its median has to keep."""

    what: str
    values: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def kept(self) -> bool:
        return (self.at_least is None or self.median >= self.at_least) and (
            self.at_most is None or self.median <= self.at_most
        )

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    def __str__(self) -> str:
        spread = f"{self.median:.2f} ({min(self.values):.2f} to {max(self.values):.2f})"
        return f"{self.what}: {spread}" + (f"; target {self.target}" if self.target else "")


def rate(turn: Turn) -> float:
    return turn.slices / turn.seconds


def cpu(turn: Turn) -> float:
    return turn.cpu_s / turn.slices


def ratios(turns: Sequence[Turn]) -> list[Ratio]:
    """Return the ratios whose contenders took part."""
    found = [
        _ratio("slices/s, collector : bare loop", rate, "collector", "bare", turns, at_least=0.65),
        _ratio("CPU per slice, collector : bare loop", cpu, "collector", "bare", turns, at_most=1.5),
        _ratio("slices/s, without a ledger : bare loop", rate, "no-ledger", "bare", turns),
        _ratio("CPU per slice, without a ledger : bare loop", cpu, "no-ledger", "bare", turns),
    ]
    return [ratio for ratio in found if ratio.values]


def _ratio(
    what: str,
    of: Callable[[Turn], float],
    name: str,
    other: str,
    turns: Sequence[Turn],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Ratio:
    by_turn = {(turn.contender, turn.turn): of(turn) for turn in turns}
    both = sorted(n for contender, n in by_turn if contender == name and (other, n) in by_turn)
    return Ratio(what, [by_turn[name, n] / by_turn[other, n] for n in both], at_least, at_most)
