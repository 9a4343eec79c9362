"""An org's file is moved away: the commands say so until a person says that it is meant."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.commands import Done, SimulatedApi, collector, simulated_api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("removed"), orgs=3) as api:
        yield api


def test_an_org_whose_file_is_moved_away_is_reported_until_it_is_forgotten(api: SimulatedApi, tmp_path: Path) -> None:
    simulated = yaml.safe_load(api.config.read_text())
    orgs = simulated.pop("orgs")
    (tmp_path / "orgs.d").mkdir()
    for org in orgs:
        (tmp_path / "orgs.d" / f"{org['name']}.yaml").write_text(yaml.safe_dump([org]))
    config = tmp_path / "collector.yaml"
    config.write_text(yaml.safe_dump(simulated | {"org_files": ["orgs.d/*.yaml"]}))

    def run(*args: str | Path) -> Done:
        return collector(*args, cwd=tmp_path)

    def collect() -> Done:
        return run("collect", "-c", config, "--last", "3d", "-o", "usage")

    def removed() -> list[str]:
        return [one["org"] for one in json.loads(run("status", "-c", config, "--json").stdout)["removed"]]

    assert collect().code == 0
    assert removed() == []
    moved = tmp_path / "orgs.d" / "org-002.yaml"
    moved.rename(tmp_path / "org-002.yaml")
    done = collect()
    assert (done.code, done.event("orgs.removed")["orgs"]) == (0, ["org-002"])
    assert removed() == ["org-002"]
    shown = run("status", "-c", config).stdout
    assert re.search(r"no longer in the config, so nothing is fetched of them: org-002 \(since 20", shown)
    (command,) = re.findall(r"^ *(collector forget .*)$", shown, re.MULTILINE)
    wrong = run("forget", "-c", config, "org-02")
    assert (wrong.code, "did you mean 'org-002'" in wrong.stderr) == (2, True)
    done = run(*shlex.split(command)[1:])
    assert (done.code, done.stdout) == (0, "org-002: it is not reported any more; its history stays in the ledger\n")
    assert not [event for event in collect().events if event["event"] == "orgs.removed"]
    assert removed() == []
    (tmp_path / "org-002.yaml").rename(moved)
    assert collect().code == 0
    moved.unlink()
    assert collect().event("orgs.removed")["orgs"] == ["org-002"]
