from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from collector.config.messages import duration_text
from collector.config.types import MAX_DAYS, parse_duration, parse_size
from collector.config.urls import is_loopback, parse_http_url
from collector.config.zones import ABBREVIATIONS, parse_zone


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0", 0), ("30", 30), (30, 30), (0.5, 0.5), ("1.5", 1.5), ("30s", 30), ("500ms", 0.5), ("10m", 600),
     ("6h", 21_600), ("1.5h", 5400), ("3d", 259_200), (timedelta(hours=1), 3600)],
)  # fmt: skip
def test_duration_is_seconds_or_a_number_with_a_unit(written: object, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    ["", "s", "-1", "+1", "1w", "1 s", "1S", "1e3", "inf", "nan", ".5", "1,5h", "1h30m", "٣s", -1, True,
     float("inf"), float("nan"), None, [], "9" * 400, "36526d", 10**400],
)  # fmt: skip
def test_other_text_is_not_a_duration(written: object) -> None:
    with pytest.raises(PydanticCustomError, match="expected a duration"):
        parse_duration(written)


@given(st.integers(0, MAX_DAYS * 86_400_000))
def test_duration_in_a_message_can_be_parsed_again(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize(
    ("written", "size"),
    [("0", 0), ("12", 12), (12, 12), ("12B", 12), ("64KB", 64_000), ("64kB", 64_000), ("64KiB", 65_536),
     ("128MB", 128_000_000), ("1MiB", 1_048_576), ("2GB", 2 * 10**9), ("1GiB", 2**30)],
)  # fmt: skip
def test_size_is_bytes_or_a_number_with_a_unit(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "MB", "-1", "1.5MB", "1 MB", "1mb", "1Mb", "1TB", -1, 1.5, True, None])
def test_other_text_is_not_a_size(written: object) -> None:
    with pytest.raises(PydanticCustomError, match="expected a size"):
        parse_size(written)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "128.0.0.1", "0.0.0.1", "::2", "", "127.1", "2130706433"])
def test_hosts_that_look_like_loopback_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://api.lambdatest.com", "https://api.lambdatest.com"),
        ("HTTPS://api.lambdatest.com/", "https://api.lambdatest.com"),
        ("https://proxy.example:8443/lt//", "https://proxy.example:8443/lt"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_url_loses_its_trailing_slash(written: str, url: str) -> None:
    assert parse_http_url(written) == url


@pytest.mark.parametrize("name", sorted(ABBREVIATIONS))
def test_proposed_zones_exist(name: str) -> None:
    for zone in ABBREVIATIONS[name].replace(" or ", ", ").split(", "):
        assert parse_zone(zone).name == zone
    with pytest.raises(PydanticCustomError):
        parse_zone(name)
