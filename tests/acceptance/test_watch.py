"""`collector status --watch` at a terminal: it follows what other processes do, and leaves the terminal as it was."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from collector.app.command import Permits
from collector.app.scope import EVERYTHING
from collector.cli.context import Context
from collector.cli.status_reading import StatusReading
from collector.cli.status_watch import fitting, in_place
from collector.config import load
from collector.core.org_history import History
from collector.ledger.digest import Digest
from collector.ledger.history import HistoryQuery
from collector.ledger.reader import LedgerReader
from tests.support.commands import COLLECTOR, SimulatedApi, calm, collector, simulated_api
from tests.support.terminals import CTRL_C, ESCAPE, Terminal, at_terminal
from tests.support.waiting import wait_until

ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
ORGS = 12


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("watch"), orgs=ORGS, faults=["org-002:refused"]) as api:
        yield api


def watching(api: SimulatedApi) -> list[str | Path]:
    return [*COLLECTOR, "status", "-c", api.config, "--watch", "0.5"]


def collect(api: SimulatedApi, home: Path, *args: str) -> None:
    assert collector("collect", "-c", api.config, "-o", "out", *args, cwd=home).code in {0, 4}


def frames(terminal: Terminal) -> list[list[str]]:
    """Return what was drawn, frame by frame, as lines without colours."""
    assert terminal.text
    drawn = terminal.raw.partition(ENTERED)[2].partition(LEFT)[0]
    texts = [ESCAPE.sub("", frame) for frame in drawn.split("\x1b[H")]
    return [text.split("\r\n") for text in texts if text]


def last(terminal: Terminal) -> str:
    return "\n".join(frames(terminal)[-1])


def row(text: str, org: str) -> str:
    return next((line for line in text.splitlines() if line.strip().startswith(f"{org} ")), "")


def test_it_follows_a_run_and_ends_with_what_status_says(api: SimulatedApi, tmp_path: Path) -> None:
    collect(api, tmp_path, "--org", "org-001")
    with at_terminal(watching(api), cwd=tmp_path, rows=100) as terminal:
        terminal.wait_for("Ctrl-C ends")
        wait_until(lambda: re.search(r"\b0 of \d", row(last(terminal), "org-003")), "org-003 is missing")
        collect(api, tmp_path, "--org", "org-003")
        wait_until(lambda: re.search(r"\b([1-9]\d*) of \1 ", row(last(terminal), "org-003")), "org-003 is complete")
        terminal.type(CTRL_C)
        assert terminal.end() == 3
    assert terminal.raw.count(ENTERED) == terminal.raw.count(LEFT) == 1
    assert terminal.raw.rindex(SHOWN) > terminal.raw.rindex(HIDDEN)
    with at_terminal([*COLLECTOR, "status", "-c", api.config], cwd=tmp_path, rows=100) as status:
        assert status.end() == 3
    after = ESCAPE.sub("", terminal.raw.partition(LEFT)[2]).replace("\r\n", "\n")
    assert re.sub(r"largest lag [^(]*", "", after) == re.sub(r"largest lag [^(]*", "", status.text)


@pytest.mark.parametrize(("rows", "columns"), [(12, 80), (24, 60), (24, 200)])
def test_it_fits_the_window_with_the_worst_first(rows: int, columns: int, api: SimulatedApi, tmp_path: Path) -> None:
    collect(api, tmp_path)
    with at_terminal(watching(api), cwd=tmp_path, rows=rows, columns=columns) as terminal:
        terminal.wait_for("Ctrl-C ends")
        terminal.wait_for("… more: ")
        wait_until(lambda: len(frames(terminal)) > 2, "it is drawn again")
        terminal.type(CTRL_C)
        assert terminal.end() == 3
    for frame in frames(terminal)[:-1]:  # Ctrl-C may cut the last one short
        assert sum(-(-len(line) // columns) or 1 for line in frame) <= rows
        assert "org-002" in "\n".join(frame[:6])


def test_another_size_of_the_window_is_filled_at_once(api: SimulatedApi, tmp_path: Path) -> None:
    collect(api, tmp_path)
    slowly = [*watching(api)[:-1], "3600"]
    with at_terminal(slowly, cwd=tmp_path, rows=10) as terminal:
        terminal.wait_for("… more: ")
        assert len(frames(terminal)[0]) <= 10
        terminal.resize(rows=100, columns=200)
        wait_until(lambda: row(last(terminal), f"org-{ORGS:03}"), "the last org is shown")
        assert "… more: " not in last(terminal)
        terminal.type(CTRL_C)
        assert terminal.end() == 3


def test_sigterm_leaves_the_terminal_as_it_was(api: SimulatedApi, tmp_path: Path) -> None:
    with at_terminal(watching(api), cwd=tmp_path) as terminal:
        terminal.wait_for("Ctrl-C ends")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == 143
    assert terminal.raw.index(LEFT) > terminal.raw.index(ENTERED)
    assert terminal.raw.rindex(SHOWN) > terminal.raw.rindex(HIDDEN)


def test_a_ledger_that_comes_and_goes_ends_nothing(api: SimulatedApi, tmp_path: Path) -> None:
    with at_terminal(watching(api), cwd=tmp_path, rows=100) as terminal:
        terminal.wait_for("Ctrl-C ends")
        wait_until(lambda: "there is no ledger" in last(terminal), "it says so")
        collect(api, tmp_path, "--org", "org-001")
        wait_until(lambda: re.search(r"\b([1-9]\d*) of \1 ", row(last(terminal), "org-001")), "there is a ledger")
        ledger = tmp_path / "state/ledger.db"
        content = ledger.read_bytes()
        ledger.write_bytes(b"no ledger" * 1000)
        wait_until(lambda: last(terminal).startswith("not read again at "), "it can't be read")
        wait_until(lambda: re.search(r"\b([1-9]\d*) of \1 ", row(last(terminal), "org-001")), "what was read stays")
        assert last(terminal).startswith("not read again at ")
        ledger.write_bytes(content)
        wait_until(lambda: "Ctrl-C ends" in last(terminal), "it is read again")
        shutil.rmtree(tmp_path / "state")
        wait_until(lambda: re.search(r"\b0 of \d", row(last(terminal), "org-001")), "there is none")
        terminal.type(CTRL_C)
        assert terminal.end() == 3


@pytest.mark.parametrize(
    ("args", "env", "message"),
    [
        (["--watch"], {}, "--watch draws on a terminal"),
        (["--watch"], {"FORCE_COLOR": "1"}, "--watch draws on a terminal"),
        (["--watch", "5", "--json"], {}, "leave out --json"),
        (["--watch", "0"], {}, "--watch"),
    ],
)
def test_without_a_terminal_it_says_what_a_script_does(
    args: list[str], env: dict[str, str], message: str, api: SimulatedApi, tmp_path: Path
) -> None:
    done = collector("status", "-c", api.config, *args, cwd=tmp_path, env=env)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr.replace("\n", " ")


def test_only_what_changed_is_read_again(api: SimulatedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collect(api, tmp_path)
    state = {"state": {"url": f"sqlite:///{tmp_path}/state/ledger.db"}}
    config = load(api.config, environ=calm(), overrides=state)
    read: list[str] = []
    histories = LedgerReader.histories

    def noted(self: LedgerReader, queries: Sequence[HistoryQuery]) -> Sequence[tuple[History, Digest]]:
        read.extend(name for query in queries for name in query.names)
        return histories(self, queries)

    monkeypatch.setattr(LedgerReader, "histories", noted)
    context = Context(
        config=config, reload=lambda: config, scope=EVERYTHING, permits=Permits(), quiet=False, log_format="json"
    )
    with closing(StatusReading(context)) as reading:
        first = reading.read()
        assert len(read) == ORGS
        read.clear()
        assert reading.read() == first
        assert read == ["org-002"]  # no answer has said yet which organization it is
        more = ["-o", "out", "--org", "org-003", "--last", "9d"]
        assert collector("backfill", "-c", api.config, *more, cwd=tmp_path).code == 0
        read.clear()
        changed = {org.name for org, before in zip(reading.read().orgs, first.orgs, strict=True) if org != before}
        assert ({*read}, changed) == ({"org-002", "org-003"}, {"org-003"})


@pytest.mark.parametrize(
    ("height", "expected"),
    [(4, ["a", "b" * 11, "c"]), (3, ["a", "… more: in"]), (2, ["a", "… more: in"]), (1, ["… more: in"])],
)
def test_a_line_that_is_folded_takes_the_rows_that_it_has(height: int, expected: list[str]) -> None:
    assert fitting(["a", "b" * 11, "c"], width=10, height=height) == expected


@pytest.mark.parametrize("longest", [9, 10, 11, 20])
def test_a_drawing_leaves_nothing_of_the_one_before(longest: int) -> None:
    """On a screen of 10 columns and 6 rows that is full of another drawing."""
    screen = [["#"] * 10 for _ in range(6)]
    lines = ["a", "b" * longest, "", "c" * longest]
    draw_on(screen, in_place(lines, width=10))
    expected = [line[n : n + 10] for line in lines for n in range(0, max(len(line), 1), 10)]
    assert ["".join(row).rstrip() for row in screen] == [*expected, *[""] * (6 - len(expected))]


def draw_on(screen: list[list[str]], text: str) -> None:
    """Do what a terminal does. At the last column the cursor stays on it until the next character."""
    width, row, column = len(screen[0]), 0, 0
    for command in re.findall(r"\x1b\[[HKJ]|[^\x1b]", text):
        if command == "\x1b[H":
            row, column = 0, 0
        elif command in {"\x1b[K", "\x1b[J"}:
            screen[row][min(column, width - 1) :] = " " * (width - min(column, width - 1))
            for below in screen[row + 1 :] if command == "\x1b[J" else ():
                below[:] = " " * width
        elif command == "\n":
            row, column = row + 1, 0
        else:
            if column == width:
                row, column = row + 1, 0
            screen[row][column] = command
            column += 1
