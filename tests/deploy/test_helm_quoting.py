"""A text in the values is the same text in the objects, also if YAML would read it as something else."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deploy.helm import CHART, LEAST, builds, built, each, refusals
from tests.deploy.manifests import Built
from tests.deploy.test_kubernetes import VERSIONS

TEMPLATES = [*sorted((CHART / "templates").rglob("*.yaml")), CHART / "templates" / "_pod.tpl"]
ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
PRINTS_NOTHING = (
    "if ",
    "with ",
    "range ",
    "else",
    "end",
    "define ",
    "$",
    "/*",
    "fail ",
    'include "usage-collector.check',
)
QUOTED = re.compile(
    r'.*\| (quote|int|nindent \d+)|toJson .*|toYaml \$affinity|include "usage-collector\.named" .*', re.DOTALL
)
CONSTANTS = {".component", ".mode", ".late"}  # of the templates themselves
QUOTED_WHERE_USED = {
    '.Values.persistence.existingClaim | default (printf "%s-data" (include "usage-collector.fullname" .))'
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_prints_a_value_without_quotes(template: Any) -> None:
    prints = [action for action in ACTION.findall(template.read_text()) if not action.startswith(PRINTS_NOTHING)]
    bare = [action for action in prints if not QUOTED.fullmatch(action)]
    assert set(bare) <= CONSTANTS | QUOTED_WHERE_USED


AWKWARD = r"""
orgs: [{name: "no", username: "yes", labels: {"0": "1e3"}}]
image: {repository: "0", tag: "1"}
mode: service
existingSecret: "123"
persistence: {storageClass: "0123", size: "1e10"}
fullnameOverride: "123"
nameOverride: "0x1"
serviceAccount: {annotations: {"n": "no", "0": "1"}, name: "0"}
networkPolicy: {monitoringNamespace: "0123"}
podLabels: {"n": "no", "y": "null", "0x1": "1e3"}
podAnnotations: {"n": "no", "1": "a\nb: \"c\" # \\ ü\t"}
podMonitor: {enabled: true, tokenKey: "017", labels: {"n": "1"}}
prometheusRule: {enabled: true, labels: {"n": "no"}}
pod: {nodeSelector: {"n": "y", "on": "off"}, priorityClassName: "no", imagePullSecrets: [{name: "12"}]}
podSecurityContext: {runAsUser: 1000680000}
env: {"n": "no", "Y": "0x10", A: "a\nb", "N1": "12:30:45"}
secretEnv: {"on": {name: "1", key: "no"}}
extraVolumes: [{name: "1", configMap: {name: "0"}}]
extraVolumeMounts: [{name: "1", mountPath: "/0"}]
ingress: {host: "0", className: "1", tlsSecret: "2", controllerNamespace: "3", annotations: {"n": "y"}}
config: {service: {token_file: /run/secrets/usage-collector/token, allowed_hosts: ["0"]}}
backfill: {from: "2026-01-01", to: "2026-02-28"}
"""


class Strict(yaml.SafeLoader):
    """Refuses a key that is there twice, as Kubernetes does."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), sorted(map(str, keys))
        return super().construct_mapping(node, deep)


def strictly(*values: str) -> Built:
    (made,) = each([[LEAST, *values]])
    assert "error" not in made, made["error"]
    one = Built(tuple(one for one in yaml.load_all(made["text"], Strict) if one))
    for each_object in one.objects:
        if "monitoring.coreos.com" not in each_object["apiVersion"]:
            kubernetes_validate.validate(each_object, VERSIONS[-1], strict=True)
    return one


def test_awkward_texts_stay_texts() -> None:
    one = strictly(AWKWARD)
    deployment = one.named("Deployment", "123")
    template = deployment["spec"]["template"]
    pod, labels, annotations = template["spec"], template["metadata"]["labels"], template["metadata"]["annotations"]
    assert labels["app.kubernetes.io/name"] == "0x1"
    assert (labels["n"], labels["y"], labels["0x1"]) == ("no", "null", "1e3")
    assert (annotations["n"], annotations["1"]) == ("no", 'a\nb: "c" # \\ ü\t')
    assert pod["serviceAccountName"] == one.kind("ServiceAccount")[0]["metadata"]["name"] == "0"
    assert one.kind("ServiceAccount")[0]["metadata"]["annotations"] == {"n": "no", "0": "1"}
    assert (pod["nodeSelector"], pod["priorityClassName"]) == ({"n": "y", "on": "off"}, "no")
    assert pod["securityContext"]["runAsUser"] == 1000680000
    (container,) = pod["containers"]
    assert container["image"] == "0:1"
    assert container["env"] == [{"name": "on", "valueFrom": {"secretKeyRef": {"name": "1", "key": "no"}}}]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["config"]["configMap"] == {"name": "123"}
    assert volumes["credentials"]["secret"]["secretName"] == "123"
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "123-data"}
    assert volumes["1"]["configMap"] == {"name": "0"}
    assert one.named("ConfigMap", "123-env")["data"] == {"n": "no", "Y": "0x10", "A": "a\nb", "N1": "12:30:45"}
    assert one.named("PersistentVolumeClaim", "123-data")["spec"]["storageClassName"] == "0123"
    (source,) = one.named("NetworkPolicy", "123")["spec"]["ingress"][0]["from"]
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "0123"}
    (end,) = one.named("PodMonitor", "123")["spec"]["podMetricsEndpoints"]
    assert end["authorization"]["credentials"] == {"name": "123", "key": "017"}
    assert yaml.safe_load(one.named("ConfigMap", "123")["data"]["orgs.yaml"]) == [
        {"name": "no", "username": "yes", "labels": {"0": "1e3"}}
    ]


def test_claim_is_the_one_that_is_named_and_a_dash_is_no_class() -> None:
    claimed, dashed = builds(
        [["persistence: {existingClaim: '0123'}\n"], ["persistence: {storageClass: '-'}\n"]],
    )
    (volume,) = [volume for volume in claimed.pod["volumes"] if volume["name"] == "data"]
    assert volume["persistentVolumeClaim"] == {"claimName": "0123"}
    assert dashed.named("PersistentVolumeClaim", "usage-collector-data")["spec"]["storageClassName"] == ""
    sharded = built("mode: sharded\npostgresql: {url: 'postgresql://u@db/c'}\npersistence: {storageClass: '-'}\n")
    (claim,) = sharded.workload["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == ""


def test_labels_and_annotations_that_the_chart_sets_too_are_there_once() -> None:
    one = strictly(
        """
        mode: service
        podMonitor: {enabled: true, labels: {app.kubernetes.io/instance: kps, helm.sh/chart: mine}}
        prometheusRule: {enabled: true, labels: {app.kubernetes.io/name: rules}}
        podAnnotations: {prometheus.io/scrape: "false", checksum/env: mine}
        """
    )
    (monitor,), (rule,) = one.kind("PodMonitor"), one.kind("PrometheusRule")
    assert monitor["metadata"]["labels"]["app.kubernetes.io/instance"] == "kps"
    assert monitor["metadata"]["labels"]["helm.sh/chart"] == "mine"
    assert monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"] == "usage-collector"
    assert rule["metadata"]["labels"]["app.kubernetes.io/name"] == "rules"
    scraped = strictly("mode: service\npodAnnotations: {prometheus.io/scrape: 'false', checksum/env: mine}\n")
    annotations = scraped.template["metadata"]["annotations"]
    assert (annotations["prometheus.io/scrape"], annotations["prometheus.io/port"]) == ("false", "8080")
    assert annotations["checksum/env"] != "mine"  # else changed variables would restart no pod


def test_key_that_yaml_reads_as_a_switch_is_refused() -> None:
    places = [
        "podLabels",
        "podAnnotations",
        "env",
        "podMonitor: {labels",
        "pod: {nodeSelector",
        "orgs: [{name: a, labels",
    ]
    ends = {"podMonitor: {labels": "}", "pod: {nodeSelector": "}", "orgs: [{name: a, labels": "}]"}
    values = [f"{place}: {{{key}: text}}{ends.get(place, '')}\n" for place in places for key in ("on", "n", "No")]
    found = refusals(values)
    assert not {
        value: text for value, text in found.items() if not re.search(r"has the key (true|false)\. Quote keys", text)
    }


def test_label_of_a_selector_is_refused() -> None:
    found = refusals([f"podLabels: {{app.kubernetes.io/{name}: x}}\n" for name in ("name", "instance", "component")])
    assert all("which the chart sets: selectors need it" in text for text in found.values())
