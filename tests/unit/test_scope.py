"""Which orgs `--org` is about: names, and globs."""

from __future__ import annotations

import pytest

from collector.app.scope import Scope
from collector.errors import ConfigError
from tests.support.orgs import make_org

ORGS = [make_org(name) for name in ("acme-eu", "acme-us", "Acme-old", "globex", "odd*name")]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), ["acme-eu", "acme-us", "Acme-old", "globex", "odd*name"]),
        (("globex", "acme-us"), ["globex", "acme-us"]),
        (("acme-*",), ["acme-eu", "acme-us"]),
        (("[Aa]cme-*", "acme-eu", "glob*"), ["acme-eu", "acme-us", "Acme-old", "globex"]),
        (("acme-?u",), ["acme-eu"]),
        (("odd*name",), ["odd*name"]),
    ],
)
def test_a_scope_has_the_orgs_that_its_names_and_globs_fit_each_once(given: tuple[str, ...], names: list[str]) -> None:
    assert [org.name for org in Scope(orgs=given).of(ORGS)] == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("glubex", "--org: no org in the config is called 'glubex'; did you mean 'globex'?"),
        ("glubex*", "--org: no org in the config matches 'glubex*'; did you mean 'globex'?"),
        ("acme", "--org: no org in the config is called 'acme'; did you mean 'acme-us' or 'acme-eu' or 'Acme-old'?"),
        (
            "nope",
            "--org: no org in the config is called 'nope'; its orgs: acme-eu, acme-us, Acme-old, globex, odd*name",
        ),
        (
            "kQ7vX2mN",
            "--org: no org in the config is called text of 8 characters; its orgs: acme-eu, acme-us, Acme-old, globex, "
            "odd*name",
        ),
    ],
)
def test_a_name_or_glob_that_fits_no_org_is_refused_with_the_nearest(given: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Scope(orgs=("acme-*", given)).of(ORGS)
    assert str(error.value) == message


LABELLED = [
    make_org("a", labels={"team": "qa", "site": "eu"}),
    make_org("b", labels={"team": "qa"}),
    make_org("c", labels={"team": "ops", "site": "eu"}),
    make_org("d"),
]


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        (Scope(labels=("team=qa",)), ["a", "b"]),
        (Scope(labels=("team=qa", "site=eu")), ["a"]),
        (Scope(labels=("site=eu",), orgs=("[bc]",)), ["c"]),
    ],
)
def test_a_scope_has_the_orgs_with_all_of_its_labels(scope: Scope, names: list[str]) -> None:
    assert [org.name for org in scope.of(LABELLED)] == names


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (Scope(labels=("team=qu",)), "no org in the config has 'team=qu'; did you mean 'team=qa' or 'team=ops'?"),
        (
            Scope(labels=("cost_center=x",)),
            "no org in the config has 'cost_center=x'; labels: team=qa, site=eu, team=ops",
        ),
        (
            Scope(labels=("kQ7vX2mN",)),
            "no org in the config has text of 8 characters; labels: team=qa, site=eu, team=ops",
        ),
        (Scope(labels=("team=ops",), orgs=("a",)), "no chosen org has 'team=ops'"),
    ],
)
def test_labels_that_no_org_has_are_refused_with_those_that_are_like_them(scope: Scope, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        scope.of(LABELLED)
    assert str(error.value) == f"--label: {message}"
