"""Which orgs of the config a command is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from collector.adapters.text import some
from collector.config.messages import near_to
from collector.core.echo import GLOB, LABEL, NAME, echo
from collector.core.shards import Shard
from collector.errors import ConfigError
from collector.model import Org, Population


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of the config that a command is about: all, unless orgs, labels, populations or a shard are given."""

    orgs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()  # as `key=value`: an org in it has all of them
    populations: tuple[Population, ...] = ()
    shard: Shard | None = None

    @property
    def options(self) -> list[tuple[str, str]]:
        """Return the options of a command that mean it."""
        found = [*(("org", name) for name in self.orgs), *(("label", label) for label in self.labels)]
        found += [("population", population.value) for population in self.populations]
        return found + ([("shard", str(self.shard))] if self.shard is not None else [])

    def of(self, orgs: Iterable[Org]) -> list[Org]:
        """Return the orgs in it, each with its populations in it. Raises ConfigError for one that fits no org.

        A name is the name of an org, or a glob such as `acme-*`.

        A shard may have none of the orgs, or none of those that are named: then there is nothing to do.
        """
        by_name = {org.name: org for org in orgs}
        names = dict.fromkeys(name for given in self.orgs for name in _matching(given, by_name))
        chosen = [by_name[name] for name in names] or list(by_name.values())
        if self.labels:
            chosen = _labelled(self.labels, chosen, by_name.values())
        if self.shard is not None:
            chosen = [org for org in chosen if self.shard.has(org)]
        if not self.populations:
            return chosen
        return [replace(org, populations=tuple(p for p in org.populations if p in self.populations)) for org in chosen]


def labels_of(orgs: Iterable[Org]) -> list[str]:
    """Return all labels of orgs as `key=value`, each once."""
    return list(dict.fromkeys(f"{key}={value}" for org in orgs for key, value in org.labels.items()))


def _labelled(given: Collection[str], chosen: Iterable[Org], orgs: Collection[Org]) -> list[Org]:
    """Return the chosen orgs that have all those labels, or raise ConfigError."""
    known = labels_of(orgs)
    for label in given:
        if label not in known:
            near = near_to(label, known)
            text = repr(label) if near else echo(label, LABEL)
            others = f"labels: {some(known, _NAMED)}" if known else "no org has a label"
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else others
            raise ConfigError(f"--label: no org in the config has {text}; {hint}")
    found = [org for org in chosen if {*given} <= {*labels_of([org])}]
    if not found:
        raise ConfigError(f"--label: no chosen org has {' and '.join(map(repr, given))}")
    return found


def _matching(given: str, names: Collection[str]) -> list[str]:
    """Return the names that a name or a glob is for, or raise ConfigError."""
    if given in names:
        return [given]
    is_glob = any(sign in given for sign in "*?[")
    if is_glob and (found := [name for name in names if fnmatchcase(name, given)]):
        return found
    near = near_to(given.translate(_NO_WILDCARDS), names)
    # What is nowhere near a name, and has not the shape of one, may be a secret in the wrong place.
    text = repr(given) if near else echo(given, GLOB if is_glob else NAME)
    what = f"no org in the config {'matches' if is_glob else 'is called'} {text}"
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"its orgs: {some([*names], _NAMED)}"
    raise ConfigError(f"--org: {what}; {hint}")


_NAMED = 5  # orgs, in a message
_NO_WILDCARDS = str.maketrans("", "", "*?[]")
EVERYTHING = Scope()
