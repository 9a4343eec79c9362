"""Who answers for an org, as the ledger knows it: bound before anything is booked, and never to another one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from collector.core.ledger_entries import CalendarChanged, Holder
from collector.core.wanted import calendars_overlap
from collector.errors import Failure, LedgerError, RefusalReason, Refused, Rejected, Retriable
from collector.model import Answer, Org
from collector.ports import Offload
from collector.run.org_task import Memory, Work, since_of

ASK_AGAIN_S = 1.0  # for an org that another process holds
_SAME_ROW = "the organization is being worked on under another name of the config"


class Binding:
    """Settles answers for the dispatch. `held` are the orgs that this process works on now."""

    def __init__(
        self,
        memory: Memory,
        works: Mapping[str, Work],
        held: Collection[Work],
        *,
        offload: Offload,
        fail: Callable[[LedgerError], None],
    ) -> None:
        self._works = works
        self._held = held
        self._wanted = memory.wanted
        self._identities = memory.identities
        self._ledger = memory.ledger
        self._offload = offload
        self._fail = fail

    async def settle(self, org: Org, answer: Answer) -> Failure | None:
        """Bind an org to the organization that answered, before anything of it is booked."""
        work = self._works[org.name]
        if failure := self._identities.check(org, answer):
            return failure
        if work.identified:
            return None
        try:
            key = await self._offload(lambda: self._identify(work, answer))
        except LedgerError as error:
            self._fail(error)
            return Rejected(code="ledger", message=str(error))
        except ValueError as error:  # another process was quicker to bind the org, to another organization
            return Refused(reason=RefusalReason.IDENTITY, message=f"{error}: correct the credential, or set org_id")
        match key:
            case Holder():
                return Retriable(code="busy", message=held_by(key), retry_after_s=ASK_AGAIN_S)
            case CalendarChanged():
                message = calendars_overlap(
                    org, zone=key.zone, granularity=key.granularity, covered_until=key.covered_until
                )
                return Refused(reason=RefusalReason.CALENDAR, message=message)
            case int():
                pass
        if key != work.key:
            # The organization is known from another name: what was planned knew nothing of it.
            work.key = key
            work.plan.cut()
        if any(other.key == key for other in self._held if other is not work):
            return Retriable(code="busy", message=_SAME_ROW, retry_after_s=ASK_AGAIN_S)
        work.identified = True
        return None

    def _identify(self, work: Work, answer: Answer) -> int | Holder | CalendarChanged:
        """Bind an org to the organization that answered; learn from when that is wanted. In the writer's thread."""
        org = work.org
        key = self._ledger.identify(work.key, name=org.name, org_id=answer.org_id, org_name=answer.org_name, entry=org)
        if isinstance(key, int) and key != work.key:
            standing = self._ledger.register([org], wanted_from={}, now=self._wanted.now)[org.name]
            if isinstance(standing, CalendarChanged):
                return standing
            self._wanted.since[org.name] = since_of(standing, self._ledger.wanted(key))
        return key


def held_by(holder: Holder) -> str:
    """Say who works on an org, and what to do."""
    return (
        f"another process works on it: `{holder.command}`, pid {holder.pid} on {holder.host}, "
        f"since {holder.since:%Y-%m-%d %H:%M} UTC; call again, or wait longer with --wait"
    )
