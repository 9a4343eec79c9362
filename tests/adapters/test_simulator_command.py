"""The command that serves the simulated API."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from collector.cli.commands.simulate import simulate
from collector.simulator.server import running_simulator

COMMAND = [sys.executable, "-c", "from collector.cli.commands.simulate import simulate; simulate()", "--port", "0"]


def test_the_command_prints_its_address_as_json_and_stops_when_stdin_ends(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "simulated.yaml"
    command = [*COMMAND, "--orgs", "9", "--config-out", str(path), "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        facts = json.loads(process.stdout.readline())
        config = yaml.safe_load(path.read_text())
        process.stdin.close()
        assert process.wait(120) == 0
        assert process.stdout.read() == b""
        messages = process.stderr.read().decode()
    assert facts == {"base_url": config["api"]["base_url"], "orgs": 9, "seed": 1, "config": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("# A config for the simulated API")
    assert [org["name"] for org in config["orgs"]] == [f"org-00{number}" for number in range(1, 10)]
    assert {"UTC", "Australia/Lord_Howe", "-03:30"} <= {org["timezone"] for org in config["orgs"]}
    assert config["orgs"][0]["username"] == "org-001@example.test"
    assert config["orgs"][0]["access_key"].startswith("sim-")
    assert f"collector check -c {path}" in messages
    assert facts["base_url"] in messages
    assert config["orgs"][0]["access_key"] not in messages


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_stops_at_once_on_a_signal(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(120) == code


def test_a_config_that_the_simulator_did_not_write_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("orgs: []\n")
    result = CliRunner().invoke(simulate, ["--port", "0", "--config-out", str(path)])
    assert result.exit_code == 2
    assert "was not written by the simulator" in result.stderr
    assert path.read_text() == "orgs: []\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "not a loopback address"),  # noqa: S104 -- the simulator must refuse it
        (["--host", "example.test"], "not a loopback address"),
        (["--fault", "org-001:refusd"], "did you mean 'refused'?"),
        (["--fault", "org-099:refused"], "none of the orgs org-001 to org-012"),
        (["--limit", "fast"], "is not a limit: write REQUESTS/PERIOD"),
        (["--enforce"], "there is no limit to enforce"),
        (["--now", "today"], "is not an instant"),
        (["--orgs", "0"], "--orgs"),
    ],
)
def test_invalid_options_are_reported_with_advice(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(simulate, ["--port", "0", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_port_in_use_is_a_usage_error() -> None:
    async def in_use() -> int:
        async with running_simulator() as simulator:
            port = simulator.base_url.rpartition(":")[2]
            result = await asyncio.to_thread(
                subprocess.run,
                [*COMMAND, "--port", port],
                capture_output=True,
                timeout=60,
                check=False,
            )
            assert b"ddress already in use" in result.stderr or b"address in use" in result.stderr
            return int(result.returncode)

    assert asyncio.run(in_use()) == 2


def test_help_lists_every_kind_of_fault() -> None:
    result = CliRunner().invoke(simulate, ["--help"])
    assert result.exit_code == 0
    assert "extra-product" in result.output
    assert "Examples:" in result.output
