"""The chart makes the objects of the overlays, and refuses values that can't be right."""

from __future__ import annotations

import functools
import json
import re
import tarfile
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from click.testing import CliRunner

from collector import __version__
from collector.cli.main import cli
from collector.config import LoadedConfig, load
from tests.deploy.helm import CHART, HELM, helm, notes, refusal, template
from tests.deploy.manifests import KUBERNETES, OVERLAYS, Built, Object, built_with, leaves
from tests.deploy.support import assert_taken
from tests.deploy.test_kubernetes import VERSIONS
from tests.support.monitoring import PROMETHEUS

EXAMPLE = ("-f", str(HELM / "values.example.yaml"))
SERVICE = (*EXAMPLE, "--set", "mode=service")
SHARDED = (*EXAMPLE, "-f", str(HELM / "sharded.example.yaml"))
BACKFILL = ("--set", "backfill.from=2026-01-01,backfill.to=2026-03-31")  # the range of the overlays

# Which overlays together are which values.
WAYS = {
    ("cronjob",): EXAMPLE,
    ("service",): SERVICE,
    ("service-sharded",): SHARDED,
    ("cronjob", "backfill"): (*EXAMPLE, *BACKFILL),
    ("service", "backfill"): (*SERVICE, *BACKFILL),
    ("service-sharded", "backfill-sharded"): (*SHARDED, *BACKFILL),
}
each_way = pytest.mark.parametrize("overlays", WAYS, ids="+".join)

# ---- The same objects


@functools.cache
def rendered(*args: str) -> Built:
    return template(*args)


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
    ],
)
def test_chart_makes_the_objects_of_a_component(
    component: str, under: str, values: tuple[str, ...], tmp_path: Path
) -> None:
    assert compared(rendered(*values)) == compared(built_with(component, under, tmp_path))


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


def is_test(one: Object) -> bool:
    return bool(one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test")


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


# ---- Values


def test_values_and_schema_have_the_same_keys() -> None:
    """So every value is documented, and any other is refused."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def resolved(one: Object) -> Object:
        return schema["definitions"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one

    def look(one: Object, below: Any, path: str) -> None:
        properties = one.get("properties")
        if properties is None or path in {".config", ".pod"}:  # the collector's own, and a choice of a pod's fields
            return
        assert one["additionalProperties"] is False, path
        assert properties.keys() - {"global"} == below.keys(), path
        assert path == ".resources" or set(one["required"]) == below.keys(), path  # null removes a key
        for key in below:
            look(resolved(properties[key]), below[key], f"{path}.{key}")

    look(schema, values, "")
    assert schema["properties"]["pod"]["additionalProperties"] is False


def test_config_has_the_keys_that_the_collector_knows() -> None:
    """So a misspelt one is refused before a pod starts. A key that is new in the collector is new in the schema."""
    chart = json.loads((CHART / "values.schema.json").read_text())
    config = CliRunner().invoke(cli, ["schema", "config"]).output
    ours = json.loads(config)
    theirs = chart["properties"]["config"]
    assert set(key_paths(theirs, chart)) == set(key_paths(ours, ours))
    orgs = {"properties": ours["$defs"]["OrgSettings"]["properties"]}
    assert set(key_paths(chart["definitions"]["orgs"]["items"], chart)) == set(key_paths(orgs, ours))


def key_paths(schema: Any, root: Object, path: str = "") -> Iterator[str]:
    """Each key that a schema allows, with those below it."""
    if schema is True:
        return
    for one in (schema, *schema.get("anyOf", [])):
        if "$ref" in one:
            _, place, name = one["$ref"].split("/")
            yield from key_paths(root[place][name], root, path)
        for key, below in one.get("properties", {}).items():
            yield f"{path}.{key}"
            yield from key_paths(below, root, f"{path}.{key}")


NAME = "orgs[0].name=acme"
IMAGE = "image.repository=registry.example.com/c,image.tag=main"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (f"{NAME}", r"Set image.repository to the address of your image\. A release has it in image-reference.txt"),
        (f"{NAME},image.repository=a/b", r"Set image.digest to the digest of your image, or image.tag if"),
        (f"{IMAGE}", r"Set orgs to a list of orgs, or existingConfigMap to a ConfigMap with collector.yaml"),
        (f"{IMAGE},{NAME},existingConfigMap=mine", r"Both existingConfigMap and orgs are set\. Put the orgs into"),
        (f"{IMAGE},{NAME},mode=sharded", r"mode: sharded needs postgresql.url: all shards share one ledger"),
        (f"{IMAGE},{NAME},backfill.from=2026-01-01", r"Set both backfill.from and backfill.to, or neither"),
        (f"{IMAGE},{NAME},backfill.to=2026-01-01", r"Set both backfill.from and backfill.to, or neither"),
        (
            f"{IMAGE},{NAME},backfill.from=2026-03-01,backfill.to=2026-02-01",
            r"backfill.from \(2026-03-01\) is later than backfill.to \(2026-02-01\)",
        ),
        (f"{IMAGE},{NAME},prometheusRule.enabled=true", r"prometheusRule with mode: cronjob needs pushgateway.url"),
        (f"{IMAGE},{NAME},podMonitor.enabled=true", r"podMonitor is for the modes service and sharded"),
        (f"{IMAGE},{NAME},proxy.url=http://p:3128", r"Set proxy.to: where it is"),
        (
            f"{IMAGE},{NAME},mode=sharded,postgresql.url=postgresql://c@db:5432/c,persistence.existingClaim=mine",
            r"persistence.existingClaim is for one pod",
        ),
        (f"{IMAGE},{NAME},config.outptu.path=/data", r"at '/config': additional properties 'outptu' not allowed"),
        (f"{IMAGE},{NAME},config.api.timeuot=9s", r"at '/config/api': additional properties 'timeuot' not allowed"),
        (f"{IMAGE},{NAME},orgs[0].lables.a=b", r"at '/orgs/0': additional properties 'lables' not allowed"),
        (f"{IMAGE},{NAME},schedule=@daily", r"additional properties 'schedule' not allowed"),
        (f"{IMAGE},{NAME},image.tga=1", r"at '/image': additional properties 'tga' not allowed"),
        (f"{IMAGE},{NAME},pod.hostNetwork=true", r"at '/pod': additional properties 'hostNetwork' not allowed"),
        (f"{IMAGE},{NAME},mode=deployment", r"at '/mode': value must be one of 'cronjob', 'service', 'sharded'"),
        (f"{IMAGE},{NAME},env.A=1", r"at '/env/A': got number, want string"),
        (f"{IMAGE},{NAME},image.digest=sha256:0", r"at '/image/digest': 'sha256:0' does not match pattern"),
        (f"{IMAGE},{NAME},config.service.port=http", r"at '/config/service/port': got string, want integer"),
        (f"{IMAGE},{NAME},proxy=null", r"missing property 'proxy'"),
        (f"{IMAGE},{NAME},sharded.shards=0", r"at '/sharded/shards': minimum: got 0, want 1"),
    ],
)
def test_wrong_values_are_refused_with_what_to_do(wrong: str, message: str) -> None:
    assert re.search(message, refusal("--set", wrong))


@pytest.mark.parametrize(
    "secret",
    [
        "orgs[0].access_key=hunter2",
        "orgs[0].token=hunter2",
        "config.orgs[0].name=b,config.orgs[0].token=hunter2",
        "orgs[0].token_env=ACME,env.ACME=hunter2",
        "postgresql.url=postgresql://collector:hunter2@db/collector",
        "postgresql.url=postgresql://collector:hunter2/@@db:5432/collector",
        "config.state.url=postgresql://db/collector?user=collector&password=hunter2",
        "env.COLLECTOR_STATE__URL=postgresql://collector:hunter2@db/collector",
    ],
)
def test_secret_in_the_values_is_refused_and_not_shown(secret: str) -> None:
    message = refusal("--set", f"{IMAGE},{NAME},{secret}")
    assert "Put it into the Secret: " in message
    assert "hunter2" not in message


@each_way
def test_chart_makes_no_secret(overlays: tuple[str, ...]) -> None:
    assert not rendered(*WAYS[overlays]).kind("Secret")


def test_config_means_what_it_means_in_a_file(tmp_path: Path) -> None:
    """Helm writes the YAML anew. No date, time, number or null becomes another."""
    config = (HELM.parents[1] / "config" / "collector.example.yaml").read_text()
    config = config.replace('org_files: ["orgs.d/*.yaml"]', "org_files: [orgs.yaml]")
    orgs = """
      - name: "0644"
        since: 2026-01-01
        token_env: GLOBEX_TOKEN
        timezone: "+05:30"
        labels: {time: "04:30", number: "1e3", zeros: "0042", switch: "on", "null": "~"}
        base_url: null
    """
    (tmp_path / "orgs.yaml").write_text(orgs)
    (tmp_path / "collector.yaml").write_text(config)
    values = tmp_path / "values.yaml"
    values.write_text(f"config:\n{textwrap.indent(config, '  ')}\norgs:{orgs}")
    environ = dict.fromkeys(["ACME_USERNAME", "ACME_ACCESS_KEY", "GLOBEX_TOKEN"], "made-up")
    by_helm = load(template(*EXAMPLE, "-f", values).write_config(tmp_path / "pod"), environ=environ)
    by_hand = load(tmp_path / "collector.yaml", environ=environ)
    assert by_helm.settings == by_hand.settings
    assert sorted_labels(by_helm) == sorted_labels(by_hand)
    assert [org.name for org in by_helm.orgs] == ["acme", "globex", "0644"]


def sorted_labels(config: LoadedConfig) -> list[str]:
    """Return each org but for its credential; Helm sorts keys."""
    return [repr(replace(org, labels=dict(sorted(org.labels.items())))) for org in config.orgs]


@pytest.mark.parametrize("text", ["org_id=0042", "labels.cost_center=0042", "labels.a=true", "name=42"])
def test_org_with_text_that_helm_would_change_is_refused(text: str) -> None:
    """The collector takes `cost_center: 0042` as it is written. Helm would make it 34."""
    text = text.replace("0042", "42")  # as YAML's number; `--set` itself takes zeros in front as text
    message = refusal("--set", f"{IMAGE},{NAME},orgs[0].{text}")
    assert re.search(r"at '/orgs/0/[\w/]+': got (number|boolean), want", message)


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


# ---- What is the user's own


def test_two_releases_in_a_namespace_share_nothing() -> None:
    """Also with a long name: Kubernetes allows 63 characters, and 52 for a CronJob."""
    other = template(*EXAMPLE, *BACKFILL, name="a-second-collector-for-the-subsidiary-in-japan")
    first = rendered(*EXAMPLE, *BACKFILL)
    names = {(one["kind"], one["metadata"]["name"]) for one in first.objects}
    for one in other.objects:
        kind, name = one["kind"], one["metadata"]["name"]
        assert (kind, name) not in names
        assert len(name) <= (52 if kind == "CronJob" else 63)
    for built, instance in ((first, "usage-collector"), (other, "a-second-collector-for-the-subsidiary-in-japan")):
        for path, value in leaves(list(built.objects)):
            if path[-1] == "app.kubernetes.io/instance":
                assert value == instance
        selectors = [policy["spec"]["podSelector"]["matchLabels"] for policy in built.kind("NetworkPolicy")]
        assert all("app.kubernetes.io/instance" in selector for selector in selectors)


def test_config_secret_and_volume_can_be_the_user_s_own() -> None:
    values = "existingConfigMap=mine,existingSecret=ours,persistence.existingClaim=disk"
    built = rendered(*BACKFILL, "--set", f"{IMAGE},{values}")
    assert [one["metadata"]["name"] for one in built.kind("ConfigMap")] == ["usage-collector-env"]
    assert not built.kind("PersistentVolumeClaim")
    for pod in built.pods:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["config"]["configMap"] == {"name": "mine"}
        assert volumes["credentials"]["secret"]["secretName"] == "ours"
        assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "disk"}


def test_pods_are_placed_and_limited_as_the_values_say(tmp_path: Path) -> None:
    values = """
      pod: {nodeSelector: {disk: ssd}, tolerations: [{operator: Exists}], imagePullSecrets: [{name: mine}]}
      podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}
      resources: {limits: {memory: 1Gi}}
      persistence: {storageClass: fast, size: 50Gi}
      networkPolicy: {internet: false}
      config: {service: {port: 9000}}
    """
    (tmp_path / "values.yaml").write_text(values)
    built = template(*SERVICE, "-f", tmp_path / "values.yaml")
    pod = built.pod
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"disk": "ssd"}, [{"operator": "Exists"}])
    assert pod["imagePullSecrets"] == [{"name": "mine"}]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod["securityContext"].keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert built.container["resources"] == {
        "requests": {"cpu": "50m", "memory": "320Mi"},
        "limits": {"memory": "1Gi"},
    }
    claim = built.named("PersistentVolumeClaim", "usage-collector-data")["spec"]
    assert (claim["storageClassName"], claim["resources"]) == ("fast", {"requests": {"storage": "50Gi"}})
    assert built.ports == {"http": 9000}
    assert built.template["metadata"]["annotations"]["prometheus.io/port"] == "9000"
    policy = built.named("NetworkPolicy", "usage-collector")["spec"]
    assert [rule["ports"][0]["port"] for rule in policy["ingress"]] == [9000]
    assert [rule["ports"][0]["port"] for rule in policy["egress"]] == [53]
    for one in built.objects:
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)


def test_another_chart_may_depend_on_this_one() -> None:
    """Then Helm hands its `global` down."""
    assert rendered(*EXAMPLE, "--set", "global.registry=registry.example.com") == rendered(*EXAMPLE)


def test_image_may_be_a_tag_if_the_user_says_so() -> None:
    built = rendered("--set", f"{IMAGE},{NAME}")
    assert built.container["image"] == "registry.example.com/c:main"
