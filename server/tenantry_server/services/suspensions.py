"""Suspending organizations, and ending that."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.errors import InvalidRequest
from ..domain.organizations import Organization, OrganizationState, Suspension
from ..store.change import Change
from ..store.queries import organizations as statements
from ..store.values import milliseconds
from .operated import change_operated
from .service import Service


class Suspensions(Service):
    """Use cases of suspensions. Only what `Requirement` and the state say keeps a suspended organization from granting."""

    def suspend(
        self, call: Call, *, organization_id: str, reason: str, until: datetime | None, cleanup_grace_hours: int
    ) -> Organization:
        """Suspends, or gives a suspension another reason and end; 0 hours keep the grace that there is.

        Raises InvalidRequest for an end that has come, or OrganizationDeleted.
        """

        def after(before: Organization, change: Change) -> Organization:
            if until is not None and until <= change.now:
                raise InvalidRequest.of("until", "must be in the future", "FUTURE")
            since = before.suspension.time if before.suspension else change.now
            return replace(
                before,
                state=OrganizationState.SUSPENDED,
                suspension=Suspension(time=since, reason=reason, until=until),
                cleanup_grace_hours=cleanup_grace_hours or before.cleanup_grace_hours,
            )

        return self._change(call, organization_id, "organization.suspend", after)

    def unsuspend(self, call: Call, *, organization_id: str) -> Organization:
        """Ends a suspension, if there is one. Raises OrganizationDeleted."""

        def after(before: Organization, change: Change) -> Organization:
            return replace(before, state=OrganizationState.ACTIVE, suspension=None)

        return self._change(call, organization_id, "organization.unsuspend", after)

    def _change(
        self, call: Call, organization_id: str, action: str, make: Callable[[Organization, Change], Organization]
    ) -> Organization:
        def body(change: Change, before: Organization) -> Organization:
            after = make(before, change)
            suspension = after.suspension
            until = suspension.until if suspension else None
            change.database.later(
                statements.SET_SUSPENSION,
                organization_id=after.id,
                state=after.state.value,
                suspend_time=milliseconds(suspension.time) if suspension else None,
                suspend_until=milliseconds(until) if until else None,
                suspension_reason=suspension.reason if suspension else "",
                cleanup_grace_hours=after.cleanup_grace_hours,
            )
            change.record(action, "organization", after.id, differences(before, after))
            return after

        return change_operated(self.store, call, organization_id, body, Organization)
