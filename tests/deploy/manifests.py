"""The manifests as kustomize builds them, and what they say about the collector's one container."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = tuple(sorted(path.name for path in (KUBERNETES / "overlays").iterdir()))
WORKLOADS = {"CronJob", "Deployment", "Job", "StatefulSet"}
Object = dict[str, Any]


@dataclass(frozen=True)
class Built:
    """One overlay's objects."""

    objects: tuple[Object, ...]

    @classmethod
    def of(cls, folder: Path) -> Built:
        kubectl = str(Path(sys.executable).parent / "kubectl")
        done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return cls(tuple(yaml.safe_load_all(done.stdout)))

    def kind(self, *kinds: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        (found,) = [one for one in self.kind(kind) if one["metadata"]["name"] == name]
        return found

    @property
    def workload(self) -> Object:
        (workload,) = self.kind(*WORKLOADS)
        return workload

    @property
    def pods(self) -> list[Object]:
        """The pods of all workloads: with Helm there may be a backfill beside another."""
        return [Built((workload,)).pod for workload in self.kind(*WORKLOADS)]

    @property
    def job(self) -> Object:
        """The spec that says what becomes of a pod's end."""
        spec: Object = self.workload["spec"]
        return spec["jobTemplate"]["spec"] if self.workload["kind"] == "CronJob" else spec

    @property
    def template(self) -> Object:
        template: Object = self.job["template"]
        return template

    @property
    def pod(self) -> Object:
        pod: Object = self.template["spec"]
        return pod

    @property
    def container(self) -> Object:
        (container,) = self.pod["containers"]
        return dict(container)

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the container, but for those that Kubernetes gives and those of a Secret."""
        environ: dict[str, str] = {}
        for source in self.container.get("envFrom", []):
            if "configMapRef" not in source:
                continue
            environ |= self.named("ConfigMap", source["configMapRef"]["name"]).get("data", {})
        for variable in self.container.get("env", []):
            environ[variable["name"]] = variable.get("value") or self._referenced(variable["valueFrom"])
        return environ

    def _referenced(self, source: Object) -> str:
        ref = source["configMapKeyRef"]
        text: str = self.named("ConfigMap", ref["name"])["data"][ref["key"]]
        return text

    @property
    def args(self) -> list[str]:
        """The container's arguments, with variables put in as Kubernetes does."""
        environ = self.environ
        return [re.sub(r"\$\((\w+)\)", lambda name: environ[name[1]], arg) for arg in self.container["args"]]

    @property
    def mounts(self) -> dict[str, Object]:
        """What is mounted where: volume by path."""
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        for claim in self.workload["spec"].get("volumeClaimTemplates", []):
            volumes[claim["metadata"]["name"]] = claim
        return {mount["mountPath"]: volumes[mount["name"]] | mount for mount in self.container["volumeMounts"]}

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}

    def write_config(self, directory: Path) -> Path:
        """Lay the config out as the pod sees it, below a directory; return where it is."""
        for path, mount in self.mounts.items():
            if "configMap" in mount:
                for name, text in self.named("ConfigMap", mount["configMap"]["name"])["data"].items():
                    file = directory / path.lstrip("/") / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text)
        return directory / self.args[self.args.index("-c") + 1].lstrip("/")


def built_with(component: str, overlay: str, directory: Path) -> Built:
    """An overlay as a user would write it: ours with one more component."""
    shutil.copytree(KUBERNETES, directory / "kubernetes")
    mine = directory / "kubernetes" / "overlays" / "mine"
    mine.mkdir()
    components = [f"../../components/{component}", "../../components/common"]
    text = {"resources": [f"../{overlay}"], "components": components}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return Built.of(mine)


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Every scalar in a tree, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path, value
