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
