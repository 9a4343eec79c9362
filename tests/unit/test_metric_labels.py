"""The values of labels: a closed set of codes, and a limited number of texts from outside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import collector
from collector.adapters.metrics.labels import CODES, OTHER, Bounded, code_label
from collector.core.response import Reply, interpret
from collector.errors import RefusalReason
from collector.model import ApiRequest, Population
from tests.support.fake_api import FakeClock

CODE = Path(collector.__file__).parent
REQUEST = ApiRequest(
    population=Population.ACCOUNT_USER, from_="2026-06-23 00:00:00", to="2026-06-23 23:59:59", timezone="+00:00"
)


@given(st.text() | st.from_regex(r"http_[0-9]{1,6}", fullmatch=True))
def test_any_text_becomes_a_label_of_a_closed_set(text: str) -> None:
    assert code_label(text) in CODES


@given(st.integers(100, 999), st.binary(max_size=50))
def test_any_status_of_the_api_becomes_a_label_of_a_closed_set(status: int, body: bytes) -> None:
    result = interpret(Reply(status=status, headers={}, body=body), REQUEST, now=FakeClock().now())
    code = getattr(result, "code", "ok")
    assert code_label(code) in CODES
    if 400 <= status <= 599:
        assert code_label(code) != OTHER, "4xx and 5xx have different labels"


@pytest.mark.parametrize(
    ("code", "label"),
    [("http_503", "http_503"), ("http_599", "http_5xx"), ("http_418", "http_4xx"), ("http_302", OTHER), ("ok", "ok")],
)
def test_a_status_has_its_own_label_or_that_of_its_family(code: str, label: str) -> None:
    assert code_label(code) == label


def test_every_failure_code_of_the_collector_has_a_label_of_its_own() -> None:
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
    assert codes <= CODES
    assert {f"refused_{reason}" for reason in RefusalReason} <= CODES


@given(st.lists(st.text(max_size=300)))
def test_texts_from_outside_are_limited_in_number_and_length_and_keep_their_labels(texts: list[str]) -> None:
    bounded = Bounded.of(5, ["automation"])
    first = [bounded.label(text) for text in texts]
    assert len(set(first)) <= 5  # four new ones, and `other`
    assert all(len(label) <= 100 for label in first)
    assert [bounded.label(text) for text in texts if bounded.label(text) != OTHER] == [
        label for label in first if label != OTHER
    ]
    assert bounded.label("automation") == "automation"
