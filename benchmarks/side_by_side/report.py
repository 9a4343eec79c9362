"""Writes docs/performance.md's tables between its two markers, and its picture beside it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

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
    about, turns = results.about, max(turn.turn for turn in results.turns)
    how = (
        f"Revision {about['revision']}: {turns} turns, {about['orgs']} orgs, 2 populations and {about['days']} days, "
        f"{about['concurrency']} requests in flight. {_versions(python)}"
    )
    DOCUMENT.write_text(f"{before}{_BEGIN}{textwrap.fill(how, 120)}\n{tables(results.turns, titles)}{after}")
    _draw(results.turns, titles)


def tables(turns: Sequence[Turn], titles: Mapping[str, str]) -> str:
    """Return the tables: who fetched how fast, the ratios, and the commands that fetch nothing."""
    return "".join(f"{line}\n" for line in _tables(turns, titles))


def _tables(turns: Sequence[Turn], titles: Mapping[str, str]) -> Iterator[str]:
    of = {title: [turn for turn in turns if turn.contender == name] for name, title in titles.items()}
    yield "\n| who | slices/s | CPU per slice, ms | connections |\n|---|---:|---:|---:|"
    for title, own in of.items():
        if own and own[0].slices:
            rates, spent = [rate(turn) for turn in own], [cpu_of_slice(turn) * 1e3 for turn in own]
            yield f"| {title} | {_spread(rates, ',.0f')} | {_spread(spent, '.3f')} | {own[0].connections} |"
    yield "\n| ratio | median (lowest to highest) | target |\n|---|---:|---:|"
    for ratio in ratios(turns):
        yield f"| {ratio.what} | {_spread(ratio.values, '.2f')} | {ratio.target} |"
    yield "\n| command | CPU, ms | elapsed, ms |\n|---|---:|---:|"
    for title, own in of.items():
        if own and not own[0].slices:
            spent, elapsed = [turn.cpu_s * 1e3 for turn in own], [turn.seconds * 1e3 for turn in own]
            yield f"| {title} | {_spread(spent, '.0f')} | {_spread(elapsed, '.0f')} |"


def _spread(values: Sequence[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _versions(python: str) -> str:
    own = _said(
        python, "-c", "import sys, aiohttp; print(f'Python {sys.version.split()[0]}, aiohttp {aiohttp.__version__}')"
    )
    server = re.search(r"nginx/[\d.]+", _said(nginx() or "nginx", "-v"))
    wrk = re.search(r"wrk (?:debian/)?([\d.]+)", _said("wrk", "-v"))
    found = [
        own,
        server and server[0].replace("/", " "),
        wrk and f"wrk {wrk[1]}",
        *map(_pinned, ("dlt", "singer-sdk", "airbyte-cdk")),
    ]
    day = datetime.now(UTC).date()  # noqa: TID251 - a benchmark has no port for the clock
    return (
        f"Measured on {day}, with {', '.join(filter(None, found))}, "
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
