"""What may be the value of a label: words of ours, and a bounded number of others'."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import collector
from collector.adapters.metrics.labels import OTHER, WORDS, Bounded, word_of
from collector.core.response import Reply, interpret
from collector.errors import RefusalReason
from collector.model import ApiRequest, Population
from tests.support.fake_api import FakeClock

CODE = Path(collector.__file__).parent
REQUEST = ApiRequest(
    population=Population.ACCOUNT_USER, from_="2026-06-23 00:00:00", to="2026-06-23 23:59:59", timezone="+00:00"
)


@given(st.text() | st.from_regex(r"http_[0-9]{1,6}", fullmatch=True))
def test_any_text_counts_as_one_of_a_closed_set(text: str) -> None:
    assert word_of(text) in WORDS


@given(st.integers(100, 999), st.binary(max_size=50))
def test_whatever_status_the_api_answers_is_one_of_a_closed_set(status: int, body: bytes) -> None:
    result = interpret(Reply(status=status, headers={}, body=body), REQUEST, now=FakeClock().now())
    code = getattr(result, "code", "ok")
    assert word_of(code) in WORDS
    if 400 <= status <= 599:
        assert word_of(code) != OTHER, "clients' and servers' errors are told apart"


@pytest.mark.parametrize(
    ("code", "word"),
    [("http_503", "http_503"), ("http_599", "http_5xx"), ("http_418", "http_4xx"), ("http_302", OTHER), ("ok", "ok")],
)
def test_a_status_counts_by_itself_or_by_its_family(code: str, word: str) -> None:
    assert word_of(code) == word


def test_every_code_that_the_collector_gives_a_failure_has_a_word_of_its_own() -> None:
    codes = {
        keyword.value.value
        for file in CODE.rglob("*.py")
        if "simulator" not in file.parts
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in {"Broken", "Rejected", "Retriable"}
        for keyword in call.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    }
    assert {"timeout", "shape", "redirect", "http_400", "busy"} <= codes
    assert codes <= WORDS
    assert {f"refused_{reason}" for reason in RefusalReason} <= WORDS


@given(st.lists(st.text(max_size=300)))
def test_texts_from_outside_are_bounded_in_number_and_length_and_keep_their_labels(texts: list[str]) -> None:
    bounded = Bounded.of(5, ["automation"])
    first = [bounded.label(text) for text in texts]
    assert len(set(first)) <= 5  # four new ones, and `other`
    assert all(len(label) <= 100 for label in first)
    assert [bounded.label(text) for text in texts if bounded.label(text) != OTHER] == [
        label for label in first if label != OTHER
    ]
    assert bounded.label("automation") == "automation"
