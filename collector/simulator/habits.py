"""The usage habits of an org's population: its size, its products, and how regularly it uses them.

Makes the simulated usage plausible. Counts nothing: `usage` does. Everything is derived from the seed by
a keyed hash, so nothing is stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Population(StrEnum):
    """The values of the API's `type` parameter."""

    ACCOUNT_USER = "account-user"
    SERVICE_USER = "service-user"


POPULATIONS = tuple(Population)
PRODUCTS = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice", "smartui")
MAX_USERS = 128  # the hash of a day has enough random bits for this many

# The share of orgs that use each product, in per cent. Every org uses the first product.
_ADOPTION = {
    Population.ACCOUNT_USER: (100, 55, 60, 85, 60, 45),
    Population.SERVICE_USER: (100, 45, 75, 5, 30, 50),
}
_TESTS_A_WEEKDAY = {
    Population.ACCOUNT_USER: (160, 60, 90, 25, 30, 120),
    Population.SERVICE_USER: (900, 250, 1200, 4, 80, 700),
}
_ORG_SIZES = (0.15, 0.4, 1.0, 1.0, 2.5, 8.0, 30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductHabit:
    """How one product is used: `weekday` tests on an ordinary Monday, `mean_ms` each."""

    weekday: int
    mean_ms: int
    idle_permille: int  # of all days: days on which this product isn't used


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How one population of one org uses all products."""

    users: int
    mostly_present: bool  # three quarters of the users are active on a weekday, else half of them
    weekend_permille: int
    idle_permille: int  # of all days: days without any usage
    growth_permille_a_year: int
    products: tuple[ProductHabit, ...]


def habit(seed: int, org: str, population: Population) -> Habit:
    """Return the habits of that org's population; they depend only on the arguments."""
    of_org = Random(keyed_int(seed, "size", org))  # noqa: S311 -- not for secrets; must be repeatable
    size = of_org.choice(_ORG_SIZES)
    dice = Random(keyed_int(seed, "habit", org, population))  # noqa: S311
    service = population is Population.SERVICE_USER
    # A third of the orgs use service accounts only for occasional nightly jobs: most of their days are zero.
    quiet = service and dice.random() < 1 / 3
    return Habit(
        users=max(1, min(MAX_USERS, round((3 if service else 18) * size * dice.uniform(0.7, 1.4)))),
        mostly_present=service or dice.random() < 1 / 2,
        weekend_permille=dice.randint(250, 450) if service else dice.randint(40, 140),
        idle_permille=dice.randint(550, 850) if quiet else (0, dice.randint(0, 25))[size < 1],
        growth_permille_a_year=dice.randint(-40, 220),
        products=tuple(
            _product_habit(dice, adoption, usual, size)
            for adoption, usual in zip(_ADOPTION[population], _TESTS_A_WEEKDAY[population], strict=True)
        ),
    )


def keyed_int(seed: int, *parts: object) -> int:
    """Return 64 bits that depend only on the seed and the parts, on any machine and Python version."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=seed_key(seed)).digest(), "little")


def seed_key(seed: int) -> bytes:
    """Return the seed as the key of a hash."""
    return hashlib.blake2b(str(seed).encode(), digest_size=32).digest()


def _product_habit(dice: Random, adoption: int, usual: int, size: float) -> ProductHabit:
    used = dice.randrange(100) < adoption
    weekday = max(1, round(usual * size * dice.uniform(0.4, 1.8)))
    return ProductHabit(
        weekday=weekday if used else 0,
        mean_ms=dice.randint(20_000, 120_000),
        idle_permille=dice.randint(0, 300) if weekday < 20 else 0,
    )
