"""Which shard an org belongs to: every org to one, the same for ever, and few move when their number changes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.app.scope import Scope
from collector.core.shards import Shard, key_of, shard_of
from tests.support.orgs import make_org

KEYS = st.lists(st.text(min_size=1), min_size=1, max_size=50, unique=True)
NUMBERS = st.integers(1, 40)
ORGS = [make_org(f"org-{n:03}") for n in range(500)]


@given(KEYS, NUMBERS)
def test_every_org_belongs_to_exactly_one_shard(names: list[str], shards: int) -> None:
    orgs = [make_org(name) for name in names]
    having = [[org.name for org in orgs if Shard(index, shards).has(org)] for index in range(shards)]
    assert sorted(name for one in having for name in one) == sorted(names)


@given(st.text(), NUMBERS)
def test_with_one_shard_more_an_org_stays_or_moves_to_the_new_one(key: str, shards: int) -> None:
    assert shard_of(key, shards + 1) in {shard_of(key, shards), shards}


@given(st.text(), st.integers(2, 40))
def test_with_the_last_shard_gone_only_its_orgs_move(key: str, shards: int) -> None:
    before = shard_of(key, shards)
    assert before == shards - 1 or shard_of(key, shards - 1) == before


@pytest.mark.parametrize(("before", "after"), list(pairwise(range(1, 12))))
def test_about_one_in_the_new_number_moves(before: int, after: int) -> None:
    moved = sum(shard_of(key_of(org), before) != shard_of(key_of(org), after) for org in ORGS)
    assert moved / len(ORGS) == pytest.approx(1 / after, abs=0.06)


def test_from_four_shards_to_five_at_most_a_quarter_moves() -> None:
    moved = sum(shard_of(key_of(org), 4) != shard_of(key_of(org), 5) for org in ORGS)
    assert 0 < moved <= len(ORGS) / 4


@pytest.mark.parametrize("shards", [2, 3, 5, 8, 16])
def test_shards_have_about_as_many(shards: int) -> None:
    sizes = Counter(shard_of(key_of(make_org(f"customer {n}")), shards) for n in range(10_000))
    expected = 10_000 / shards
    assert len(sizes) == shards
    assert all(abs(size - expected) < 5 * expected**0.5 for size in sizes.values())


def test_an_org_belongs_where_it_always_belonged() -> None:
    """As computed by the first version: a change here moves everybody's orgs."""
    orgs = [make_org("acme"), make_org("globex"), make_org("anything", org_id="12345"), make_org("Ünïcode 🌍")]
    found = [[shard_of(key_of(org), n) for org in orgs] for n in (2, 5, 17)]
    assert found == [
        [0, 0, 1, 1],
        [0, 4, 3, 1],
        [13, 11, 16, 9],
    ]


def test_a_renamed_org_stays_where_it_was_if_its_organization_is_pinned() -> None:
    for n in range(50):
        org_id = str(n)
        assert shard_of(key_of(make_org("old", org_id=org_id)), 7) == shard_of(
            key_of(make_org("new", org_id=org_id)), 7
        )
    assert key_of(make_org("12345")) != key_of(make_org("acme", org_id="12345"))


def test_a_scope_with_a_shard_has_its_orgs_alone_even_of_those_that_are_named() -> None:
    shards = [Scope(shard=Shard(index, 3)).of(ORGS) for index in range(3)]
    assert sorted(org.name for one in shards for org in one) == [org.name for org in ORGS]
    named = [Scope(orgs=("org-007",), shard=Shard(index, 3)).of(ORGS) for index in range(3)]
    assert sorted(len(one) for one in named) == [0, 0, 1]


@pytest.mark.parametrize(
    ("text", "environ", "shard"),
    [
        ("0/1", {}, Shard(0, 1)),
        ("3/4", {"JOB_COMPLETION_INDEX": "1"}, Shard(3, 4)),
        ("auto/4", {"JOB_COMPLETION_INDEX": "1"}, Shard(1, 4)),
        ("auto/4", {"JOB_COMPLETION_INDEX": "1", "HOSTNAME": "collector-3"}, Shard(1, 4)),
        ("auto/4", {"HOSTNAME": "collector-3"}, Shard(3, 4)),
        ("auto/12", {"HOSTNAME": "usage-2-collector-11"}, Shard(11, 12)),
    ],
)
def test_a_shard_is_said_or_found_where_kubernetes_says_it(text: str, environ: dict[str, str], shard: Shard) -> None:
    assert Shard.parse(text, environ) == shard
    assert str(shard) == f"{shard.index}/{shard.of}"


@pytest.mark.parametrize(
    ("text", "environ", "told"),
    [
        ("4/4", {}, "there is no shard 4/4: the last one is 3/4"),
        ("0/0", {}, "the number of shards is 1 to 10000, not 0"),
        ("-1/4", {}, "expected I/N, such as 0/4 (I from 0), or auto/N; got '-1/4'"),
        ("1", {}, "expected I/N, such as 0/4 (I from 0), or auto/N; got '1'"),
        ("1/4/5", {}, "expected I/N, such as 0/4 (I from 0), or auto/N; got '1/4/5'"),
        ("auto/4", {"JOB_COMPLETION_INDEX": "x"}, "JOB_COMPLETION_INDEX is not an index: 'x'"),
        (
            "auto/4",
            {"JOB_COMPLETION_INDEX": "4"},
            "there is no shard 4/4: the last one is 3/4 (the index is from JOB_COMPLETION_INDEX)",
        ),
        (
            "auto/4",
            {"HOSTNAME": "collector-9"},
            "there is no shard 9/4: the last one is 3/4 (the index is from HOSTNAME=collector-9)",
        ),
        (
            "auto/4",
            {"HOSTNAME": "laptop"},
            "no index found: an Indexed Job sets JOB_COMPLETION_INDEX, and the HOSTNAME of a StatefulSet's pod ends "
            "in -I, but HOSTNAME is 'laptop'; or give --shard I/N",
        ),
    ],
)
def test_a_shard_that_can_t_be_is_told_with_what_would_be_right(text: str, environ: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Shard.parse(text, environ)
    assert str(caught.value) == told
