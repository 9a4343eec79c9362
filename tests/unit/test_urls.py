"""URLs that may hold a password: which are read, and which are ambiguous."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.urls import UnclearUrlError, Url

PARTS = st.text(st.sampled_from("aB9/?#[]@%:&=+,;!$'() \té\n"), max_size=12)


@pytest.mark.parametrize(
    ("text", "user", "password", "hosts"),
    [
        ("postgresql://host/db", None, None, "host"),
        ("postgresql:///db", None, None, ""),
        ("postgresql://bob@a:1,[::1]:2/db", "bob", None, "a:1,[::1]:2"),
        ("postgresql://b%40b:p%2Fw:%C3%A9é@%2Frun%2Fpg/db?a=b/c", "b@b", "p/w:éé", "%2Frun%2Fpg"),
        ("HTTP://bob:a&b=c+d@proxy:3128/", "bob", "a&b=c+d", "proxy:3128"),
    ],
)
def test_a_clear_url_is_read_as_its_writer_meant(text: str, user: str | None, password: str | None, hosts: str) -> None:
    url = Url.parse(text)
    assert (url.user, url.password, url.hosts) == (user, password, hosts)
    assert "p/w" not in repr(url)


@given(password=PARTS.filter(lambda part: not part.isascii() or not part.isalnum()), tail=PARTS)
def test_no_refusal_shows_any_part_of_the_url(password: str, tail: str) -> None:
    text = f"postgresql://bob:{password}@SECRET/{tail}"
    url, refusal = None, ""
    try:
        url = Url.parse(text)
    except UnclearUrlError as error:
        refusal = f"{error!r} {error.__context__!r} {error.__cause__!r}"
    assert "SECRET" not in refusal
    if url:
        assert url.hosts == "SECRET"
        assert password.count("%") or url.password == password


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UnclearUrlError):
        Url.parse(text)
