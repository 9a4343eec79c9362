"""The commands, each imported only where it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from collector.cli.commands import SUMMARIES
from collector.cli.commands.collect import collect
from collector.cli.main import cli
from collector.model import Population

EXTRAS = {"obstore", "opentelemetry", "pyarrow", "xlsxwriter"}
HEAVY = EXTRAS | {
    "aiohttp",
    "alembic",
    "jinja2",
    "orjson",
    "prometheus_client",
    "pydantic",
    "rich.table",
    "sqlalchemy",
    "yaml",
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_list_of_commands_says_what_the_command_itself_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(limit=100) == SUMMARIES[name]


@pytest.mark.parametrize("name", ["backfill", "check", "collect", "plan", "serve", "status"])
def test_config_and_ledger_are_chosen_by_the_same_options_everywhere(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = {option for param in command.params for option in param.opts}
    assert {"--config", "--state", "--org", "--label", "--population"} <= options
    assert ("--output" in options) == (name not in {"check", "plan"})  # those two use no output


@pytest.mark.parametrize(
    "args",
    [
        ["--version"],
        ["--help"],
        ["no-such-command"],
        ["collect", "--bogus"],
        ["check", "--help"],
        ["completion", "--help"],
        ["init", "--help"],
        ["status", "--help"],
    ],
)
def test_help_and_usage_errors_import_nothing_heavy(args: list[str]) -> None:
    program = f"""
import sys
from collector.cli.main import run
run({args})
print(*({HEAVY | EXTRAS} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_a_run_that_writes_json_lines_imports_no_package_that_only_others_need(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from collector.app import wiring
from collector.adapters.sinks import DirectorySink
DirectorySink.open(Path({str(tmp_path)!r}), run_id="r", seal_at=10**6).close()
print(*({EXTRAS} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_the_populations_of_the_option_are_those_of_the_model() -> None:
    """The option doesn't import them, so that a usage error is shown at once."""
    (option,) = (one for one in collect.params if one.name == "populations")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == [population.value for population in Population]
