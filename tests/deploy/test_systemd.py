"""The units against systemd, and against the program that they run."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from collector.core.exit_codes import ExitCode
from collector.run.run import OUTPUT_GRACE_S
from tests.deploy.support import DEPLOY, assert_taken, load_with_secrets
from tests.support.needs import need

pytestmark = pytest.mark.slow  # needs systemd

UNITS = DEPLOY / "systemd"
SERVICES = ("collector.service", "collector-collect.service")
BINARY = "/opt/collector/bin/collector"
EXPOSURE = 1.5  # of 10; "OK" begins below 5
SEALING_S = 10


def section(unit: str, name: str = "Service") -> dict[str, list[str]]:
    """One section's settings, each with all its values."""
    values: dict[str, list[str]] = defaultdict(list)
    text = (UNITS / unit).read_text().partition(f"[{name}]\n")[2].partition("\n[")[0]
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values[key].append(value)
    return dict(values)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that is on this machine too."""
    for file in UNITS.glob("*.*"):
        (tmp_path / file.name).write_text(file.read_text().replace(BINARY, shutil.which("true") or "/bin/true"))
    return tmp_path


def analyze(*args: str) -> str:
    need("systemd-analyze", package="systemd")
    done = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("unit", [*SERVICES, "collector-collect.timer"])
def test_systemd_finds_nothing_to_say_about_it(unit: str, units: Path) -> None:
    assert analyze("verify", "--man=no", str(units / unit)) == ""


def test_mistake_in_a_unit_would_be_found(units: Path) -> None:
    file = units / "collector.service"
    file.write_text(file.read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))
    assert "ProtectHomes" in analyze("verify", "--man=no", str(file))


@pytest.mark.parametrize("unit", SERVICES)
def test_exposure_is_low(unit: str, units: Path) -> None:
    report = analyze(
        "security", "--offline=true", f"--threshold={round(EXPOSURE * 10)}", "--no-pager", str(units / unit)
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert found
    assert float(found[1]) <= EXPOSURE


def test_both_are_hardened_the_same_way() -> None:
    own = {"ExecStart", "ExecReload", "Restart", "RestartSec", "RestartPreventExitStatus"}
    own |= {"SuccessExitStatus", "RuntimeMaxSec"}
    one, other = ({k: v for k, v in section(unit).items() if k not in own} for unit in SERVICES)
    assert one == other


@pytest.mark.parametrize("unit", SERVICES)
def test_command_is_one_that_the_program_takes(unit: str) -> None:
    (line,) = section(unit)["ExecStart"]
    binary, *args = line.split()
    assert binary == BINARY
    assert_taken(args)
    assert args[args.index("-c") + 1] == "${CREDENTIALS_DIRECTORY}/collector.yaml"
    assert args[args.index("-o") + 1] == "usage"  # below the state directory, as is the ledger's default


@pytest.mark.parametrize("unit", SERVICES)
def test_credentials_are_what_the_config_names_and_lie_where_it_looks(unit: str, tmp_path: Path) -> None:
    """As systemd lays them out: all in one folder, a folder's files with its name before theirs."""
    loaded = dict(credential.split(":") for credential in section(unit)["LoadCredential"])
    assert set(loaded) == {"collector.yaml", "orgs.yaml", "secrets"}
    for name in ("collector.yaml", "orgs.yaml"):
        assert loaded[name] == f"/etc/collector/{name}"
        shutil.copy(UNITS / name, tmp_path / name)
    config = load_with_secrets(tmp_path / "collector.yaml", ["secrets_acme-username", "secrets_acme-access-key"])
    assert [org.name for org in config.orgs] == ["acme"]
    assert config.warnings == ()


@pytest.mark.parametrize("unit", SERVICES)
def test_ledger_and_records_are_in_the_state_directory(unit: str, tmp_path: Path) -> None:
    service = section(unit)
    assert service["WorkingDirectory"] == ["%S/collector"]
    assert service["StateDirectory"] == ["collector"]
    assert service["ProtectSystem"] == ["strict"]
    for name in ("collector.yaml", "orgs.yaml"):
        shutil.copy(UNITS / name, tmp_path / name)
    config = load_with_secrets(tmp_path / "collector.yaml", ["secrets_acme-username", "secrets_acme-access-key"])
    assert config.settings.state.url.get_secret_value() == "sqlite:///state/ledger.db"
    needed = config.settings.service.grace.total_seconds() + OUTPUT_GRACE_S + SEALING_S
    (stop,) = service["TimeoutStopSec"]
    assert needed <= int(stop.removesuffix("s")) <= 2 * needed


@pytest.mark.parametrize(
    ("unit", "never", "fine"),
    [
        ("collector.service", {ExitCode.USAGE}, set()),
        (
            "collector-collect.service",
            {ExitCode.USAGE, ExitCode.INCOMPLETE, ExitCode.REFUSED},
            {ExitCode.TERMINATED},
        ),
    ],
)
def test_exit_codes_restart_it_where_that_can_help(unit: str, never: set[int], fine: set[int]) -> None:
    service = section(unit)
    assert service["Restart"] == ["on-failure"]
    assert {int(code) for code in service["RestartPreventExitStatus"][0].split()} == never
    assert {int(code) for value in service.get("SuccessExitStatus", []) for code in value.split()} == fine
    assert int(section(unit, "Unit")["StartLimitBurst"][0]) >= 3


def test_timer_starts_the_run_every_hour_and_makes_up_for_what_was_missed() -> None:
    timer = section("collector-collect.timer", "Timer")
    assert timer["Persistent"] == ["true"]
    elapses = analyze("calendar", "--iterations=3", timer["OnCalendar"][0])
    assert len(re.findall(r":20:00 UTC", elapses)) >= 3
    assert section("collector-collect.service")["RuntimeMaxSec"] == ["55min"]


def run_by_hand(tmp_path: Path, *args: str) -> list[str]:
    """The arguments that `collector-run` gives systemd-run."""
    fake = tmp_path / "bin" / "systemd-run"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    env = {"PATH": f"{fake.parent}:/usr/bin:/bin"}
    done = subprocess.run([UNITS / "collector-run", *args], env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_command_by_hand_runs_as_the_units_run_it(tmp_path: Path) -> None:
    given = run_by_hand(tmp_path, "status", "--org", "a b", "--json")
    properties: dict[str, list[str]] = defaultdict(list)
    for word in given:
        if word.startswith("--property="):
            key, _, value = word.removeprefix("--property=").partition("=")
            properties[key].append(value.replace("/var/lib", "%S"))
    assert len(properties) > 10
    unit = section("collector.service")
    assert {key: unit[key] for key in properties} == properties
    assert properties.keys() >= {"LoadCredential", "User", "StateDirectory", "UMask", "WorkingDirectory"}
    assert given[-5:] == ["collector", "status", "--org", "a b", "--json"]
    shell = given[given.index("/bin/sh") : given.index("/bin/sh") + 3]
    assert shell[1] == "-c"
    assert f'COLLECTOR_CONFIG=${{CREDENTIALS_DIRECTORY}}/collector.yaml exec {BINARY} "$@"' == shell[2]


def test_a_command_that_is_shown_can_be_pasted_behind_it(tmp_path: Path) -> None:
    copied = "-c", "/run/credentials/collector.service/collector.yaml"
    ours = ["--state", "sqlite:////var/lib/collector/state/ledger.db", "-o", "/var/lib/collector/usage"]
    given = run_by_hand(tmp_path, "collector", "backfill", *copied, *ours, "--from", "2026-01-01")
    args = given[given.index("collector") + 1 :]
    assert args == ["backfill", *ours, "--from", "2026-01-01"]
    assert_taken(args)
    own = ["status", "-c", "/etc/elsewhere.yaml"]
    assert run_by_hand(tmp_path, *own)[-3:] == own


def test_user_is_made_by_what_is_shipped() -> None:
    (line,) = [line for line in (UNITS / "collector.sysusers").read_text().splitlines() if not line.startswith("#")]
    assert line.split()[:2] == ["u", "collector"]
    assert section("collector.service")["User"] == ["collector"]
