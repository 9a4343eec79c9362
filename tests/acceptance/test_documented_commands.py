"""Every command that documents and `--help` show is run as it is shown, and its records arrive in the output.

docs/deploy.md and docs/tutorial.md have tests of their own (tests/deploy/test_documents.py, test_tutorial.py), and so
have commands that go on until a signal, and `init`, whose config is there already (tests/acceptance/test_init.py).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from collector.cli.commands import SUMMARIES
from tests.support.commands import Done, SimulatedApi, collector, records_in, simulated_api

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OWN_TESTS = [ROOT / "docs" / "deploy.md", ROOT / "docs" / "tutorial.md"]
GO_ON = {"serve", "simulate", "demo", "healthcheck", "init"}  # until a signal; or they need one that does
DELIVERING = {"collect", "backfill", "relabel"}
CONFIG = {"COLLECTOR_CONFIG": "collector.yaml"}
# What a person puts in for a word in capitals and for what their own machine has.
PUT_IN = {"NAME": "acme", "ORG": "acme", "$(date +%F)": "2026-11-26", "/etc/collector/collector.yaml": "collector.yaml"}
PUT_IN["2023-07-01"] = "2026-05-01"  # three years take too long here


def examples_of(command: click.Command) -> list[str]:
    found = [
        line for line in (command.epilog or "").replace("\\\n", " ").splitlines() if line.startswith("  collector ")
    ]
    if isinstance(command, click.Group):
        context = click.Context(command)
        subs = [command.get_command(context, name) for name in command.list_commands(context)]
        found += [line for sub in subs if sub for line in examples_of(sub)]
    return found


def from_help() -> Iterator[str]:
    for name in SUMMARIES:
        command: click.Command = getattr(import_module(f"collector.cli.commands.{name}"), name)
        for line in examples_of(command):
            yield line.partition("  #")[0].strip()


def from_documents() -> Iterator[str]:
    for document in set(DOCUMENTS) - set(OWN_TESTS):
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL):
            for line in map(str.strip, block.replace("\\\n", " ").splitlines()):
                if re.match(r"([A-Z_]+=\S+ )*collector ", line):
                    yield line.partition("  #")[0].strip()


def inline() -> Iterator[str]:
    for document in DOCUMENTS:
        yield from re.findall(r"`(collector [a-z][^`\n]*)`", document.read_text())


def words_of(line: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables and the words of a line, up to the first operator of the shell."""
    for shown, real in PUT_IN.items():
        line = re.sub(rf"(?<![A-Z_]){re.escape(shown)}(?![A-Z_=])", real, line)
    quoted = shlex.split(re.sub(r"\s(\||>|&&)\s", r" '\\n' ", line), comments=True)
    words = quoted[: quoted.index("\\n")] if "\\n" in quoted else quoted
    env = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    assert words[0] == "collector", line
    return env, words[1:]


SHOWN = sorted({*from_help(), *from_documents()})
RUN = [line for line in SHOWN if words_of(line)[1][0] not in GO_ON and "--watch" not in line]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("shown"), orgs=3) as api:
        yield api


@pytest.fixture(scope="module")
def prepared(api: SimulatedApi, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's directory: a config that says where the records go, and a ledger."""
    home = tmp_path_factory.mktemp("home")
    values: dict[str, Any] = yaml.safe_load(api.config.read_text())
    first, second, third = values["orgs"]
    acme = first | {"name": "acme", "labels": {"team": "qa"}}
    price = {"product": "automation", "metric": "tests", "unit_price": "0.005", "from": "2020-01-01"}
    with_output = values | {"output": {"path": "usage"}, "prices": {"currency": "EUR", "list": [price]}}
    config = home / "collector.yaml"
    config.write_text(yaml.safe_dump(with_output | {"orgs": [acme, second | {"name": "beta"}, third]}))
    assert collector("collect", "--last", "3d", cwd=home, env=CONFIG).code == 0
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it, since commands change it."""
    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    return home


def run(line: str, home: Path) -> Done:
    env, words = words_of(line)
    for place in ("/backup", "/data"):
        words = [word.replace(place, str(home / place[1:])) for word in words]
    for there in ("backup", "data/usage-1", "data/usage-2"):
        (home / there).mkdir(parents=True, exist_ok=True)
    if words[0] == "forget":  # it is said of orgs that are gone
        values = yaml.safe_load((home / "collector.yaml").read_text())
        values["orgs"] = values["orgs"][2:]
        (home / "collector.yaml").write_text(yaml.safe_dump(values))
    return collector(*words, cwd=home, env=CONFIG | env)


def test_there_are_as_many_as_there_were() -> None:
    assert len(RUN) >= 40
    assert {words_of(line)[1][0] for line in RUN} == set(SUMMARIES) - GO_ON


@pytest.mark.parametrize("line", RUN)
def test_it_does_what_it_is_shown_for(line: str, home: Path) -> None:
    before = len(records_in(home / "usage"))
    done = run(line, home)
    command = words_of(line)[1][0]
    if "--recover" in line:  # nothing was left behind
        assert "holds no file that a collector left behind" in done.stderr
        return
    # A range of days that nobody asked for can't be compared as a whole.
    assert done.code == (3 if command == "reconcile" and "--from" in line else 0), done.stderr
    if command not in DELIVERING:
        return
    if "none" in words_of(line)[1]:
        assert done.records
        return
    assert done.stdout == ""
    finished = [event for event in done.events if event["event"] == "run.finished"]
    assert len(records_in(home / "usage")) == before + sum(event["records"] for event in finished)


@pytest.mark.parametrize("line", sorted(set(inline())))
def test_one_that_is_named_in_a_sentence_is_a_command(line: str) -> None:
    """With the options that it has; what stands for a value is any word."""
    _, words = words_of(line.replace("…", "x").replace("[", "").replace("]", ""))
    name, *args = words
    assert name in SUMMARIES, line
    command: click.Command = getattr(import_module(f"collector.cli.commands.{name}"), name)
    context = click.Context(command)
    while isinstance(command, click.Group) and args:
        sub = command.get_command(context, args.pop(0))
        assert sub is not None, line
        command = sub
    known = {option for parameter in command.params for option in parameter.opts}
    assert {arg.partition("=")[0] for arg in args if arg.startswith("-") and arg != "-"} <= known | {"-h", "--help"}


def test_json_of_the_examples_is_what_they_select(home: Path) -> None:
    assert json.loads(run("collector check --json", home).stdout)["orgs"][0]["accepted"] is True
    assert json.loads(run("collector plan --from 2026-01-01 --json", home).stdout)["seconds"] >= 0
    assert json.loads(run("collector status --json", home).stdout)["orgs"][0]["lacking"] == 0
