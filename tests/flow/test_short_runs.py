"""A run lasts as long as its requests and their commits: it ends with no pause of its own."""

from __future__ import annotations

import pytest

from tests.flow.memory_run import orgs, run
from tests.support.fake_api import FakeApi, Script, status

SCRIPTS: dict[str, Script] = {
    "answered": lambda _org, _request, _n: None,
    "failed": lambda _org, _request, _n: status(400),
}


@pytest.mark.parametrize("how", SCRIPTS)
def test_a_run_ends_with_its_last_request(how: str) -> None:
    """It once waited a second longer, to look for leases, although nothing was left to lease."""
    ran = run(orgs(1, days=1), FakeApi(SCRIPTS[how]))
    assert ran.ended_at == pytest.approx(max(at for at, _ in ran.api.asked) + 0.1)


def test_a_run_with_nothing_to_fetch_takes_no_time() -> None:
    assert run(orgs(3, days=0)).ended_at == 0.0
