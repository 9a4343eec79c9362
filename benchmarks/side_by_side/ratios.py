"""What is compared: each ratio is of two contenders in the same turn; the median of all turns counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.side_by_side.turns import Turn

PEERS = ("dlt", "singer", "airbyte")
Quantity = Callable[[Turn], float]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio in each turn, with the bound of its median."""

    what: str
    values: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def kept(self) -> bool:
        """Whether the median is within the bound."""
        low, high = self.at_least or 0.0, self.at_most or float("inf")
        return low <= self.median <= high

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    @property
    def spread(self) -> str:
        return f"{min(self.values):.2f} to {max(self.values):.2f}"

    def __str__(self) -> str:
        bound = f"; target {self.target}: {'kept' if self.kept else 'MISSED'}" if self.target else ""
        return f"{self.what}: {self.median:.2f} ({self.spread}){bound}"


def rate(turn: Turn) -> float:
    return turn.slices / turn.seconds


def cpu_of_slice(turn: Turn) -> float:
    return turn.cpu_s / turn.slices


def cpu(turn: Turn) -> float:
    return turn.cpu_s


def medians(turns: Sequence[Turn], quantity: Quantity) -> dict[str, float]:
    """Return the median of each contender."""
    names = dict.fromkeys(turn.contender for turn in turns)
    return {name: median(quantity(turn) for turn in turns if turn.contender == name) for name in names}


def best_peer(turns: Sequence[Turn]) -> str | None:
    """Return the fastest of the other tools that took part."""
    rates = medians([turn for turn in turns if turn.contender in PEERS], rate)
    return max(rates, key=lambda name: rates[name], default=None)


def ratios(turns: Sequence[Turn]) -> list[Ratio]:
    """Return the ratios whose contenders took part."""
    return [ratio for ratio in _all(turns) if ratio.values]


def _all(turns: Sequence[Turn]) -> Iterator[Ratio]:
    def of(quantity: Quantity, name: str, other: str) -> list[float]:
        by_turn = {(turn.contender, turn.turn): turn for turn in turns}
        both = [n for contender, n in by_turn if contender == name and (other, n) in by_turn]
        return [quantity(by_turn[name, n]) / quantity(by_turn[other, n]) for n in both]

    yield Ratio(
        what="slices/s: with files and ledger, to the bare loop", values=of(rate, "collector", "bare"), at_least=0.65
    )
    yield Ratio(
        what="CPU per slice: with files and ledger, to the bare loop",
        values=of(cpu_of_slice, "collector", "bare"),
        at_most=1.5,
    )
    yield Ratio(what="slices/s: with files only, to the bare loop", values=of(rate, "no-ledger", "bare"))
    yield Ratio(what="CPU per slice: with files only, to the bare loop", values=of(cpu_of_slice, "no-ledger", "bare"))
    if (best := best_peer(turns)) is not None:
        yield Ratio(what=f"slices/s: to the best peer, {best}", values=of(rate, "collector", best), at_least=6)
    for name, command in {"version": "--version", "help": "--help", "usage-error": "a usage error"}.items():
        yield Ratio(what=f"CPU: {command}, to `python -c pass`", values=of(cpu, name, "pass"), at_most=8)
    for name, what in {
        "check-help": "CPU: check --help",
        "status": "CPU: status",
        "nothing-due": "CPU: collect with nothing due",
    }.items():
        yield Ratio(what=f"{what}, to before", values=of(cpu, name, f"{name}-before"))
    for quantity, what in ((rate, "slices/s"), (cpu_of_slice, "CPU per slice")):
        yield Ratio(
            what=f"{what}: with files and ledger, to before", values=of(quantity, "collector", "collector-before")
        )
