"""The chart makes the objects of the overlays, and what only Helm has."""

from __future__ import annotations

import functools
import re
import tarfile
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from collector import __version__
from tests.deploy.helm import (
    BACKFILL,
    CHART,
    EXAMPLE,
    SERVICE,
    SHARDED,
    WAYS,
    each_way,
    helm,
    is_test,
    notes,
    rendered,
    template,
)
from tests.deploy.manifests import KUBERNETES, OVERLAYS, Built, Object, built_with
from tests.deploy.support import assert_taken
from tests.deploy.test_kubernetes import VERSIONS
from tests.support.monitoring import PROMETHEUS

# ---- The same objects


@functools.cache
def overlay(name: str) -> Built:
    return Built.of(KUBERNETES / "overlays" / name)


def test_each_overlay_is_compared_with_the_chart() -> None:
    """A new way of running belongs into the chart too: add its overlay to WAYS, with the values that make it."""
    assert {name for names in WAYS for name in names} == set(OVERLAYS)


@each_way
def test_chart_makes_the_objects_of_the_overlays(overlays: tuple[str, ...]) -> None:
    wanted: dict[str, Object] = {}
    for name in overlays:
        wanted |= compared(overlay(name))
    assert compared(rendered(*WAYS[overlays])) == wanted


TABLE = (
    "postgresql://collector@postgresql.databases.svc/warehouse/billing.usage_records?sslmode=verify-full"
    "&sslrootcert=/run/secrets/usage-collector/postgresql-ca.crt"
)


@pytest.mark.parametrize(
    ("component", "under", "values"),
    [
        ("podmonitor", "service", (*SERVICE, "--set", "podMonitor.enabled=true")),
        ("podmonitor", "service-sharded", (*SHARDED, "--set", "podMonitor.enabled=true")),
        (
            "proxy",
            "cronjob",
            (*EXAMPLE, "--set", "proxy.url=http://proxy.example.internal:3128,proxy.to[0].ipBlock.cidr=10.0.0.10/32"),
        ),
        ("pushgateway", "cronjob", (*EXAMPLE, "--set", "pushgateway.url=http://pushgateway.monitoring.svc:9091")),
        ("table", "service", (*SERVICE, "--set", f"table.url={TABLE}")),
        ("cloud-metadata", "cronjob", (*EXAMPLE, "--set", "networkPolicy.cloudMetadata=true")),
        *(
            ("secret-variables", overlay, (*way, "--set", "envFrom[0].secretRef.name=usage-collector-variables"))
            for overlay, way in (("cronjob", EXAMPLE), ("service-sharded", SHARDED))
        ),
    ],
)
def test_chart_makes_the_objects_of_a_component(
    component: str, under: str, values: tuple[str, ...], tmp_path: Path
) -> None:
    assert compared(rendered(*values)) == compared(built_with(component, under, tmp_path))


@pytest.mark.parametrize("way", [EXAMPLE, SERVICE, SHARDED])
def test_a_receiver_of_otlp_has_its_place_in_variables_and_policy(way: tuple[str, ...]) -> None:
    url = "http://otel-collector.monitoring.svc:4318"
    one = rendered(*way, "--set", f"otlp.url={url}")
    (rule,) = one.named("NetworkPolicy", "usage-collector-otlp")["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 4318}]
    assert rule["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    values = [object_["data"] for object_ in one.objects if object_["kind"] == "ConfigMap"]
    assert any(data.get("COLLECTOR_PUSH__OTLP__ENDPOINT") == url for data in values)


# What only Helm adds, or what only one of the two can say.
ADDED = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "helm.sh/resource-policy",
    "checksum/env",  # kustomize has the hash in the ConfigMap's name
}
HASHED = re.compile(r"^(usage-collector-(?:env|backfill))-[0-9a-z]{10}$")


def compared(built: Built) -> dict[str, Object]:
    """Each object by kind and name, without what is Helm's or kustomize's own."""
    objects = {}
    for one in built.objects:
        if one["kind"] == "Namespace" or is_test(one):  # Helm's user makes the namespace
            continue
        same = without_own(with_range(one, built))
        name = f"{same['kind']} {same['metadata']['name']}"
        assert name not in objects
        objects[name] = same
    objects.pop("ConfigMap usage-collector-backfill", None)
    return objects


def with_range(one: Object, built: Built) -> Object:
    """With the range of a backfill in its arguments. kustomize has it in a ConfigMap and in variables."""
    if one["kind"] != "Job":
        return one
    (container,) = one["spec"]["template"]["spec"]["containers"]
    variables = Built((one, *built.kind("ConfigMap"))).environ
    args = [re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], arg) for arg in container["args"]]
    env = [variable for variable in container.get("env", []) if "valueFrom" not in variable]
    changed = {"args": args, "env": env}
    template_of_pod = one["spec"]["template"]
    pod = template_of_pod["spec"] | {"containers": [container | changed]}
    return one | {"spec": one["spec"] | {"template": template_of_pod | {"spec": pod}}}


def without_own(value: Any, key: str = "") -> Any:
    match value:
        case dict():
            kept = {k: without_own(v, k) for k, v in value.items() if k not in ADDED}
            return {k: v for k, v in kept.items() if not (k in {"annotations", "data", "env"} and not v)}
        case list():
            return [without_own(one) for one in value]
        case str() if key.endswith(".yaml"):
            return yaml.safe_load(value)
        case str():
            return HASHED.sub(r"\1", value)
        case _:
            return value


# ---- Kubernetes


@pytest.mark.parametrize("version", VERSIONS)
@each_way
def test_every_object_is_valid(overlays: tuple[str, ...], version: str) -> None:
    for one in rendered(*WAYS[overlays]).objects:
        assert kubernetes_validate.validate(one, version, strict=True) == version


@each_way
def test_chart_is_linted_without_a_warning(overlays: tuple[str, ...]) -> None:
    done = helm("lint", CHART, "-n", "usage-collector", *WAYS[overlays])
    assert (done.returncode, done.stdout) == (0, "1 Chart.yaml: icon is recommended\n"), done.stderr


def test_chart_alone_is_linted_without_an_error() -> None:
    """As `ct lint` does it: without values, of which some have no default."""
    assert helm("lint", CHART).returncode == 0


def test_archive_of_a_release_is_the_whole_chart(tmp_path: Path) -> None:
    """Also the rules, which are links here."""
    archive = Path(helm("package", CHART, "-d", tmp_path).stdout.strip())
    assert archive.name == f"usage-collector-{__version__}.tgz"
    with tarfile.open(archive) as files:
        assert all(file.isfile() for file in files)
    for way in (EXAMPLE, SHARDED):
        args = (*way, *BACKFILL, "--set", "prometheusRule.enabled=true,pushgateway.url=http://push:9091")
        assert template(*args, chart=archive) == template(*args)


def test_version_is_the_collector_s() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


# ---- What changes restart


def pods_of(*args: str) -> Object:
    return rendered(*args).template


@pytest.mark.parametrize("way", [SERVICE, SHARDED])
def test_changed_variables_restart_pods_and_a_changed_config_doesn_t(way: tuple[str, ...]) -> None:
    """As kustomize's hash in the name of one ConfigMap; `serve` reloads the other."""
    before = pods_of(*way)
    assert pods_of(*way, "--set", "env.COLLECTOR_LOG__LEVEL=debug") != before
    assert pods_of(*way, "--set", "pushgateway.url=http://push:9091") != before
    changed = (*way, "--set", "config.log.level=debug", "--set", "orgs[0].name=other")
    assert pods_of(*changed) == before
    config = [one.named("ConfigMap", "usage-collector") for one in (rendered(*way), rendered(*changed))]
    assert config[0] != config[1]


def test_another_backfill_is_another_job_and_the_same_is_the_same() -> None:
    """Kubernetes refuses to change a Job: helm must make a new one, and only then."""

    def job(*args: str) -> str:
        (found,) = rendered(*EXAMPLE, *BACKFILL, *args).kind("Job")
        return str(found["metadata"]["name"])

    first = job()
    assert job("--set", "cronjob.schedule=5 * * * *") == job("--set", "config.log.level=debug") == first
    others = ["backfill.to=2026-04-01", "image.tag=0.0.9", "env.COLLECTOR_LOG__LEVEL=debug", "resources.limits.cpu=2"]
    assert len({first, *(job("--set", other) for other in others)}) == 1 + len(others)


def test_ledger_and_records_outlive_the_release() -> None:
    for way in ((*EXAMPLE, *BACKFILL), (*SHARDED, *BACKFILL)):
        (claim,) = rendered(*way).kind("PersistentVolumeClaim")
        assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


# ---- What it says


@each_way
def test_notes_name_objects_that_there_are(overlays: tuple[str, ...]) -> None:
    built = rendered(*WAYS[overlays])
    text = notes(*WAYS[overlays])
    kinds = {"cronjob": "CronJob", "service": "Service"}
    commands = re.findall(r"kubectl .*", text)
    assert all(command.startswith("kubectl -n usage-collector ") for command in commands)
    (secret,) = re.findall(r"create secret generic (\S+)", text)
    assert secret in {volume.get("secret", {}).get("secretName") for one in built.pods for volume in one["volumes"]}
    for kind, name in re.findall(r"\b(cronjob|service)/(\S+)", text):
        built.named(kinds[kind], name)
    for name in re.findall(r"pod/(\S+)-0 8080:8080", text):
        built.named("StatefulSet", name)
    assert ("backfill" in text) == ("backfill" in overlays[-1])


@each_way
def test_helm_test_checks_the_same_pod_s_config_and_secrets(overlays: tuple[str, ...]) -> None:
    built = rendered(*WAYS[overlays])
    (test,) = [one for one in built.objects if is_test(one)]
    (container,) = test["spec"]["containers"]
    assert_taken(container["args"])
    assert container["args"][0] == "check"
    pod = built.pods[0]
    assert container["volumeMounts"] == pod["containers"][0]["volumeMounts"]
    volumes = {volume["name"]: volume for volume in test["spec"]["volumes"]}
    for name in ("config", "credentials"):
        assert volumes[name] in pod["volumes"]
    assert volumes.keys() == {mount["name"] for mount in container["volumeMounts"]}
    assert {name: test["spec"][name] for name in ("securityContext", "restartPolicy")} == {
        "securityContext": pod["securityContext"],
        "restartPolicy": "Never",
    }


# ---- Prometheus' operator


@pytest.mark.parametrize(
    ("values", "files"),
    [
        (SERVICE, ["rules.yml", "rules.serve.yml"]),
        (SHARDED, ["rules.yml", "rules.serve.yml"]),
        ((*EXAMPLE, "--set", "pushgateway.url=http://push:9091"), ["rules.yml", "rules.pushgateway.yml"]),
    ],
)
def test_rules_are_those_of_the_way_of_running(values: tuple[str, ...], files: list[str]) -> None:
    (rule,) = rendered(*values, "--set", "prometheusRule.enabled=true,prometheusRule.labels.release=kps").kind(
        "PrometheusRule"
    )
    groups = [group for file in files for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]]
    assert rule["spec"] == {"groups": groups}
    assert rule["metadata"]["labels"]["release"] == "kps"


def test_operator_gets_the_token_that_the_service_wants() -> None:
    values = "podMonitor.enabled=true,podMonitor.tokenKey=token,podMonitor.labels.release=kps"
    (monitor,) = rendered(*SERVICE, "--set", values).kind("PodMonitor")
    (end,) = monitor["spec"]["podMetricsEndpoints"]
    assert end["authorization"] == {"credentials": {"name": "usage-collector-credentials", "key": "token"}}
    assert monitor["metadata"]["labels"]["release"] == "kps"
