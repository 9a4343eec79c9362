"""Our chart as Helm's own engine renders it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from tests.deploy.manifests import Built

ROOT = Path(__file__).parents[2]
HELM = ROOT / "deploy" / "helm"
CHART = HELM / "usage-collector"


def helm(*args: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a helm command in another process."""
    command = [sys.executable, str(Path(__file__).with_name("helm_command.py")), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def template(*args: str | Path, name: str = "usage-collector", chart: Path = CHART) -> Built:
    """Render our chart in the namespace of the overlays."""
    return objects_of(helm("template", name, chart, "-n", "usage-collector", *args))


def objects_of(done: subprocess.CompletedProcess[str]) -> Built:
    assert done.returncode == 0, done.stderr
    return Built(tuple(one for one in yaml.safe_load_all(done.stdout) if one))


def notes(*args: str | Path) -> str:
    done = helm("template", "usage-collector", CHART, "-n", "usage-collector", "--notes", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(*args: str | Path) -> str:
    """Return the message with which helm refuses those values."""
    done = helm("template", "usage-collector", CHART, *args)
    assert done.returncode == 1, done.stdout
    return done.stderr
