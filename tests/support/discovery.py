"""Each shipped way for Prometheus to find the collector, with its config, for a Prometheus on loopback.

A config is the shipped one, but for addresses and times. Debian's Prometheus has no discovery of Kubernetes. So a file
gives it the pods that kustomize builds, with the labels that Kubernetes' discovery gives to them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.manifests import KUBERNETES, Built, built_with
from tests.support.monitoring import PROMETHEUS

Object = dict[str, Any]

# Nobody waits for hours in a test: what is looked back at is seconds, and an alert fires a second later.
SHORTER = {"[1h]": "[8s]", "[10m]": "[8s]", "[1d]": "[8s]", "[7d] offset 1d": "[8s] offset 4s"}
SHORTER |= {"[15m]": "[4s]", "[30m]": "[4s]"}
OFTEN = {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "500ms"}


@dataclass(frozen=True)
class Discovery:
    """How Prometheus finds a way of running, and the labels that it gives to what it finds there."""

    shipped: str
    labels: dict[str, str]  # of a target, but for `instance`
    scrapes: Callable[[Path], list[Object]]
    targets: Sequence[dict[str, str]] = ({},)  # what a service discovery says of each target
    instance: str | None = None  # None: the address

    def config(self, directory: Path, address: str) -> Path:
        """Write the config and its rules; return where it is."""
        directory.mkdir(parents=True)
        content = yaml.safe_load((PROMETHEUS / self.shipped).read_text())
        content["global"] = OFTEN
        for name in content["rule_files"]:
            (directory / name).write_text(shortened(PROMETHEUS / name))
        content["scrape_configs"] = [
            {key: value for key, value in scrape.items() if not key.endswith("_sd_configs") and key != "static_configs"}
            | {"file_sd_configs": [{"files": ["targets.json"]}], "scrape_interval": OFTEN["scrape_interval"]}
            for scrape in self.scrapes(directory)
        ]
        self.found(directory, address)
        file = directory / "prometheus.yml"
        file.write_text(yaml.safe_dump(content))
        return file

    def found(self, directory: Path, *addresses: str) -> None:
        """Change what the service discovery finds."""
        groups = [{"targets": [one], "labels": labels} for one in addresses for labels in self.targets]
        new = directory / "new"
        new.write_text(json.dumps(groups))
        new.replace(directory / "targets.json")

    def labels_at(self, address: str) -> dict[str, str]:
        """Return the labels of a target."""
        return self.labels | {"instance": self.instance or address}


def shortened(rules: Path) -> str:
    """The shipped rules with everything that takes time made short, and nothing else."""
    content = yaml.safe_load(rules.read_text())
    for group in content["groups"]:
        for rule in group["rules"]:
            rule["for"] = "1s"
            for long, short in SHORTER.items():
                rule["expr"] = rule["expr"].replace(long, short)
    return yaml.safe_dump(content)


def _shipped_scrapes(file: str) -> Callable[[Path], list[Object]]:
    def scrapes(_: Path) -> list[Object]:
        found: list[Object] = yaml.safe_load((PROMETHEUS / file).read_text())["scrape_configs"]
        return found

    return scrapes


def _of_the_operator(directory: Path) -> list[Object]:
    """What the Prometheus operator makes of the PodMonitor: relabelings of its own, then those of the monitor."""
    (monitor,) = built_with("podmonitor", "service-sharded", directory / "built").kind("PodMonitor")
    meta, name = "__meta_kubernetes_pod", monitor["metadata"]["name"]
    own: list[Object] = [
        {
            "source_labels": [f"{meta}_label_{_clean(label)}", f"{meta}_labelpresent_{_clean(label)}"],
            "regex": f"({value});true",
            "action": "keep",
        }
        for label, value in monitor["spec"]["selector"]["matchLabels"].items()
    ]
    (end,) = monitor["spec"]["podMetricsEndpoints"]
    own += [
        {"source_labels": [f"{meta}_container_port_name"], "regex": end["port"], "action": "keep"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{meta}_container_name"], "target_label": "container"},
        {"source_labels": [f"{meta}_name"], "target_label": "pod"},
        {"target_label": "job", "replacement": f"{monitor['metadata']['namespace']}/{name}"},
        {"target_label": "endpoint", "replacement": end["port"]},
    ]
    theirs = [{_snake(key): value for key, value in relabeling.items()} for relabeling in end["relabelings"]]
    job = f"podMonitor/{monitor['metadata']['namespace']}/{name}/0"
    return [{"job_name": job, "metrics_path": end["path"], "relabel_configs": own + theirs}]


def pod_targets(overlay: str, controller: str, pod: str) -> list[dict[str, str]]:
    """Return the labels that Kubernetes' discovery gives to each port of a pod, and to another pod of the namespace."""
    built, meta = Built.of(KUBERNETES / "overlays" / overlay), "__meta_kubernetes_pod"
    about = {
        "__meta_kubernetes_namespace": built.workload["metadata"]["namespace"],
        f"{meta}_name": pod,
        f"{meta}_controller_kind": controller,
        f"{meta}_controller_name": pod.rpartition("-")[0],
        f"{meta}_container_name": built.container["name"],
    }
    for kind in ("label", "annotation"):
        for label, value in built.template["metadata"].get(f"{kind}s", {}).items():
            about |= {f"{meta}_{kind}_{_clean(label)}": value, f"{meta}_{kind}present_{_clean(label)}": "true"}
    ports = [about | {f"{meta}_container_port_name": name} for name in built.ports]
    job = about | {f"{meta}_label_app_kubernetes_io_component": "collect", f"{meta}_name": "other"}
    return [*ports, job]


def _clean(label: str) -> str:
    return re.sub(r"\W", "_", label)


def _snake(key: str) -> str:
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), key)


COMPOSE = Discovery("prometheus.yml", {"job": "collector"}, _shipped_scrapes("prometheus.yml"))
PODS = Discovery(
    "prometheus.kubernetes.yml",
    {"job": "collector", "namespace": "usage-collector"},
    _shipped_scrapes("prometheus.kubernetes.yml"),
    pod_targets("service", "ReplicaSet", "usage-collector-7d9f8b6c5d-x2x4z"),
    "usage-collector",
)
POD_MONITOR = Discovery(
    "prometheus.kubernetes.yml",  # for its rules
    {"job": "collector", "namespace": "usage-collector", "container": "collector", "endpoint": "http"},
    _of_the_operator,
    pod_targets("service-sharded", "StatefulSet", "usage-collector-0"),
    "usage-collector-0",
)
GATEWAY = Discovery(
    "prometheus.pushgateway.yml", {"job": "pushgateway"}, _shipped_scrapes("prometheus.pushgateway.yml")
)
TEXTFILE = Discovery("prometheus.textfile.yml", {"job": "node"}, _shipped_scrapes("prometheus.textfile.yml"))
SERVED = {"compose": COMPOSE, "pods": PODS, "podmonitor": POD_MONITOR}
PUSHED = {"pushgateway": GATEWAY, "textfile": TEXTFILE}
