from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import load
from collector.errors import ConfigError
from tests.unit.config.cases import BAD, HERE, SECRET, Bad

Refused = tuple[Bad, ConfigError]


@pytest.fixture(params=BAD, ids=lambda bad: bad.name)
def refused(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    monkeypatch.chdir(tmp_path)
    bad: Bad = request.param
    file = bad.write()
    with pytest.raises(ConfigError) as caught:
        load(file, **bad.arguments)
    return bad, caught.value


def test_every_problem_is_reported_word_for_word(refused: Refused) -> None:
    bad, error = refused
    assert str(error).splitlines() == bad.expected


def test_no_message_holds_any_of_a_secret(refused: Refused) -> None:
    _, error = refused
    assert SECRET not in f"{error} {error!r} {error.problems!r}"


def test_every_problem_has_a_place(refused: Refused) -> None:
    _, error = refused
    assert all(problem.file or problem.path for problem in error.problems)


def test_every_bad_config_has_its_messages() -> None:
    assert len(BAD) > 140
    named = {bad.messages.with_suffix("") for bad in BAD}
    assert {file.with_suffix("") for file in (HERE / "bad").glob("*/*")} == named
