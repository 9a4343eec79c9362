"""How the service names what ended a run."""

from __future__ import annotations

from collector.errors import kind_of
from collector.service.run_views import crashed


def test_an_exception_in_task_groups_is_named_by_its_own_kind() -> None:
    error = ExceptionGroup("tasks", [ExceptionGroup("more tasks", [KeyError("a secret")])])
    assert kind_of(error) == "KeyError"
    assert kind_of(ValueError()) == "ValueError"
    assert "KeyError" in crashed(error)
    assert "secret" not in crashed(error)
