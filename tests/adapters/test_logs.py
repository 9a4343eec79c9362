"""What libraries log: JSON of ours, bounded, and free of what came from outside."""

from __future__ import annotations

import json
import logging

import pytest

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
