from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import load
from collector.errors import ConfigError
from tests.unit.config import bad_orgs, bad_settings, bad_yaml
from tests.unit.config.bad import SECRET, Bad

CASES = (*bad_yaml.CASES, *bad_settings.CASES, *bad_orgs.CASES)


@pytest.fixture(params=CASES, ids=lambda bad: bad.promise)
def refused(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    monkeypatch.chdir(tmp_path)
    bad: Bad = request.param
    file = bad.write()
    with pytest.raises(ConfigError) as caught:
        load(file, environ=bad.variables, overrides=bad.overrides)
    return bad, caught.value


Refused = tuple[Bad, ConfigError]


def test_every_problem_is_told_word_for_word(refused: Refused) -> None:
    bad, error = refused
    assert str(error).splitlines() == list(bad.told)


def test_no_message_holds_any_of_a_secret(refused: Refused) -> None:
    _, error = refused
    assert SECRET not in f"{error} {error!r} {error.problems!r}"


def test_every_problem_says_where_to_look(refused: Refused) -> None:
    _, error = refused
    assert all(problem.file or problem.path for problem in error.problems)


def test_the_table_is_long_and_its_names_are_unique() -> None:
    assert len({bad.promise for bad in CASES}) == len(CASES) >= 45
