"""What the numbers of `make compare` mean: ratios within a turn, their medians, what is kept for the next run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.side_by_side import server
from benchmarks.side_by_side.ratios import Ratio, best_peer, ratios
from benchmarks.side_by_side.report import tables
from benchmarks.side_by_side.turns import Results, Turn


def turn(contender: str, n: int, *, seconds: float, cpu_s: float = 1.0, slices: int = 100) -> Turn:
    return Turn(
        contender=contender, turn=n, slices=slices, seconds=seconds, cpu_s=cpu_s, requests=slices, connections=2
    )


def test_a_ratio_compares_two_contenders_of_the_same_turn() -> None:
    # The machine was ten times slower in the second turn: the ratio is the same.
    turns = [turn("bare", 1, seconds=1), turn("bare", 2, seconds=10)]
    turns += [turn("collector", 1, seconds=2), turn("collector", 2, seconds=20), turn("collector", 3, seconds=1)]
    speed, *_ = ratios(turns)
    assert speed.values == [0.5, 0.5]


def test_the_median_of_a_ratio_must_keep_its_bound() -> None:
    assert Ratio(what="", values=[0.1, 0.7, 0.9], at_least=0.65).kept
    assert not Ratio(what="", values=[0.1, 0.6, 0.9], at_least=0.65).kept
    assert Ratio(what="", values=[1.0, 1.5, 9.0], at_most=1.5).kept
    assert not Ratio(what="", values=[1.0, 1.6, 1.7], at_most=1.5).kept
    assert Ratio(what="", values=[100.0]).kept


def test_the_best_peer_is_the_one_with_the_fastest_median() -> None:
    turns = [turn("dlt", n, seconds=seconds) for n, seconds in enumerate([1, 9, 9])]
    turns += [turn("singer", n, seconds=8) for n in range(3)]
    assert best_peer([*turns, turn("bare", 1, seconds=1)]) == "singer"
    assert best_peer([turn("bare", 1, seconds=1)]) is None


def test_an_interrupted_run_goes_on_from_the_turns_in_its_file(tmp_path: Path) -> None:
    file, kept = tmp_path / "new" / "turns", turn("bare", 1, seconds=1)
    Results(file, {"orgs": 2}).add(kept)
    assert Results(file, {"orgs": 2}).turns == [kept]
    assert Results(file, {"orgs": 2}).has("bare", 1)
    assert not Results(file, {"orgs": 2}).has("bare", 2)


def test_turns_of_another_job_are_not_mixed_in(tmp_path: Path) -> None:
    Results(tmp_path / "turns", {"orgs": 2}).add(turn("bare", 1, seconds=1))
    assert Results(tmp_path / "turns", {"orgs": 3}).turns == []
    assert Results(tmp_path / "turns", {"orgs": 3}).turns == []


def test_the_tables_have_who_took_part_with_median_and_spread() -> None:
    turns = [turn("bare", n, seconds=n, cpu_s=n / 10) for n in (1, 2, 4)]
    turns += [turn("pass", 1, seconds=0.012, cpu_s=0.01, slices=0)]
    written = tables(turns, {"bare": "bare loop", "pass": "`python -c pass`", "dlt": "dlt"}).splitlines()
    assert "| bare loop | 50 (25 to 100) | 2.000 (1.000 to 4.000) | 2 |" in written
    assert "| `python -c pass` | 10 (10 to 10) | 12 (12 to 12) |" in written
    assert not any("dlt" in line for line in written)


def test_what_is_not_installed_is_named_as_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    monkeypatch.setattr(server, "SBIN", str(tmp_path))
    monkeypatch.setattr(server, "MODULE", tmp_path / "absent.so")
    told = server.missing()
    assert told is not None
    assert told.endswith("apt-get install nginx libnginx-mod-http-set-misc wrk")
