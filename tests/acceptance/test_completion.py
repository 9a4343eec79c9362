"""What the shell completes, asked as bash asks."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from collector.cli.commands.completion import completion
from tests.support.commands import COLLECTOR, collector
from tests.support.needs import need
from tests.support.terminals import at_terminal

SHELLS = {  # how each is started without the user's settings, and what it needs first
    "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set bell-style none'"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -D"),
    "fish": (["fish", "--no-config", "-i"], "true"),
}
SIGNS = {"bash": "complete -o nosort", "zsh": "compdef", "fish": "complete --no-files"}

CONFIG = """\
orgs:
  - {name: acme-eu, token_env: NOT_SET, labels: {team: qa}}
  - {name: acme-us, token_file: not/there, labels: {team: ops}}
  - {name: globex, token: t}
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("collector status -c c.yaml --org acme", ["acme-eu", "acme-us"]),
        ("collector collect -c c.yaml --label team=o", ["team=ops"]),
        ("collector plan -c c.yaml --org z", []),
        ("collector plan -c nowhere.yaml --org a", []),
        ("collector export -c c.yaml --by m", ["month"]),
        ("collector export -c c.yaml --by month,l", ["month,label:team"]),
        ("collector chec", ["check"]),
        ("collector completion z", ["zsh"]),
        ("collector collect -o o", ["dir,o"]),
    ],
)
def test_names_and_labels_are_completed_from_the_config_without_its_secrets(
    line: str, found: list[str], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    words = line.split(" ")
    env = {"_COLLECTOR_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = collector(cwd=tmp_path, env=env)
    assert (done.code, done.stderr) == (0, "")
    assert [one.removeprefix("plain,") for one in done.stdout.split()] == found


def test_the_script_for_a_shell_is_printed(tmp_path: Path) -> None:
    done = collector(cwd=tmp_path, env={"_COLLECTOR_COMPLETE": "zsh_source"})
    assert (done.code, done.stderr) == (0, "")
    assert "compdef" in done.stdout


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    """A directory with the command, to be in PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "collector"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COLLECTOR)} "$@"\n')
    program.chmod(0o755)
    return directory


@pytest.mark.slow  # needs the shell
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_at_its_prompt_after_the_documented_command(shell: str, bin_: Path, tmp_path: Path) -> None:
    need(shell, package=shell)
    (tmp_path / "c.yaml").write_text(CONFIG)
    start, prepare = SHELLS[shell]
    env = {"PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(tmp_path), "PS1": "$ ", "FISH_UNIT_TESTS_RUNNING": "1"}
    (line,) = (line for line in documented() if shell in line)
    with at_terminal(start, cwd=tmp_path, env=env, rows=50, columns=200) as terminal:
        terminal.type(f"{prepare}\n{line}\necho is; echo ready\n")
        terminal.wait_for("is\nready")
        terminal.type("collector status -c c.yaml --org glo\t")
        terminal.wait_for("globex")
        terminal.type("\x15collector chec\t")
        terminal.wait_for("check ")
        terminal.type("\x15exit\n")
        assert terminal.end() == 0


def documented() -> list[str]:
    """Return the commands that `--help` shows, one for each shell."""
    return [line.strip() for line in (completion.epilog or "").splitlines() if "collector completion" in line]


def test_the_command_prints_what_the_shell_evaluates(tmp_path: Path) -> None:
    scripts = {shell: collector("completion", shell, cwd=tmp_path) for shell in SHELLS}
    assert all((done.code, done.stderr) == (0, "") for done in scripts.values())
    assert {shell: sign in scripts[shell].stdout for shell, sign in SIGNS.items()} == dict.fromkeys(SHELLS, True)
    done = collector("completion", "tcsh", cwd=tmp_path)
    assert done.code == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
