"""What is logged: JSON, or short text for a terminal; lines of libraries are bounded and free of outside text."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from collector.adapters.logs import configure_logs

pytestmark = pytest.mark.usefixtures("json_logs")


def test_a_library_that_repeats_itself_is_logged_once_and_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("collector.adapters.repeats.time.monotonic", lambda: now[0])
    logger = logging.getLogger("asyncio")
    for _ in range(500):
        logger.error("socket.accept() out of system resource\nsocket: <socket.socket fd=7>")
    now[0] += 60
    logger.error("socket.accept() out of system resource\nsocket: <socket.socket fd=8>")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["level"], first["library"]) == ("library.warning", "error", "asyncio")
    assert first["message"] == "socket.accept() out of system resource"
    assert second["repeated"] == 499


def test_what_is_laid_into_a_librarys_text_and_the_texts_of_exceptions_are_not_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        raise ValueError("a secret")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request from %s", "a client's text")
    text = capsys.readouterr().err
    event = json.loads(text)
    assert (event["exception"], event["message"]) == ("ValueError", "Error handling request from %s")
    assert "secret" not in text
    assert "client's" not in text


@pytest.mark.parametrize(("length", "shown"), [(3, "[1, 1, 1]"), (2000, "2000 (whole with --log-format json)")])
def test_a_long_list_is_a_number_on_a_terminal(length: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format_="console")
    structlog.get_logger("collector").info("run.finished", causes=[1] * length)
    assert shown in capsys.readouterr().err


def test_a_long_list_is_whole_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("collector").info("run.finished", causes=[1] * 2000)
    assert json.loads(capsys.readouterr().err)["causes"] == [1] * 2000
