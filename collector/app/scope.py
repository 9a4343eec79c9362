"""Which orgs of the config a command is about."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from collector.core.echo import echo
from collector.core.shards import Shard
from collector.errors import ConfigError
from collector.model import Org, Population


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which part of the config a command is about: everything, unless orgs, populations or a shard are named."""

    orgs: tuple[str, ...] = ()
    populations: tuple[Population, ...] = ()
    shard: Shard | None = None

    def of(self, orgs: Iterable[Org]) -> list[Org]:
        """Return the orgs in it, each with the populations in it. Raises ConfigError for a name that is none.

        A shard may have none of the orgs, or none of those that are named: then there is nothing to do.
        """
        by_name = {org.name: org for org in orgs}
        for name in self.orgs:
            if name not in by_name:
                near = difflib.get_close_matches(name, by_name, n=1)
                if near:
                    raise ConfigError(f"--org: there is no org {name!r} in the config; did you mean {near[0]!r}?")
                raise ConfigError(f"--org: the config has no org of that name ({echo(name, None)})")
        chosen = [by_name[name] for name in dict.fromkeys(self.orgs)] or list(by_name.values())
        if self.shard is not None:
            chosen = [org for org in chosen if self.shard.has(org)]
        if not self.populations:
            return chosen
        return [replace(org, populations=tuple(p for p in org.populations if p in self.populations)) for org in chosen]


EVERYTHING = Scope()
