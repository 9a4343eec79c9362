"""Our chart as Helm's own engine renders it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import Built, Object

ROOT = Path(__file__).parents[2]
HELM = ROOT / "deploy" / "helm"
CHART = HELM / "usage-collector"

LEAST = "image.repository=registry.example.com/c,image.tag=main,orgs[0].name=acme"
EXAMPLE = ("-f", str(HELM / "values.example.yaml"))
SERVICE = (*EXAMPLE, "--set", "mode=service")
SHARDED = (*EXAMPLE, "-f", str(HELM / "sharded.example.yaml"))
BACKFILL = ("--set", "backfill.from=2026-01-01,backfill.to=2026-03-31")  # the range of the overlays

# Which overlays together are which values.
WAYS = {
    ("cronjob",): EXAMPLE,
    ("cronjob", "reconcile"): (*EXAMPLE, "--set", "reconcile.enabled=true"),
    ("service",): SERVICE,
    ("service-sharded",): SHARDED,
    ("cronjob", "backfill"): (*EXAMPLE, *BACKFILL),
    ("service", "backfill"): (*SERVICE, *BACKFILL),
    ("service-sharded", "backfill-sharded"): (*SHARDED, *BACKFILL),
}
each_way = pytest.mark.parametrize("overlays", WAYS, ids="+".join)


def helm(*args: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a helm command in another process."""
    command = [sys.executable, str(Path(__file__).with_name("helm_command.py")), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def template(*args: str | Path, name: str = "usage-collector", chart: Path = CHART) -> Built:
    """Render our chart in the namespace of the overlays."""
    return objects_of(helm("template", name, chart, "-n", "usage-collector", *args))


def objects_of(done: subprocess.CompletedProcess[str]) -> Built:
    assert done.returncode == 0, done.stderr
    return objects_in(done.stdout)


def objects_in(text: str) -> Built:
    return Built(tuple(one for one in yaml.safe_load_all(text) if one))


@functools.cache
def rendered(*args: str) -> Built:
    """Render our chart, once for the same values. Nobody may change what it returns."""
    return template(*args)


def is_test(one: Object) -> bool:
    return bool(one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test")


def notes(*args: str | Path) -> str:
    done = helm("template", "usage-collector", CHART, "-n", "usage-collector", "--notes", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def each(values: Iterable[Sequence[str]]) -> list[dict[str, str]]:
    """Return what our chart makes of each of the values, in one process: its `text`, or its `error`.

    Values are texts: YAML if there is a line break, else as for `--set`.
    """
    command = [sys.executable, str(Path(__file__).with_name("helm_command.py")), "each", str(CHART)]
    text = json.dumps([list(one) for one in values])
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True)
    results: list[dict[str, str]] = json.loads(done.stdout)
    return results


def refusals(values: Iterable[str]) -> dict[str, str]:
    """Return the message with which helm refuses each of the values, beside the least ones; "" if it doesn't."""
    those = list(values)
    return {one: made.get("error", "") for one, made in zip(those, each([LEAST, one] for one in those), strict=True)}


def built(*values: str) -> Built:
    """Render our chart with the least values and these, as `each` takes them."""
    return builds([values])[0]


def builds(values: Iterable[Sequence[str]]) -> list[Built]:
    made = each([LEAST, *one] for one in values)
    errors = [one["error"] for one in made if "error" in one]
    assert not errors, errors
    return [objects_in(one["text"]) for one in made]


def refusal(*args: str | Path) -> str:
    """Return the message with which helm refuses those values."""
    done = helm("template", "usage-collector", CHART, *args)
    assert done.returncode == 1, done.stdout
    return done.stderr
