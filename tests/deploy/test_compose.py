"""compose.yaml against the program: what it runs, mounts and asks for health; and its simulated API for real."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector import __version__
from collector.config import LoadedConfig
from collector.run.run import OUTPUT_GRACE_S
from collector.service.web.guard import is_allowed_host
from tests.deploy.support import DEPLOY, assert_taken, load_with_secrets
from tests.support.commands import COLLECTOR, collector, environment, started

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
    assert ours["pull_policy"] == "${COLLECTOR_PULL:-never}"  # who owns that name on a registry is unknown


@pytest.mark.parametrize("service", OURS)
def test_commands_are_ones_that_the_program_takes(service: str) -> None:
    assert_taken(SERVICES[service]["command"])


@pytest.fixture
def config(tmp_path: Path) -> LoadedConfig:
    """What the collector's container loads."""
    folder = DEPLOY / mounts("collector")["/etc/collector"]
    shutil.copytree(folder, tmp_path / "etc", ignore=shutil.ignore_patterns("secrets"))
    return load_with_secrets(tmp_path / "etc" / "collector.yaml", SECRETS, SERVICES["collector"]["environment"])


def test_config_and_variables_are_valid_and_write_where_a_volume_is(config: LoadedConfig) -> None:
    assert config.warnings == ()
    assert config.settings.output.path.startswith("/data/")
    assert config.settings.state.url.get_secret_value().startswith("sqlite:////data/")
    assert mounts("collector")["/data"] in COMPOSE["volumes"]


def test_a_stop_leaves_time_to_drain_write_and_seal(config: LoadedConfig) -> None:
    needed = config.settings.service.grace.total_seconds() + OUTPUT_GRACE_S + SEALING_S
    assert needed <= int(SERVICES["collector"]["stop_grace_period"].removesuffix("s")) <= 2 * needed


def test_this_machine_reaches_the_service_and_the_network_doesn_t(config: LoadedConfig) -> None:
    service = config.settings.service
    assert service.host == "0.0.0.0"  # noqa: S104 - the container's own
    assert SERVICES["collector"]["ports"] == [f"127.0.0.1:{service.port}:{service.port}"]
    for name in ("prometheus", "grafana"):
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_prometheus_asks_the_collector_and_grafana_asks_prometheus(config: LoadedConfig) -> None:
    prometheus = DEPLOY / mounts("prometheus")["/etc/prometheus"] / "prometheus.yml"
    scrapes = yaml.safe_load(prometheus.read_text())["scrape_configs"]
    targets = [target for job in scrapes for group in job["static_configs"] for target in group["targets"]]
    assert "collector:8080" in targets
    assert is_allowed_host("collector:8080", config.settings.service.allowed_hosts)
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
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?", SERVICES[name]["image"])
        assert SERVICES[name]["pull_policy"] == "missing"


def test_simulated_profile_collects_without_an_account(tmp_path: Path) -> None:
    """What the profile's services do, in their order, with a folder in the place of their volume."""
    first, simulator = SERVICES["simulated-config"], SERVICES["simulator"]
    assert simulator["network_mode"] == "service:collector"
    assert mounts("simulated-config")["/data"] == "simulated"
    assert "COLLECTOR_ETC=simulated" in (DEPLOY / "compose.yaml").read_text()
    config = tmp_path / "collector.yaml"
    command = [arg.replace("/data/collector.yaml", str(config)) for arg in first["command"]]
    subprocess.run(
        [*COLLECTOR, *command], check=True, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    with started(*simulator["command"], cwd=tmp_path) as running:
        assert running.stdout is not None
        running.stdout.readline()
        done = collector("collect", "-c", config, "--last", "3d", "--state", "none", cwd=tmp_path)
        running.terminate()
        running.communicate(timeout=120)
    assert done.code == 0, done.stderr
    assert len({r["org"] for r in done.records}) == 20
