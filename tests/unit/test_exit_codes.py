"""The exit codes are told in three places: the enum, the help and the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.cli.main import cli
from collector.core.exit_codes import ExitCode

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_readme_lists_the_same_exit_codes() -> None:
    listed = re.search(r"^Exit codes, for scripts: (.*?)\n\n", README, re.DOTALL | re.MULTILINE)
    assert listed is not None
    entries = [re.match(r"\d+(?:, \d+)*", entry.strip()) for entry in listed[1].split("·")]
    numbers = [int(number) for entry in entries if entry for number in entry[0].split(", ")]
    assert numbers == [int(code) for code in ExitCode]


@pytest.mark.parametrize("code", ExitCode)
def test_the_help_says_what_every_exit_code_means(code: ExitCode) -> None:
    assert code.meaning
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=120).output
    unfolded = re.sub(r"\n {9,}", " ", shown)
    assert re.search(rf"^ +{int(code)}  {re.escape(code.meaning)}$", unfolded, re.MULTILINE)


def test_exit_5_covers_a_wrong_clock() -> None:
    assert "clock" in ExitCode.OUTPUT.meaning


def test_an_exit_code_is_its_number() -> None:
    assert ExitCode(3) is ExitCode.INCOMPLETE
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5, 6, 130, 143]
    assert f"{ExitCode.INCOMPLETE}" == "3"
