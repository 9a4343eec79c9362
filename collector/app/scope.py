"""Which orgs of the config a command is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from collector.config.messages import nearest
from collector.core.echo import GLOB, echo
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
        """Return the orgs in it, each with the populations in it. Raises ConfigError for a name that fits none.

        A name is the name of an org, or a glob such as `acme-*`.

        A shard may have none of the orgs, or none of those that are named: then there is nothing to do.
        """
        by_name = {org.name: org for org in orgs}
        names = dict.fromkeys(name for given in self.orgs for name in _matching(given, by_name))
        chosen = [by_name[name] for name in names] or list(by_name.values())
        if self.shard is not None:
            chosen = [org for org in chosen if self.shard.has(org)]
        if not self.populations:
            return chosen
        return [replace(org, populations=tuple(p for p in org.populations if p in self.populations)) for org in chosen]


def _matching(given: str, names: Collection[str]) -> list[str]:
    """Return the names that a name or a glob is for, or raise ConfigError."""
    if given in names:
        return [given]
    is_glob = any(sign in given for sign in "*?[")
    if is_glob and (found := [name for name in names if fnmatchcase(name, given)]):
        return found
    near = nearest(given.translate(_NO_WILDCARDS), names)
    if near:
        what = f"no org in the config matches {given!r}" if is_glob else f"there is no org {given!r} in the config"
        raise ConfigError(f"--org: {what}; did you mean {near!r}?")
    if GLOB.fullmatch(given):
        raise ConfigError(f"--org: no org in the config matches {given!r}")
    # What is nowhere near a name, and no glob of words, may be a secret in the wrong place.
    what = "matches that glob" if is_glob else "has that name"
    raise ConfigError(f"--org: no org in the config {what} ({echo(given, None)})")


_NO_WILDCARDS = str.maketrans("", "", "*?[]")
EVERYTHING = Scope()
