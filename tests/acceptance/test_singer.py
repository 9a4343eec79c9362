"""`collector-singer` and `collect --format singer` as commands: what is on stdout, and how they end."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.__main__ import singer as entry
from collector.cli.commands.singer import singer
from collector.config import Settings
from tests.singer.pipeline import TAP
from tests.support.commands import Done, Here, SimulatedApi, environment, simulated_api, unmeasured
from tests.support.waiting import BOUND_S

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("api"), orgs=2) as api:
        yield api


Tap = Callable[..., Done]


@pytest.fixture
def tap(here: Here) -> Tap:
    """The tap in this very process: Python needn't start for each run."""
    return lambda *args, **env: here(*args, env=env, command=singer)


def types(done: Done) -> list[str]:
    return [message["type"] for message in done.records]


def last_state(done: Done, directory: Path) -> Path:
    state = [message["value"] for message in done.records if message["type"] == "STATE"][-1]
    path = directory / "state.json"
    path.write_text(json.dumps(state))
    return path


@pytest.mark.parametrize("shell", [["bash"], ["bash", "-e"]])
@pytest.mark.parametrize(("tap_code", "target_code"), [(0, 0), (4, 0), (0, 9)])
def test_the_script_of_the_document_keeps_the_state_and_ends_as_the_run_does(
    tmp_path: Path, shell: list[str], tap_code: int, target_code: int
) -> None:
    (script,) = re.findall(r"```sh\n(set -o pipefail.*?)```", (ROOT / "docs" / "singer.md").read_text(), re.DOTALL)
    for name, line in {
        "collector-singer": f"""echo '{{"args": "'"$*"'"}}'; exit {tap_code}""",
        "target-jsonl": f"cat; exit {target_code}",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    env = environment(PATH=f"{tmp_path}:{os.environ['PATH']}")
    for state in ("", " --state state.json"):
        done = subprocess.run([*shell, "-c", script], cwd=tmp_path, env=env, check=False)
        assert done.returncode == (tap_code or target_code)
        assert json.loads((tmp_path / "state.json").read_text()) == {"args": f"--config config.json{state}"}


def test_the_script_is_the_entry_that_meltano_calls() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert 'collector-singer = "collector.__main__:singer"' in project
    assert callable(entry)


def test_two_runs_with_the_state_between_them_leave_nothing_else_behind(
    api: SimulatedApi, tap: Tap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is looked up once in a process
    first = tap("--config", api.config, TMPDIR=str(temporary))
    assert first.code == 0, first.stderr
    assert types(first)[:3] == ["SCHEMA", "STATE", "RECORD"]
    assert types(first)[-1] == "STATE"
    second = tap("--config", api.config, "--state", last_state(first, tmp_path), TMPDIR=str(temporary))
    assert (second.code, types(second)) == (0, ["SCHEMA", "STATE"])
    assert {path.name for path in tmp_path.iterdir()} == {"tmp", "state.json"}
    assert not list(temporary.iterdir())


def test_discover_needs_no_config_and_its_catalog_selects_all(api: SimulatedApi, tap: Tap, tmp_path: Path) -> None:
    found = tap("--config", "no-such.json", "--discover")
    assert found.code == 0
    catalog = json.loads(found.stdout)
    (tmp_path / "catalog.json").write_text(found.stdout)
    all_of_it = tap("--config", api.config, "--catalog", "catalog.json")
    assert set(all_of_it.records[2]["record"]) == set(catalog["streams"][0]["schema"]["properties"])
    for entry_ in catalog["streams"][0]["metadata"]:
        if entry_["breadcrumb"] == ["properties", "labels"]:
            entry_["metadata"]["selected"] = False
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    without = tap("--config", api.config, "--catalog", "catalog.json")
    assert "labels" not in without.records[2]["record"]
    catalog["streams"][0]["metadata"][0]["metadata"]["selected"] = False
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    nothing = tap("--config", api.config, "--catalog", "catalog.json")
    assert (nothing.code, nothing.stdout) == (0, "")
    assert nothing.event("singer.nothing_selected")


def block(language: str, text: str) -> str:
    """The block of the document with a text in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "singer.md").read_text(), re.DOTALL)
    (found,) = (one for one in blocks if text in one)
    return str(found)


def test_the_documented_lines_of_shell_pass_the_state_on(api: SimulatedApi, tmp_path: Path) -> None:
    programs = {
        "collector-singer": f'{shlex.join(TAP)} "$@"',
        "target-jsonl": "tee -a received | grep STATE | sed 's/.*\"value\"://; s/}$//'",
    }
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps(yaml.safe_load(api.config.read_text())))
    env = environment(PATH=f"{tmp_path}:{os.environ['PATH']}")
    for records in (1, 0):
        subprocess.run(["bash", "-c", block("sh", "collector-singer")], cwd=tmp_path, env=env, timeout=120, check=True)
        received = (tmp_path / "received").read_text().splitlines()
        assert bool([line for line in received if '"RECORD"' in line]) is bool(records)
        assert json.loads((tmp_path / "state.json").read_text())["ledger"]["ended"] is True
        (tmp_path / "received").unlink()


def test_the_documented_plugin_of_meltano_has_our_executable_and_keys() -> None:
    (plugin,) = yaml.safe_load(block("yaml", "extractors"))["plugins"]["extractors"]
    assert plugin["executable"] == "collector-singer"
    assert plugin["capabilities"] == ["catalog", "discover", "state"]
    assert {one["name"] for one in plugin["settings"]} == set(plugin["config"])
    for key in plugin["config"]:
        model: Any = Settings
        for step in key.split("."):
            model = model.model_fields[step].annotation


def test_a_ledger_that_a_variable_names_is_used(api: SimulatedApi, tap: Tap, tmp_path: Path) -> None:
    done = tap("--config", api.config, COLLECTOR_STATE__URL="sqlite:///own.db")
    assert done.code == 0, done.stderr
    assert set(done.records[-1]["value"]) == {"bookmarks"}
    assert (tmp_path / "own.db").exists()


def test_without_a_ledger_each_run_brings_the_lookback(api: SimulatedApi, tap: Tap) -> None:
    one, two = (tap("--config", api.config, COLLECTOR_STATE__URL="none") for _ in range(2))
    assert (one.code, two.code) == (0, 0)
    assert types(one) == types(two)
    assert "RECORD" in types(two)


def test_the_version_is_shown(tap: Tap) -> None:
    shown = tap("--version")
    assert " version " in shown.stdout


@pytest.mark.parametrize(
    ("option", "content", "why"),
    [
        ("--state", "no json", "is no JSON"),
        ("--state", "[]", "no JSON object"),
        ("--state", '{"bookmarks": {}}', "has no ledger"),
        ("--state", '{"ledger": {"tap": "tap-github"}}', "another tap"),
        ("--state", '{"ledger": {"tap": "usage-collector", "format": "9999"}}', "upgrade"),
        ("--state", '{"ledger": {"tap": "usage-collector", "format": "0009", "data": "AAAA"}}', "damaged"),
        ("--state", None, "can't be read"),
        ("--catalog", "{}", "streams"),
        ("--catalog", "no json", "is no JSON"),
    ],
)
def test_a_file_that_can_t_be_used_ends_with_2_before_anything_is_fetched(
    api: SimulatedApi, tap: Tap, tmp_path: Path, option: str, content: str | None, why: str
) -> None:
    if content is not None:
        (tmp_path / "file").write_text(content)
    asked = api.stats["total"]["asked"]
    done = tap("--config", api.config, option, "file")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {option}: ")
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert api.stats["total"]["asked"] == asked


def test_a_config_in_json_may_have_any_character(api: SimulatedApi, tap: Tap, tmp_path: Path) -> None:
    """Meltano writes JSON with escapes: characters beyond U+FFFF are two of them."""
    config = yaml.safe_load(api.config.read_text())
    config["orgs"][0]["labels"] = {"team": "Zürich \U0001f680", "path": "a/b"}
    (tmp_path / "config.json").write_text(json.dumps(config, indent=2).replace("a/b", "a\\/b"))
    done = tap("--config", "config.json")
    assert done.code == 0, done.stderr
    labels = [message["record"]["labels"] for message in done.records if message["type"] == "RECORD"]
    assert {"team": "Zürich \U0001f680", "path": "a/b"} in labels


def test_a_run_that_is_told_to_stop_drains_and_hands_on_its_state(api: SimulatedApi, tmp_path: Path) -> None:
    slow = {
        "COLLECTOR_API__RATE_LIMIT__REQUESTS": "10",
        "COLLECTOR_SCHEDULE__LOOKBACK": "60d",
    }
    with subprocess.Popen(
        [*TAP, "--config", str(api.config)],
        cwd=tmp_path,
        env=unmeasured(environment(**slow)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(10)]
        process.send_signal(signal.SIGTERM)
        lines += process.stdout.readlines()
        assert process.wait(BOUND_S) == 143
    messages: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert messages[-1]["type"] == "STATE"
    assert messages[-1]["value"]["ledger"]["ended"] is True
    assert messages[-1]["value"]["ledger"]["slices"] >= 1


def test_collect_writes_the_same_messages_with_its_own_ledger(api: SimulatedApi, tmp_path: Path, here: Here) -> None:
    first = here("collect", "-c", api.config, "--format", "singer")
    assert first.code == 0
    assert types(first)[0] == "SCHEMA"
    assert set(types(first)[1:-1]) == {"RECORD"}
    assert set(first.records[-1]["value"]) == {"bookmarks"}
    again = here("collect", "-c", api.config, "--format", "singer")
    assert (again.code, types(again)) == (0, ["SCHEMA", "STATE"])
    assert (tmp_path / "state" / "ledger.db").exists()


@pytest.mark.parametrize("args", [["-o", "out"], ["--compression", "gzip"]])
def test_messages_go_to_stdout_as_they_are(api: SimulatedApi, here: Here, args: list[str]) -> None:
    done = here("collect", "-c", api.config, "--format", "singer", *args)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: output: ")
