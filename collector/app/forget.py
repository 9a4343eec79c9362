"""Orgs that are meant to be gone from the config: they are not reported any more, and their history stays."""

from __future__ import annotations

from collections.abc import Sequence

from collector.adapters.text import some
from collector.app.command import has_ledger
from collector.app.ledgers import open_ledger, require_ledger
from collector.config import LoadedConfig
from collector.config.messages import near_to
from collector.core.echo import NAME, echo
from collector.core.ledger_entries import RemovedOrg
from collector.errors import ConfigError, Problem
from collector.ports import Clock

_NAMED = 5  # orgs, in a message


def forget_orgs(config: LoadedConfig, names: Sequence[str], clock: Clock) -> list[RemovedOrg]:
    """Forget the orgs of those names; return them. Raises ConfigError if one isn't removed: then none is forgotten."""
    if not has_ledger(config):
        raise ConfigError("there is no ledger: `state.url` is none")
    require_ledger(config.settings, "forget")
    ledger = open_ledger(config.settings, "forget", clock, create=False)
    try:
        removed = ledger.note_config(config.orgs, clock.now())
        known = {one.name for one in removed}
        if wrong := [name for name in dict.fromkeys(names) if name not in known]:
            raise ConfigError([Problem(message=_why_not(name, config, sorted(known))) for name in wrong])
        found = [one for one in removed if one.name in names]
        ledger.forget(found, clock.now())
        return found
    finally:
        ledger.close()


def _why_not(name: str, config: LoadedConfig, removed: Sequence[str]) -> str:
    if name in {org.name for org in config.orgs}:
        return f"{name} is in the config: remove it there first"
    near = near_to(name, removed)
    text = repr(name) if near else echo(name, NAME)
    known = f"those that are: {some(removed, _NAMED)}" if removed else "no org is"
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else known
    return f"no org that this config had and no longer has is called {text}; {hint}"
