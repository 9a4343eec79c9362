"""Commands at a terminal of 80 columns, and into a pipe: nothing is cut, and no word is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import COLLECTOR, SimulatedApi, collector, simulated_api
from tests.support.terminals import ESCAPE, at_terminal

COLUMNS = 80
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3|4|9|10)[0-7](?:;[0-9]+)*m")
STATUS = r"^ *org-002 +account-user +0 of \d+ .*\d+-\d+-\d+ +credential"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("terminal"), orgs=4, faults=["org-002:refused"]) as api:
        yield api


def on_terminal(*args: str | Path, cwd: Path) -> list[str]:
    """Return the lines that a command writes to a terminal, without colours and without lines that were redrawn."""
    content = raw_on_terminal(*args, cwd=cwd)
    return [ESCAPE.sub("", line.rpartition("\r")[2]) for line in content.replace("\r\n", "\n").split("\n")]


def raw_on_terminal(*args: str | Path, cwd: Path, **env: str) -> str:
    with at_terminal([*COLLECTOR, *args], cwd=cwd, env=env, columns=COLUMNS) as terminal:
        terminal.end()
        return terminal.raw


def test_status_and_plan_fit_80_columns_with_the_worst_first(api: SimulatedApi, tmp_path: Path) -> None:
    assert collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path).code == 4
    for command in ("status", "plan"):
        lines = on_terminal(command, "-c", api.config, cwd=tmp_path)
        assert max(map(len, lines)) <= COLUMNS
        assert not any("…" in line for line in lines)
    status = on_terminal("status", "-c", api.config, cwd=tmp_path)
    first = next(line for line in status if "org-0" in line)
    assert re.search(STATUS, first), first


def test_status_in_a_pipe_is_plain_text_of_any_width(api: SimulatedApi, tmp_path: Path) -> None:
    content = api.config.read_text().replace("name: org-002", f"name: {'long-' * 12}org")
    config = tmp_path / "c.yaml"
    config.write_text(content)
    config.chmod(0o600)
    for command in ("status", "plan"):
        text = collector(command, "-c", config, cwd=tmp_path, env={"COLUMNS": "80"}).stdout
        assert "long-" * 12 + "org  " in text
        assert not re.search(r"[│┃━─…]", text)


def test_progress_at_80_columns_keeps_count_and_time_left(api: SimulatedApi, tmp_path: Path) -> None:
    lines = on_terminal("collect", "-c", api.config, "--last", "60d", "-o", "out", "--state", "none", cwd=tmp_path)
    (bar,) = (line for line in lines if " left · " in line)
    assert re.search(r" (\d+)/\1 \d+:\d\d(:\d\d)? left · \d+ refused · 4/4 orgs", bar), bar


def test_the_log_on_a_terminal_is_not_padded(api: SimulatedApi, tmp_path: Path) -> None:
    lines = on_terminal("collect", "-c", api.config, "--last", "2d", "-o", "out", "--progress", "never", cwd=tmp_path)
    started = next(line for line in lines if "run.started" in line)
    assert "[info] run.started command=collect" in started


def test_without_colours_a_terminal_shows_the_same_words_and_marks(api: SimulatedApi, tmp_path: Path) -> None:
    collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path)
    for command in (["check"], ["collect", "-o", "out", "--progress", "never"], ["status"]):
        coloured = raw_on_terminal(*command, "-c", api.config, cwd=tmp_path)
        plain = raw_on_terminal(*command, "-c", api.config, cwd=tmp_path, NO_COLOR="1")
        assert COLOUR.search(coloured), command
        assert not COLOUR.search(plain), command
        assert "refused" in plain
    assert ESCAPE.sub("", coloured) == ESCAPE.sub("", plain)  # of `status`, which shows no time of now


def test_colours_into_a_pipe_change_nothing_else(api: SimulatedApi, tmp_path: Path) -> None:
    collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path)
    for command in ("status", "plan", "check"):
        plain = collector(command, "-c", api.config, cwd=tmp_path)
        forced = collector(command, "-c", api.config, cwd=tmp_path, env={"FORCE_COLOR": "1", "TERM": "xterm"})
        assert COLOUR.search(forced.stdout) or command == "plan"
        assert ESCAPE.sub("", forced.stdout) == plain.stdout
        assert not COLOUR.search(plain.stdout + plain.stderr + forced.stderr)
