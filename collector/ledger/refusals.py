"""The orgs that are refused: from the first refusal after an answer until the next answer.

A refusal is of an entry of the config, by its name: two entries may be one organization, each with a credential of its
own. It holds no secret: of the credential only a fingerprint of its user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, delete, insert, select

from collector.core.identities import user_fingerprint
from collector.core.ledger_entries import CredentialUse
from collector.core.org_history import Refusal
from collector.errors import RefusalReason, Refused
from collector.ledger.codec import instant_of, micros
from collector.ledger.schema import alias, refusal
from collector.ledger.statements import batches, insert_into

_LONGEST = 500  # of a message: it may quote what the API sent
_NAMED = select(refusal).where(refusal.c.name.in_(bindparam("names", expanding=True)))
_FORGET = delete(refusal).where(refusal.c.name.in_(bindparam("names", expanding=True)))
_ANSWERED = delete(refusal).where(refusal.c.name == bindparam("of"), refusal.c.last_at < bindparam("at"))
_READ = (
    select(alias.c.org, refusal)
    .join(alias, alias.c.name == refusal.c.name)
    .where(alias.c.org.in_(bindparam("keys", expanding=True)))
)


def note(tx: Connection, uses: Sequence[CredentialUse]) -> None:
    """Commit what came of credentials: first the answers, then the refusals."""
    forget(tx, [use.org.name for use in uses if use.refused is None])
    refused = [_values(use, use.refused) for use in uses if use.refused is not None]
    if not refused:
        return
    statement = insert_into(refusal, tx)
    new = statement.excluded
    first_at = case((refusal.c.first_at < new.first_at, refusal.c.first_at), else_=new.first_at)
    kept = {name: new[name] for name in ("reason", "message", "fingerprint", "last_at")}
    statement = statement.on_conflict_do_update(index_elements=[refusal.c.name], set_=kept | {"first_at": first_at})
    tx.execute(statement, refused)


def forget(tx: Connection, names: Iterable[str]) -> None:
    """Delete the refusals of entries."""
    for batch in batches(names):
        tx.execute(_FORGET, {"names": batch})


def answered(tx: Connection, at: Mapping[str, datetime]) -> None:
    """Delete the refusals of entries that were answered later than they were refused, by when they were answered."""
    if at:
        tx.execute(_ANSWERED, [{"of": name, "at": micros(instant)} for name, instant in at.items()])


def move(tx: Connection, renamed: Mapping[str, str], given_away: Iterable[str]) -> None:
    """Move refusals from old names to new ones; delete those of names that other orgs have now."""
    found = []
    for batch in batches(renamed):
        found += [dict(row) for row in tx.execute(_NAMED, {"names": batch}).mappings()]
    moved = [row | {"name": renamed[row["name"]]} for row in found]
    forget(tx, {*given_away, *(row["name"] for row in [*found, *moved])})
    if moved:
        tx.execute(insert(refusal), moved)


def refusals_of(tx: Connection, keys: Iterable[int]) -> dict[int, dict[str, Refusal]]:
    """Return the refusals of those orgs that have any, by the names of their entries."""
    found: dict[int, dict[str, Refusal]] = {}
    for batch in batches(keys):
        for row in tx.execute(_READ, {"keys": batch}):
            found.setdefault(row.org, {})[row.name] = Refusal(
                reason=RefusalReason(row.reason),
                message=row.message,
                fingerprint=row.fingerprint,
                first_at=instant_of(row.first_at),
                last_at=instant_of(row.last_at),
            )
    return found


def _values(use: CredentialUse, refused: Refused) -> dict[str, object]:
    message, at = refused.message, micros(use.at)
    return {
        "name": use.org.name,
        "reason": refused.reason.value,
        "message": message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…",
        "fingerprint": user_fingerprint(use.org),
        "first_at": at,
        "last_at": at,
    }
