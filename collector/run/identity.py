"""Which organization an org's credential belongs to: verified before anything of an answer is committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from collector.core.calendar_changes import refusal
from collector.core.ledger_entries import CalendarChanged, Holder, Standing
from collector.errors import Failure, LedgerError, Postponed, RefusalReason, Refused, Rejected, Retriable
from collector.model import Answer, Org
from collector.ports import Offload
from collector.run.org_task import OrgTask
from collector.run.session import LedgerSession

BUSY_PAUSE_S = 1.0  # before the lease of a busy org is tried again


class IdentityCheck:
    """Verifies answers for the fetching, and binds each org to its organization in the ledger."""

    def __init__(
        self,
        session: LedgerSession,
        tasks: Mapping[str, OrgTask],
        *,
        offload: Offload,
        fail: Callable[[LedgerError], None],
    ) -> None:
        self._session = session
        self._tasks = tasks
        self._offload = offload
        self._fail = fail

    async def verify(self, org: Org, answer: Answer) -> Failure | Postponed | None:
        """Return why an answer must not be committed for an org, or not now; None if it may be."""
        task = self._tasks[org.name]
        if failure := self._session.identities.check(org, answer):
            return failure
        if task.identified:
            return None
        try:
            found = await self._offload(lambda: self._identify(task, answer))
        except LedgerError as error:
            self._fail(error)
            return Rejected(code="ledger", message=str(error))
        except ValueError as error:  # another process has bound the org first, to another organization
            return Refused(reason=RefusalReason.IDENTITY, message=f"{error}: correct the credential, or set org_id")
        match found:
            case Holder():
                return Retriable(code="busy", message=busy_message(found), retry_after_s=BUSY_PAUSE_S)
            case CalendarChanged():
                return refusal(org, found)
            case int():
                return self._bind(task, found)

    def _bind(self, task: OrgTask, key: int) -> Postponed | None:
        """Go on with the ledger's row of the organization, unless another org of the config works on it.

        Then the org is leased when that other one is not: two orgs with one row are leased in turn.
        """
        if key != task.key:
            # The organization is known by another name: what was planned did not know what the ledger holds.
            task.key = key
            task.lane.plan.discard()
        if any(other.key == key and other.stage.active for other in self._tasks.values() if other is not task):
            return Postponed()
        task.identified = True
        return None

    def _identify(self, task: OrgTask, answer: Answer) -> int | Holder | CalendarChanged:
        """Bind an org to the organization that answered; learn from when that is wanted. On the writer's thread."""
        org = task.org
        found = self._session.ledger.identify(
            task.key, name=org.name, org_id=answer.org_id, org_name=answer.org_name, entry=org
        )
        if isinstance(found, int) and found != task.key:
            standing = self._session.look_up(org)
            if not isinstance(standing, Standing):
                return standing
        return found


def busy_message(holder: Holder) -> str:
    """Return which process has the lease of an org, and what to do."""
    return (
        f"another process is working on this org: {holder.text}. Run the command again later, or with a longer --wait"
    )
