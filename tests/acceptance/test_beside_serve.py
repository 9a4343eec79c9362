"""A service beside another process on one ledger: what the other one commits is on the page soon, and its runs are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.test_serve import Service, serving
from tests.adapters.ledger.conftest import BOTH
from tests.support.commands import collector, past_days, simulated_api
from tests.support.postgresql import Server
from tests.support.waiting import wait_until

FAILING = [f"org-00{n}" for n in range(1, 6)]
BRIEF = {"COLLECTOR_API__RETRY__BUDGET": "1s", "COLLECTOR_API__RETRY__BASE_DELAY": "50ms"}


@pytest.fixture(params=BOTH)
def state(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: Server = request.getfixturevalue("server")
    return server.fresh()


def shown(service: Service) -> dict[str, int]:
    return {org["org"]: org["lacking"] for org in service.status["orgs"]}


def test_what_a_backfill_beside_a_service_commits_and_its_run_are_on_the_page(tmp_path: Path, state: str) -> None:
    env = {"COLLECTOR_STATE__URL": state, **BRIEF}
    with simulated_api(tmp_path, orgs=8) as api, serving(api.config, tmp_path, **env) as service:
        wait_until(lambda: shown(service) and not any(shown(service).values()), "all orgs are complete")
        wait_until(lambda: [run["command"] for run in service.status["runs"]] == ["serve"], "its run is listed")
        assert "All due windows are complete" in service.get("/")[1]

        api.set_faults(*(f"{name}:500" for name in FAILING))
        backfill = ("backfill", "-c", str(api.config), *past_days(40), "-o", "out")
        assert collector(*backfill, cwd=tmp_path, env=env).code == 3
        wait_until(lambda: {name for name, lacking in shown(service).items() if lacking} == {*FAILING}, "it is seen")
        wait_until(lambda: "5 orgs are incomplete" in service.get("/")[1], "the page shows it")
        wait_until(lambda: [run["command"] for run in service.status["runs"]] == ["backfill", "serve"])
        assert service.status["runs"][0]["exit_code"] == 3
        assert ">backfill<" in service.get("/")[1]

        api.set_faults()
        assert collector(*backfill, cwd=tmp_path, env=env).code == 0
        wait_until(lambda: "All due windows are complete" in service.get("/")[1], "nothing is left to fetch")
