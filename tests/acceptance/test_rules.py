"""The rules' unit tests, with the labels that each shipped discovery of a service gives to its target.

That they are those labels, test_prometheus shows.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.discovery import POD_MONITOR, PODS, Discovery
from tests.support.monitoring import PROMETHEUS, RULES
from tests.support.needs import need

pytestmark = pytest.mark.slow  # needs promtool
ADDRESS = "c:8080"


def relabelled(tests: str, discovery: Discovery) -> str:
    """Unit tests with other labels in place of those of compose, in series and in alerts."""
    labels = discovery.labels_at(ADDRESS)
    series = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    alert = json.dumps(labels)[1:-1]
    text = tests.replace(f'job="collector", instance="{ADDRESS}"', series)
    text = text.replace(f'job: "collector", instance: "{ADDRESS}"', re.sub(r'"(\w+)": ', r"\1: ", alert))
    return text.replace(ADDRESS, labels["instance"])


@pytest.mark.parametrize("discovery", [PODS, POD_MONITOR], ids=["pods", "podmonitor"])
def test_alerts_fire_and_resolve_with_the_labels_of_the_discovery(discovery: Discovery, tmp_path: Path) -> None:
    need("promtool", package="prometheus")
    for rules in RULES:
        shutil.copy(rules, tmp_path)
    names = ("rules.test.yml", "rules.serve.test.yml")
    for name in names:
        (tmp_path / name).write_text(relabelled((PROMETHEUS / name).read_text(), discovery))
        assert discovery.labels_at(ADDRESS)["instance"] in (tmp_path / name).read_text()
    done = subprocess.run(
        ["promtool", "test", "rules", *names], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
