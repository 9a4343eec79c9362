"""docs/deploy.md: each of its commands is run here, or what it names is looked up where it has to be.

So is what the other documents say about the cluster.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from collector import __version__
from tests.deploy.helm import WAYS, helm, objects_of, template
from tests.deploy.manifests import OVERLAYS, Built
from tests.deploy.support import DEPLOY, assert_taken
from tests.support.needs import need

ROOT = DEPLOY.parent
DOCS = ROOT / "docs"
TEXT = (DOCS / "deploy.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def words(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def of(*start: str) -> list[list[str]]:
    found = [words(command) for command in COMMANDS]
    matching = [command for command in found if tuple(command[: len(start)]) == start]
    assert matching, start
    return matching


def test_every_command_is_of_a_kind_that_is_looked_at_below() -> None:
    known = {"docker", "kubectl", "install", "systemctl", "systemd-sysusers", "python3", "/opt/collector/bin/pip"}
    known |= {"collector-run", "cp", "helm", "mkdir"}
    programs = {next(word for word in words(command) if "=" not in word) for command in COMMANDS}
    assert programs == known


def test_docker_builds_with_arguments_and_secrets_that_the_dockerfile_has() -> None:
    for command in of("docker", "build"):
        for option, value in pairwise(command):
            if option == "--build-arg":
                assert re.search(rf"^ARG {value.partition('=')[0]}\b", DOCKERFILE, re.MULTILINE)
            if option == "--secret":
                assert f"--mount=type=secret,{value.partition(',')[0]} " in DOCKERFILE
            if option == "-t":
                assert value == f"usage-collector:{__version__}"


def test_docker_runs_a_command_of_the_program_on_the_image_s_folders() -> None:
    (command,) = of("docker", "run")
    image = command.index(f"usage-collector:{__version__}")
    assert_taken(command[image + 1 :])
    mounted = {value.removesuffix(":ro").rpartition(":")[2] for value in command if ":/" in value}
    assert mounted == {"/etc/collector", "/data"}
    assert "mkdir -p /image/opt /image/etc/collector /image/data" in DOCKERFILE


def test_kubectl_is_pointed_at_overlays_and_objects_that_there_are() -> None:
    overlays = {command[3].removeprefix("deploy/kubernetes/overlays/") for command in of("kubectl", "apply", "-k")}
    assert overlays <= set(OVERLAYS)
    for name in re.findall(r"`((?:service|backfill)-sharded)`", TEXT):
        assert name in OVERLAYS
    for command in of("kubectl", "apply", "-f"):
        assert (ROOT / command[3]).is_file()


def test_helm_makes_of_the_documented_values_what_the_overlays_make(tmp_path: Path) -> None:
    """The commands themselves, but for the cluster: tests/deploy/test_helm compares with the overlays."""
    (tmp_path / "deploy").symlink_to(DEPLOY)
    (example,) = of("cp")
    subprocess.run(example, cwd=tmp_path, check=True)
    made = [objects_of(helm(*command[1:], cwd=tmp_path)) for command in of("helm", "upgrade")]
    ways = [("cronjob",), ("service",), ("cronjob", "backfill"), ("service-sharded",)]
    assert made == [template(*WAYS[way]) for way in ways]
    (test,) = of("helm", "test")
    assert {test[2], *(command[3] for command in of("helm", "upgrade", "--install"))} == {"usage-collector"}
    assert f"`usage-collector-{__version__}.tgz`" in TEXT


KINDS = {
    "cronjob": ("CronJob", "cronjob"),
    "deploy": ("Deployment", "service"),
    "job": ("Job", "backfill"),
    "service": ("Service", "service"),
    "statefulset": ("StatefulSet", "service-sharded"),
}


@pytest.mark.parametrize(
    "document", ["README.md", "SECURITY.md", *(f"docs/{path.relative_to(DOCS)}" for path in DOCS.rglob("*.md"))]
)
def test_objects_that_documents_name_are_in_the_manifests(document: str) -> None:
    text = (ROOT / document).read_text()
    for command in re.findall(r"kubectl [^`|\n]*", text):
        assert "-n usage-collector " in command or command.startswith(("kubectl apply -k", "kubectl apply -f"))
    for kind, name in re.findall(r"\b(cronjob|deploy|job|service|statefulset)/([a-z]+-[a-z-]+)", text):
        known, overlay = KINDS[kind]
        if name != "by-hand":  # the runbook makes it
            Built.of(DEPLOY / "kubernetes" / "overlays" / overlay).named(known, name)


@pytest.mark.slow  # needs jq
def test_a_job_by_hand_has_a_command_of_the_program() -> None:
    """The runbook's way where there is only a CronJob: the filter, on the job of the CronJob."""
    text = (DOCS / "runbook.md").read_text()
    (changed,) = re.findall(r"jq '(.*?)'", text)
    need("jq", package="jq")
    job = {"spec": Built.of(DEPLOY / "kubernetes" / "overlays" / "cronjob").job}
    done = subprocess.run(["jq", changed], input=json.dumps(job), check=True, capture_output=True, text=True)
    (container,) = json.loads(done.stdout)["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "collector"
    assert_taken(container["args"])
    (others,) = re.findall(r"such as `(\[.*?\])`", text)
    assert_taken(json.loads(others))


def test_namespace_and_secret_are_there_before_a_pod_is() -> None:
    """Word for word: a Secret needs its namespace, a pod its Secret."""
    (block,) = [block for block in BLOCKS if "create secret" in block]
    namespace, secret, apply, *_ = block.splitlines()
    assert yaml.safe_load((ROOT / words(namespace)[-1]).read_text())["metadata"]["name"] == words(secret)[2]
    assert words(apply)[:3] == ["kubectl", "apply", "-k"]


def test_commands_by_hand_are_taken_and_go_where_the_units_do() -> None:
    commands = of("collector-run")
    assert {command[1] for command in commands} == {"check", "status", "backfill"}
    for command in commands:
        assert_taken(command[1:])
        assert command[1] != "backfill" or command[-2:] == ["-o", "usage"]


def test_secret_has_an_entry_for_each_file_that_the_orgs_name(tmp_path: Path) -> None:
    """The command itself, but for the cluster."""
    (command,) = [one for one in of("kubectl", "-n", "usage-collector") if "create" in one]
    mount = "/run/secrets/usage-collector/"
    orgs = (DEPLOY / "kubernetes" / "base" / "orgs.yaml").read_text()
    names = re.findall(rf"{mount}(\S+)", orgs)
    (tmp_path / "secrets").mkdir()
    for name in names:
        (tmp_path / "secrets" / name).write_text("made-up")
    kubectl = [str(Path(sys.executable).parent / "kubectl"), *command[1:], "--dry-run=client", "-o", "yaml"]
    done = subprocess.run(kubectl, cwd=tmp_path, check=True, capture_output=True, text=True)
    secret = yaml.safe_load(done.stdout)
    assert set(secret["data"]) == set(names)
    volumes = Built.of(DEPLOY / "kubernetes" / "overlays" / "cronjob").pod["volumes"]
    assert [v["secret"]["secretName"] for v in volumes if "secret" in v] == [secret["metadata"]["name"]]


def test_compose_file_has_the_profile_and_the_variable() -> None:
    compose = (DEPLOY / "compose.yaml").read_text()
    for command in COMMANDS:
        if "docker compose" in command:
            assert "-f deploy/compose.yaml" in command
            for profile in re.findall(r"--profile (\S+)", command):
                assert f"profiles: [{profile}]" in compose
            for variable in re.findall(r"^(\w+)=", command):
                assert f"${{{variable}:-" in compose


@pytest.mark.slow  # needs systemd
def test_systemd_s_files_are_installed_where_the_units_look(tmp_path: Path) -> None:
    """The commands themselves, below another root."""
    for command in of("install"):
        files = [part for word in command for part in (sorted(map(str, ROOT.glob(word))) if "*" in word else [word])]
        here = [str(tmp_path) + word if word.startswith(("/etc", "/usr")) else word for word in files]
        if "-t" in here:
            Path(here[here.index("-t") + 1]).mkdir(parents=True, exist_ok=True)
        subprocess.run(here, cwd=ROOT, check=True)
    etc = tmp_path / "etc" / "collector"
    assert {path.name for path in etc.iterdir()} == {"collector.yaml", "orgs.yaml", "secrets"}
    assert {path.stat().st_mode & 0o077 for path in etc.iterdir()} == {0}
    units = {path.name for path in (tmp_path / "etc/systemd/system").iterdir()}
    assert units == {"collector.service", "collector-collect.service", "collector-collect.timer"}
    for command in of("systemctl", "enable"):
        assert set(command[3:]) <= units
    need("systemd-sysusers", package="systemd")
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], check=True, capture_output=True)
    assert "\ncollector:" in "\n" + (tmp_path / "etc" / "passwd").read_text()


def test_the_environment_is_where_the_units_have_it() -> None:
    assert of("python3", "-m", "venv")[0][3] == "/opt/collector"
    first, second = of("/opt/collector/bin/pip", "install")
    assert (ROOT / first[-1]).exists()
    assert second[-1] == f"usage_collector-{__version__}-py3-none-any.whl"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_resources_are_those_that_follow_from_the_bill(overlay: str) -> None:
    found = re.search(r"requests (\{.*?\}), limits (\{.*?\})", TEXT)
    assert found
    requests, limits = map(yaml.safe_load, found.groups())
    built = Built.of(DEPLOY / "kubernetes" / "overlays" / overlay)
    assert built.container["resources"] == {"requests": requests, "limits": limits}
    memory = limits["memory"].removesuffix("i")
    for unit in (DEPLOY / "systemd").glob("*.service"):
        assert f"\nMemoryMax={memory}\n" in unit.read_text()
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert compose["services"]["collector"]["mem_limit"] == memory.lower()
