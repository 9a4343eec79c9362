"""The headers of a push, from a file: its content is in no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.adapters.metrics.header_file import read_headers
from collector.errors import ConfigError

SECRET = "s3cretMARKER"


def test_a_line_is_a_header(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("# of the receiver\nAuthorization: Bearer a=b: c\n\nx-scope-orgid:\t7  \r\n")
    assert read_headers(file) == {"Authorization": "Bearer a=b: c", "x-scope-orgid": "7"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{SECRET}\n", "line 1 of .* is no header"),
        (f"a: b\n{SECRET} x: y\n", "line 2 of .* is no header"),
        (f"a: \x01{SECRET}\n", "line 1 of .* is no header"),
        (f"a: {SECRET}é\n", "a character that no header can have"),
        (f"a: {SECRET}" + "x" * 70_000, "is larger than 65536 bytes"),
    ],
)
def test_what_is_no_header_is_refused_without_showing_it(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_headers(file)
    assert SECRET not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"push\.otlp\.headers_file: the file .* doesn't exist"):
        read_headers(tmp_path / "nowhere")
