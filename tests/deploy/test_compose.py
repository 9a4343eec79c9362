"""compose.yaml against the program: what it runs, mounts and asks for health; and its simulated API for real."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector import __version__
from collector.config import load
from collector.run import OUTPUT_GRACE_S
from tests.deploy.support import DEPLOY, assert_taken, load_with_secrets
from tests.support.commands import collector, environment, started

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("collector", "simulator", "simulated-config")
SEALING_S = 10
SECRETS = ("secrets/acme-username", "secrets/acme-access-key")


def mounts(service: str) -> dict[str, str]:
    """Source by target, variables at their defaults."""
    found = {}
    for volume in SERVICES[service].get("volumes", []):
        source, target = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).removesuffix(":ro").split(":")
        found[target] = source
    return found


@pytest.mark.parametrize("service", OURS)
def test_ours_run_unprivileged_over_a_read_only_root(service: str) -> None:
    ours = SERVICES[service]
    assert ours["read_only"] is True
    assert ours["cap_drop"] == ["ALL"]
    assert ours["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in ours  # the image's
    assert ours["image"] == f"${{COLLECTOR_IMAGE:-usage-collector:{__version__}}}"


@pytest.mark.parametrize("service", ["collector", "simulator"])
def test_commands_are_ones_that_the_program_takes(service: str) -> None:
    assert_taken(SERVICES[service]["command"])


def test_config_is_valid_and_writes_where_a_volume_is(tmp_path: Path) -> None:
    folder = DEPLOY / mounts("collector")["/etc/collector"]
    shutil.copytree(folder, tmp_path / "etc", ignore=shutil.ignore_patterns("secrets"))
    config = load_with_secrets(tmp_path / "etc" / "collector.yaml", SECRETS)
    assert config.warnings == ()
    command = SERVICES["collector"]["command"]
    assert command[command.index("-o") + 1].startswith("/data/")
    assert config.settings.state.url.get_secret_value().startswith("sqlite:////data/")
    assert mounts("collector")["/data"] in COMPOSE["volumes"]
    needed = config.settings.service.grace.total_seconds() + OUTPUT_GRACE_S + SEALING_S
    assert needed <= int(SERVICES["collector"]["stop_grace_period"].removesuffix("s")) <= 2 * needed


def test_prometheus_and_people_reach_the_service_and_the_network_doesn_t(tmp_path: Path) -> None:
    folder = DEPLOY / mounts("collector")["/etc/collector"]
    shutil.copytree(folder, tmp_path / "etc", ignore=shutil.ignore_patterns("secrets"))
    service = load_with_secrets(tmp_path / "etc" / "collector.yaml", SECRETS).settings.service
    assert service.host == "0.0.0.0"  # noqa: S104 - the container's own
    assert "collector" in service.allowed_hosts
    for name in ("collector", "prometheus", "grafana"):
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])
    assert SERVICES["collector"]["ports"] == [f"127.0.0.1:{service.port}:{service.port}"]


def test_prometheus_asks_the_collector_and_grafana_asks_prometheus() -> None:
    prometheus = DEPLOY / mounts("prometheus")["/etc/prometheus"] / "prometheus.yml"
    scrapes = yaml.safe_load(prometheus.read_text())["scrape_configs"]
    targets = [target for job in scrapes for group in job["static_configs"] for target in group["targets"]]
    assert "collector:8080" in targets
    grafana = mounts("grafana")
    provisioning = DEPLOY / grafana["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "collector.yaml").read_text())["providers"]
    (dashboard,) = [target for target in grafana if target.startswith(provider["options"]["path"])]
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == dashboard


@pytest.mark.parametrize("service", SERVICES)
def test_every_file_that_is_mounted_is_there(service: str) -> None:
    for source in mounts(service).values():
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]


def test_images_of_others_are_pinned() -> None:
    for name in set(SERVICES) - set(OURS):
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_simulated_profile_collects_without_an_account(tmp_path: Path) -> None:
    """What the two services of the profile do, in their order, with their folders put below a temporary one."""
    (script,) = SERVICES["simulated-config"]["command"]
    assert SERVICES["simulated-config"]["entrypoint"] == ["sh", "-c"]
    assert SERVICES["simulator"]["network_mode"] == "service:collector"
    assert "simulated" in mounts("simulated-config").values()
    service = DEPLOY / mounts("simulated-config")["/etc/collector/service.yaml"]
    config = tmp_path / "collector.yaml"
    script = script.replace("/data/collector.yaml", str(config)).replace("/etc/collector/service.yaml", str(service))
    script = f'collector() {{ {sys.executable} -m collector "$@"; }}\n{script}'
    subprocess.run(["sh", "-c", script], check=True, env=environment(), capture_output=True, timeout=60)
    assert config.stat().st_mode & 0o777 == 0o600
    assert load(config, environ={}).settings.service.host == "0.0.0.0"  # noqa: S104 - the container's own
    with started(*SERVICES["simulator"]["command"], cwd=tmp_path) as simulator:
        assert simulator.stdout is not None
        simulator.stdout.readline()
        done = collector("collect", "-c", config, "--last", "3d", "--state", "none", cwd=tmp_path)
        simulator.terminate()
        simulator.communicate(timeout=20)
    assert done.code == 0, done.stderr
    assert len({r["org"] for r in done.records}) == 20
