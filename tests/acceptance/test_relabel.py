"""A person corrects labels and a name, and restates what was delivered with the old ones."""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import (
    COLLECTOR,
    Done,
    SimulatedApi,
    collector,
    days_ago,
    environment,
    records_in,
    simulated_api,
    unmeasured,
)
from tests.support.forked import Command
from tests.support.truth import assert_equal_to_truth

DAYS = 40
KILLS = 12


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("relabel"), orgs=2) as api:
        yield api


class Desk:
    """Where a person works: a config, a ledger and a directory."""

    def __init__(self, api: SimulatedApi, directory: Path) -> None:
        self.api, self.directory = api, directory
        self.range = ("--from", days_ago(DAYS))
        self.config = directory / "collector.yaml"
        self.values: dict[str, Any] = yaml.safe_load(api.config.read_text())
        self.edit({})

    def edit(self, labels: dict[str, str], name: str = "org-001") -> None:
        first = self.values["orgs"][0] | {"labels": labels, "name": name}
        self.config.write_text(yaml.safe_dump(self.values | {"orgs": [first, *self.values["orgs"][1:]]}))

    def hide_secrets(self) -> None:
        """Let the orgs have their credentials where this person can't read them."""
        orgs = [
            {name: value for name, value in org.items() if name not in {"username", "access_key"}}
            | {"token_file": "not/mounted/here"}
            for org in yaml.safe_load(self.config.read_text())["orgs"]
        ]
        self.config.write_text(yaml.safe_dump(self.values | {"orgs": orgs}))

    def __call__(self, command: str, *args: str) -> Done:
        return collector(command, "-c", self.config, *args, cwd=self.directory)

    @property
    def records(self) -> list[dict[str, Any]]:
        return records_in(self.directory / "usage")

    @property
    def newest(self) -> list[dict[str, Any]]:
        return list({r["record_id"]: r for r in sorted(self.records, key=lambda one: one["collected_at"])}.values())


@pytest.fixture
def desk(api: SimulatedApi, tmp_path: Path) -> Desk:
    desk = Desk(api, tmp_path)
    assert desk("backfill", *desk.range, "-o", "usage").code == 0
    return desk


def test_records_get_the_new_labels_and_name_without_a_request_or_a_secret(desk: Desk) -> None:
    desk.edit({"team": "qa"}, name="acme")
    assert desk("collect", "-o", "usage").code == 0  # what comes now has them
    before, requests = len(desk.records), desk.api.stats["total"]["asked"]
    desk.hide_secrets()
    done = desk("relabel", *desk.range, "-o", "usage")
    assert done.code == 0, done.stderr
    newest = desk.newest
    labels = {"acme": {"team": "qa"}, "org-002": desk.values["orgs"][1]["labels"]}
    assert all(r["labels"] == labels[r["org"]] for r in newest)
    assert {r["revision"] for r in newest if r["org"] == "acme"} == {2}
    assert desk.api.stats["total"]["asked"] == requests
    told = done.event("run.finished")
    assert (told["requests"], told["restated"], told["records"]) == (0, told["records"], len(desk.records) - before)
    again = desk("relabel", *desk.range, "-o", "usage")
    assert (again.code, again.event("run.finished")["records"]) == (0, 0)
    assert desk("status").code == 0


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["-o", "usage"], "a relabel needs a range"),
        (["--last", "7d", "--state", "none"], "relabel restates what a ledger holds"),
        (["--last", "7d", "-o", "elsewhere"], "--elsewhere"),
    ],
)
def test_what_it_needs_is_said(desk: Desk, args: list[str], why: str) -> None:
    done = desk("relabel", *args)
    assert (done.code, why in done.stderr) == (2, True)


def test_killed_again_and_again_it_restates_each_record_once(desk: Desk) -> None:
    rng, killed = random.Random(20261126), 0
    relabel = ["relabel", "-c", str(desk.config), *desk.range, "-o", "usage"]
    for n in range(KILLS):
        desk.edit({"team": f"team-{n}"})
        env = unmeasured(environment(COLLECTOR_OUTPUT__SEAL_AT="1MB"))
        with Command([*COLLECTOR, *relabel, "-q"], cwd=desk.directory, env=env, stderr=subprocess.DEVNULL) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.02, 0.4))
            process.kill()
        killed += process.returncode == -9
    assert killed
    desk.edit({"team": "qa"})
    assert collector(*relabel, cwd=desk.directory).code == 0
    assert set(Counter((r["record_id"], r["revision"]) for r in desk.records).values()) == {1}
    assert all(r["labels"] == {"team": "qa"} for r in desk.newest if r["org"] == "org-001")
    assert_equal_to_truth(desk.api, desk.newest)
    assert json.loads(desk("status", "--json").stdout)["lacking"] == 0
