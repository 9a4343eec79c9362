"""Writes docs/performance.md's tables between its two markers, and its picture beside it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.side_by_side.contenders import PEERS, ROOT
from benchmarks.side_by_side.contenders.peers import python_of
from benchmarks.side_by_side.ratios import cpu_of_slice, medians, rate, ratios
from benchmarks.side_by_side.server import nginx
from benchmarks.side_by_side.turns import Results, Turn

DOCUMENT = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
_BEGIN, _END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
_DRAW = PEERS / "picture.py"


def write_report(results: Results, titles: Mapping[str, str], python: str) -> None:
    """Put the measured numbers into the document."""
    text = DOCUMENT.read_text()
    before, after = text[: text.index(_BEGIN)], text[text.index(_END) :]
    measured = "\n".join(_measured(results, titles, python))
    DOCUMENT.write_text(f"{before}{_BEGIN}{measured}\n{after}")
    _draw(results.turns, titles)


def _measured(results: Results, titles: Mapping[str, str], python: str) -> Iterator[str]:
    turns, about = results.turns, results.about
    slices = max((turn.slices for turn in turns if turn.contender in {"bare", "collector"}), default=0)
    yield f"{max(turn.turn for turn in turns)} turns, {slices:,} slices each ({about['orgs']} orgs, 2 populations, "
    yield f"{about['days']} days), {about['concurrency']} requests in flight. {_versions(python)}"
    yield "\n| who | slices/s | CPU per slice, ms | connections |\n|---|---:|---:|---:|"
    for name, title in titles.items():
        own = [turn for turn in turns if turn.contender == name]
        if own and own[0].slices:
            rates, spent = [rate(turn) for turn in own], [cpu_of_slice(turn) * 1e3 for turn in own]
            yield f"| {title} | {_spread(rates, ',.0f')} | {_spread(spent, '.3f')} | {own[0].connections} |"
    yield "\n| ratio, turn by turn | median (lowest to highest) | target |\n|---|---:|---:|"
    for ratio in ratios(turns):
        yield f"| {ratio.what} | {_spread(ratio.values, '.2f')} | {ratio.target} |"
    yield "\n| command | CPU, ms | elapsed, ms |\n|---|---:|---:|"
    for name, title in titles.items():
        own = [turn for turn in turns if turn.contender == name]
        if own and not own[0].slices:
            suffix = " before" if name.endswith("-before") else ""
            spent, elapsed = [turn.cpu_s * 1e3 for turn in own], [turn.seconds * 1e3 for turn in own]
            yield f"| {title}{suffix} | {_spread(spent, '.0f')} | {_spread(elapsed, '.0f')} |"


def _spread(values: Sequence[float], form: str) -> str:
    middle = sorted(values)
    low, high = format(middle[0], form), format(middle[-1], form)
    return f"{format(_median(middle), form)} ({low} to {high})"


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _versions(python: str) -> str:
    revision = _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "an unknown revision"
    own = _said(
        python, "-c", "import sys, aiohttp; print(f'Python {sys.version.split()[0]}, aiohttp {aiohttp.__version__}')"
    )
    server = re.search(r"nginx/[\d.]+", _said(nginx() or "nginx", "-v") or "")
    wrk = re.search(r"wrk [\w.]+", _said("wrk", "-v") or "")
    found = [
        own,
        server and server[0].replace("/", " "),
        wrk and wrk[0],
        *map(_pinned, ("dlt", "singer-sdk", "airbyte-cdk")),
    ]
    day = datetime.now(UTC).date()  # noqa: TID251 - a benchmark has no port for the clock
    return (
        f"Measured on {day} at {revision}, with {', '.join(filter(None, found))}, "
        f"on {os.cpu_count()} cores of {_processor()}, Linux {platform.release().split('-')[0]}."
    )


def _pinned(package: str) -> str | None:
    for file in PEERS.glob("*.txt"):
        if found := re.search(rf"^{package}==(\S+)", file.read_text(), re.MULTILINE):
            return f"{package} {found[1]}"
    return None


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def _draw(turns: Sequence[Turn], titles: Mapping[str, str]) -> None:
    fetching = [turn for turn in turns if turn.slices and turn.contender != "wrk"]
    rates, spent = medians(fetching, rate), medians(fetching, cpu_of_slice)
    bars = [
        {
            "name": titles[name],
            "rate": rates[name],
            "cpu_ms": spent[name] * 1e3,
            "ours": name in {"collector", "no-ledger"},
        }
        for name in titles
        if name in rates and not name.endswith("-before")
    ]
    subprocess.run([python_of("picture"), _DRAW, PICTURE], input=json.dumps(bars), text=True, check=True)
