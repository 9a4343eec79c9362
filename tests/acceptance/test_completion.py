"""What the shell completes, asked as bash asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import collector

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
        ("collector chec", ["check"]),
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
