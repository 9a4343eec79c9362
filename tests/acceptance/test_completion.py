"""What the shell completes, asked as bash asks."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from collector.cli.commands.completion import completion
from tests.support.commands import COLLECTOR, Here, collector
from tests.support.fleets import HEALTHY, NOW, make_fleet
from tests.support.needs import need
from tests.support.orgs import make_org
from tests.support.terminals import at_terminal

SHELLS = {  # how each is started without the user's settings, and what it needs first
    "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set bell-style none'"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -D"),
    "fish": (["fish", "--no-config", "-i"], "true"),
}
TYPED = {  # what is typed, with Tab, and what the command gets
    "status -c c.yaml --org glo\t": ["status", "-c", "c.yaml", "--org", "globex"],
    "stat\t": ["status"],
    "plan -c c.yaml --org it\t": ["plan", "-c", "c.yaml", "--org", "it's"],
    "plan -c c.yaml --org x:\tu\t": ["plan", "-c", "c.yaml", "--org", "x: us"],
    "plan -c c.yaml --org='x: e\t": ["plan", "-c", "c.yaml", "--org=x: eu"],
    'plan -c c.yaml --org "Düs\t': ["plan", "-c", "c.yaml", "--org", "Düsseldorf $HOME"],
    "plan -c c.yaml --org it\\'s --org back\t": ["plan", "-c", "c.yaml", "--org", "it's", "--org", "back\\slash"],
    "plan -c c.yaml --org a,\t": ["plan", "-c", "c.yaml", "--org", 'a,b "c"'],
    "plan -c c.yaml --label=tie\t": ["plan", "-c", "c.yaml", "--label=tier=a b"],
    "plan -c c.yaml --org usa\t": ["plan", "-c", "c.yaml", "--org", "usage"],  # not `usage/`, which is a directory
    "collect --output=oth\t": ["collect", "--output=other directory"],
}
SIGNS = {"bash": "complete -o nosort", "zsh": "compdef", "fish": "complete --no-files"}

NAMES = [
    "globex",
    "it's",
    "x: eu",
    "x: us",
    "back\\slash",
    "Düsseldorf $HOME",
    'a,b "c"',
    "usage",
]
CONFIG = json.dumps(
    {
        "orgs": [
            {"name": "acme-eu", "token_env": "NOT_SET", "labels": {"team": "qa"}},
            {"name": "acme-us", "token_file": "not/there", "labels": {"team": "ops"}},
            *({"name": name, "token": "t", "labels": {"tier": "a b"}} for name in NAMES),
        ]
    }
)
BREAKS = " \t\n\"'@><=;|&(:"  # bash's default


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    (tmp_path / "c.yaml").write_text(CONFIG)
    return Here(capfd, monkeypatch, tmp_path)


def completed(here: Here, line: str) -> list[str]:
    """What bash gets for a line, as it is called by our script."""
    done = here(env={"_COLLECTOR_COMPLETE": "bash_complete", "_COLLECTOR_LINE": line, "_COLLECTOR_BREAKS": BREAKS})
    assert (done.code, done.stderr) == (0, "")
    return [one.removeprefix("plain,") for one in done.stdout.splitlines() if one]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("collector status -c c.yaml --org acme", ["acme-eu", "acme-us"]),
        ("collector collect -c c.yaml --label team=o", ["ops"]),  # readline leaves what is before a `=`
        ("collector collect -c c.yaml --label tier", ["tier=a\\ b"]),
        ("collector plan -c c.yaml --org=acme-e", ["acme-eu"]),
        ("collector plan -c c.yaml --org z", []),
        ("collector plan -c c.yaml --org x", ["x:\\ eu", "x:\\ us"]),
        ("collector plan -c c.yaml --org x:", ["\\ eu", "\\ us"]),
        ("collector plan -c c.yaml --org 'x: e", ["x: eu"]),
        ('collector plan -c c.yaml --org "D', ["Düsseldorf \\$HOME"]),
        ("collector plan -c c.yaml --org it\\'s --org it", ["it\\'s"]),
        ("collector plan -c nowhere.yaml --org a", []),
        ("collector export -c c.yaml --by m", ["month"]),
        ("collector export -c c.yaml --by month,l", ["month,label:team", "month,label:tier"]),
        ("collector export -c c.yaml --product real", ["realtime", "realdevice"]),
        ("collector report -c c.yaml --product=sm", ["smartui"]),
        ("collector export -c c.yaml --changed-since ", []),  # there is no ledger
        ("collector forget -c c.yaml a", []),
        ("collector status -c c.yaml --population s", ["service-user"]),
        ("collector chec", ["check"]),
        ("collector completion z", ["zsh"]),
        ("collector collect -o o", ["dir,"]),
        ("collector collect --recover o", ["file,"]),
    ],
)
def test_names_and_labels_are_completed_from_the_config_without_its_secrets(
    line: str, found: list[str], here: Here
) -> None:
    assert completed(here, line) == found


def test_orgs_to_forget_runs_and_awaited_files_are_completed_from_the_ledger(here: Here, tmp_path: Path) -> None:
    """Forget takes the orgs that are gone from the config; and of those, each once."""
    fleet = make_fleet(
        tmp_path / "fleet", [make_org("gone: it's"), make_org("gone: too"), make_org("globex")], lambda _: HEALTHY
    )
    ledger = fleet.open()
    ledger.note_config(fleet.orgs, NOW)
    ledger.note_config(fleet.orgs[2:], NOW)
    ledger.begin_run("20261124T090000Z-0c0ffe", "collect", NOW)
    ledger.end_run("20261124T090000Z-0c0ffe", 0, NOW)
    ledger.close()
    options = f"-c c.yaml --state {fleet.url}"
    assert completed(here, f"collector forget {options} g") == ["gone:\\ it\\'s", "gone:\\ too"]
    assert completed(here, f"collector forget {options} gone:\\ too g") == ["gone:\\ it\\'s"]
    assert completed(here, f"collector export {options} --changed-since 2026") == ["20261124T090000Z-0c0ffe"]
    assert completed(here, f"collector collect {options} --lost u") == []
    elsewhere = "--state postgresql://u@192.0.2.1/d"  # a server that doesn't answer is not waited for
    assert completed(here, f"collector forget -c c.yaml {elsewhere} g") == []


def test_the_script_for_a_shell_is_printed(tmp_path: Path) -> None:
    done = collector(cwd=tmp_path, env={"_COLLECTOR_COMPLETE": "zsh_source"})
    assert (done.code, done.stderr) == (0, "")
    assert "compdef" in done.stdout


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    """A directory with the command, to be in PATH. It completes, and else shows the words that it was given."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "collector"
    program.write_text(f"""#!/usr/bin/env bash
[ "$_COLLECTOR_COMPLETE" ] || [ "$1" = completion ] && exec {shlex.join(COLLECTOR)} "$@"
printf '<%s>' "${{@%/}}"
echo " END"
""")
    program.chmod(0o755)
    return directory


@pytest.mark.slow  # needs the shell
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_at_its_prompt_after_the_documented_command(shell: str, bin_: Path, tmp_path: Path) -> None:
    need(shell, package=shell)
    (tmp_path / "c.yaml").write_text(CONFIG)
    for name in ("usage", "other directory"):
        (tmp_path / name).mkdir()
    start, prepare = SHELLS[shell]
    env = {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PS1": "$ ",
        "LANG": "C.UTF-8",
        "FISH_UNIT_TESTS_RUNNING": "1",
    }
    (line,) = (line for line in documented() if shell in line)
    with at_terminal(start, cwd=tmp_path, env=env, rows=50, columns=200) as terminal:
        terminal.type(f"{prepare}\n{line}\necho is; echo ready\n")
        terminal.wait_for("is\nready")
        for typed, words in TYPED.items():
            terminal.type(f"collector {typed}\n")
            terminal.wait_for("".join(f"<{word}>" for word in words) + " END")
        terminal.type("exit\n")
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
