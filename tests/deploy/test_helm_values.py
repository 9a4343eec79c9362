"""The chart's values: what they change, and that values which can't be right are refused."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from click.testing import CliRunner

from collector.cli.main import cli
from collector.config import LoadedConfig, load
from tests.deploy.helm import (
    BACKFILL,
    CHART,
    EXAMPLE,
    HELM,
    SERVICE,
    WAYS,
    each,
    each_way,
    refusal,
    rendered,
    template,
)
from tests.deploy.manifests import Object, leaves
from tests.deploy.test_kubernetes import VERSIONS


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


def test_orgs_have_the_keys_that_the_collector_knows() -> None:
    """So a misspelt one is refused before a pod starts. The rest of the config is generated: test_helm_wrong_values."""
    chart = json.loads((CHART / "values.schema.json").read_text())
    ours = json.loads(CliRunner().invoke(cli, ["schema", "config"]).output)
    assert set(key_paths(chart["properties"]["config"], chart)) == set(key_paths(ours, ours))
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


WRONG = [
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
    (f"{IMAGE},{NAME},mode=service,reconcile.enabled=true", r"reconcile.enabled is for mode: cronjob"),
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
]


def test_wrong_values_are_refused_with_what_to_do() -> None:
    found = [made.get("error", "") for made in each([values] for values, _ in WRONG)]
    wrong = {v: text for (v, message), text in zip(WRONG, found, strict=True) if not re.search(message, text)}
    assert not wrong


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


@pytest.mark.parametrize("text", ["org_id=42", "labels.cost_center=42", "labels.a=true", "name=42"])
def test_org_with_text_that_helm_would_change_is_refused(text: str) -> None:
    """The collector takes `cost_center: 0042` as it is written. Helm would make it 34."""
    message = refusal("--set", f"{IMAGE},{NAME},orgs[0].{text}")
    assert re.search(r"at '/orgs/0/[\w/]+': got (number|boolean), want", message)


def test_price_that_helm_would_change_is_refused() -> None:
    """The collector takes `unit_price: 0.00001` as it is written. Helm would make it 1e-05: a price is text."""
    message = refusal("--set", f"{IMAGE},{NAME}", "--set", "config.prices.list[0].unit_price=7")
    assert "at '/config/prices/list/0/unit_price': got number, want string" in message


def test_budget_that_helm_would_change_is_refused() -> None:
    budget = ("name=a", "metric=tests", "amount=1000000")
    message = refusal("--set", ",".join([IMAGE, NAME, *(f"config.budgets[0].{one}" for one in budget)]))
    assert "at '/config/budgets/0/amount': got number, want string" in message


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


def test_an_output_in_an_object_store_is_reached_by_the_identity_of_the_cloud(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(
        textwrap.dedent("""
            config: {output: {path: "s3://bucket/usage"}}
            podLabels: {azure.workload.identity/use: "true"}
            serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::123456789012:role/usage"}}
        """)
    )
    built = template(*SERVICE, "-f", tmp_path / "values.yaml")
    (account,), (deployment,) = built.kind("ServiceAccount"), built.kind("Deployment")
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/usage"}
    assert deployment["spec"]["template"]["metadata"]["labels"]["azure.workload.identity/use"] == "true"


def test_another_chart_may_depend_on_this_one() -> None:
    """Then Helm hands its `global` down."""
    assert rendered(*EXAMPLE, "--set", "global.registry=registry.example.com") == rendered(*EXAMPLE)


def test_image_may_be_a_tag_if_the_user_says_so() -> None:
    built = rendered("--set", f"{IMAGE},{NAME}")
    assert built.container["image"] == "registry.example.com/c:main"
