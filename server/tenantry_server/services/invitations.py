"""Invitations, on the organization's side and on the invitee's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from ..domain import ids
from ..domain.audit import Changes
from ..domain.call import Call
from ..domain.errors import (
    AlreadyMember,
    EmailNotVerified,
    InvitationNotFound,
    OrganizationSuspended,
    TenantryError,
)
from ..domain.etags import etag
from ..domain.invitations import Invitation, InvitationState, Move, expiry, move
from ..domain.membership import Grant, ensure_holds
from ..domain.organizations import OrganizationState
from ..domain.paging import Page
from ..domain.principal import Principal
from ..domain.roles import MemberRole
from ..store.change import Change
from ..store.queries import invitations as statements
from ..store.statements import Row
from ..store.transactions import change
from . import emails
from .assignments import by_holder, roles_of
from .memberships import join
from .offers import ensure_inviter_may_grant, ensure_may_be_invited, granter_token, invite, offer, write
from .service import MAX_LIST, PageRequest, Service, changes, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRequest:
    """An invitation to make."""

    email: str
    role: MemberRole
    assigned_role_ids: list[str]
    expire_time: datetime | None = None


class Invitations(Service):
    """Use cases of invitations."""

    @changes
    def create(self, change: Change, request: InvitationRequest) -> Invitation:
        """Invites an address."""
        return invite(
            change,
            self.limits,
            emails.canonical(request.email, field="email"),
            self._grant(change, request.role, request.assigned_role_ids),
            request.expire_time,
        )

    def create_batch(self, call: Call, requests: list[InvitationRequest]) -> list[Invitation | TenantryError]:
        """Invites several addresses, each in a change of its own; answers each with its invitation or its refusal."""
        return [self._create_one(call, index, request) for index, request in enumerate(requests)]

    def get(self, call: Call, *, invitation_id: str) -> Invitation:
        """An invitation of the organization. Raises InvitationNotFound."""
        organization_id, known = call.organization_id, ids.find_or_nil(invitation_id)
        row = self.database.row(statements.GET, organization_id=organization_id, invitation_id=known)
        if row is None:
            raise InvitationNotFound(invitation_id=invitation_id)
        return self._with_roles(organization_id, [row])[0]

    def list_page(self, call: Call, page: PageRequest, *, state: InvitationState | None = None) -> Page[Invitation]:
        """A page of the organization's invitations, by id; of one state, or all."""
        scope = self.scope(call, state or "")
        after = self.page_tokens.position(scope, page.token)
        rows = self._list(call, state, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda invitation: invitation.id)

    def list_pending(self, call: Call) -> list[Invitation]:
        """All pending invitations of the organization. Raises ListTooLong."""
        return whole(self._list(call, InvitationState.PENDING, "", MAX_LIST + 1))

    @changes
    def update(
        self,
        change: Change,
        *,
        invitation_id: str,
        role: MemberRole | None = None,
        assigned_role_ids: list[str] | None = None,
        expire_time: datetime | None = None,
    ) -> Invitation:
        """Changes what is given. Who changes it answers for all that it grants."""
        before = self._load(change, invitation_id)
        change.ensure_etag(etag(before.revision))
        move(before, Move.UPDATE, change.now)
        role_ids = [r.id for r in before.assigned_roles] if assigned_role_ids is None else assigned_role_ids
        grant = self._grant(change, role or before.role, role_ids)
        expires = before.expire_time
        if expire_time is not None:
            expires = expiry(change.now, expire_time, lifetime=self.limits.invitation_lifetime, field="expire_time")
        return self._granted_anew(change, "invitation.update", before, grant, expires)

    @changes
    def resend(self, change: Change, *, invitation_id: str) -> Invitation:
        """Starts the lifetime anew. Who does so answers for all that the invitation grants."""
        stored = self._load(change, invitation_id)
        before = replace(stored, state=stored.state_at(change.now))
        move(before, Move.RESEND, change.now)
        grant = self._grant(change, before.role, [role.id for role in before.assigned_roles])
        if before.state is InvitationState.EXPIRED:
            ensure_may_be_invited(change, self.limits, before.email)
        expires = expiry(change.now, None, lifetime=self.limits.invitation_lifetime, field="expire_time")
        return self._granted_anew(change, "invitation.resend", before, grant, expires)

    @changes
    def cancel(self, change: Change, *, invitation_id: str) -> Invitation:
        """Withdraws a pending invitation."""
        invitation = self._load(change, invitation_id)
        change.ensure_etag(etag(invitation.revision))
        return self._move(change, "invitation.cancel", invitation, Move.CANCEL)

    def list_mine(self, call: Call, page: PageRequest) -> Page[Invitation]:
        """A page of the pending invitations to the caller, by id."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = self._mine(call, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda invitation: invitation.id)

    def list_all_mine(self, call: Call) -> list[Invitation]:
        """All pending invitations to the caller. Raises ListTooLong."""
        return whole(self._mine(call, "", MAX_LIST + 1))

    def count_mine(self, call: Call) -> int:
        """How many invitations to the caller are pending."""
        email = _verified_email(call.principal)
        return int(self.database.one(statements.COUNT_MINE, email=email, now=self.store.clock.milliseconds()))

    def accept(self, call: Call, *, invitation_id: str) -> Invitation:
        """Makes the caller a member, once, if the inviter could still invite them so."""

        def body(change: Change) -> Invitation:
            invitation = self._load(change, invitation_id)
            move(invitation, Move.ACCEPT, change.now)
            if change.organization.state is OrganizationState.SUSPENDED:
                raise OrganizationSuspended(organization_id=change.organization.id)  # why, is not a guest's business
            grant = Grant(invitation.role, invitation.assigned_roles)
            ensure_inviter_may_grant(change, invitation, grant)
            if not join(change, call.principal.user_id, grant):
                raise AlreadyMember(user_id=call.principal.user_id)
            joined: Changes = {"user_id": (None, call.principal.user_id)}
            return self._move(change, "invitation.accept", invitation, Move.ACCEPT, joined)

        return self._as_invitee(call, invitation_id, body)

    def decline(self, call: Call, *, invitation_id: str) -> Invitation:
        """Declines an invitation to the caller."""

        def body(change: Change) -> Invitation:
            invitation = self._load(change, invitation_id)
            return self._move(change, "invitation.decline", invitation, Move.DECLINE)

        return self._as_invitee(call, invitation_id, body)

    def _as_invitee(self, call: Call, invitation_id: str, body: Callable[[Change], Invitation]) -> Invitation:
        """A change by the person who has verified the invited address."""
        email = _verified_email(call.principal)
        known = ids.find_or_nil(invitation_id)
        organization_id = self.database.row(statements.TO_ADDRESS, email=email, invitation_id=known)
        if organization_id is None:
            raise InvitationNotFound(invitation_id=invitation_id)

        def while_there(change: Change) -> Invitation:
            is_theirs = _verified_email(change.call.principal) == email  # as this transaction sees them
            if change.organization.state is OrganizationState.DELETED or not is_theirs:
                raise InvitationNotFound(invitation_id=invitation_id)
            return body(change)

        return change(self.store, call, organization_id, while_there, Invitation)

    def _create_one(self, call: Call, index: int, request: InvitationRequest) -> Invitation | TenantryError:
        try:
            return self.create(replace(call, item=index), request)
        except TenantryError as refusal:
            return refusal

    def _grant(self, change: Change, role: MemberRole, role_ids: list[str]) -> Grant:
        organization_id = change.organization.id
        found = roles_of(change.database, change.catalog, organization_id, role_ids, field="assigned_role_ids")
        grant = Grant(role, found)
        ensure_holds(change.access, grant.permissions(change.catalog.all))
        return grant

    def _load(self, change: Change, invitation_id: str) -> Invitation:
        organization_id, known = change.organization.id, ids.find_or_nil(invitation_id)
        row = change.database.row(statements.GET, organization_id=organization_id, invitation_id=known)
        if row is None:
            raise InvitationNotFound(invitation_id=invitation_id)
        return self._with_roles(organization_id, [row])[0]

    def _list(self, call: Call, state: InvitationState | None, after: str, limit: int) -> list[Invitation]:
        organization_id = call.organization_id
        rows = self.database.rows(
            statements.LIST[state],
            organization_id=organization_id,
            after=after,
            limit=limit,
            now=self.store.clock.milliseconds(),
        )
        return self._with_roles(organization_id, rows)

    def _mine(self, call: Call, after: str, limit: int) -> list[Invitation]:
        email, now = _verified_email(call.principal), self.store.clock.milliseconds()
        rows = self.database.rows(statements.MINE, email=email, now=now, after=after, limit=limit)
        if not rows:
            return []
        assigned = self.database.rows(statements.MY_ASSIGNMENTS, email=email, first=rows[0][0], last=rows[-1][0])
        offered = by_holder(self.store.catalog, assigned)
        return [statements.record(row, offered[row[0]]) for row in rows]

    def _with_roles(self, organization_id: str, rows: list[Row]) -> list[Invitation]:
        if not rows:
            return []
        assigned = self.database.rows(
            statements.ASSIGNMENTS, organization_id=organization_id, first=rows[0][0], last=rows[-1][0]
        )
        offered = by_holder(self.store.catalog, assigned)
        return [statements.record(row, offered[row[0]]) for row in rows]

    def _move(self, change: Change, action: str, before: Invitation, step: Move, more: Changes | None = None) -> Invitation:
        after = replace(
            before,
            state=move(before, step, change.now),
            revision=change.organization.revision,
            update_time=change.now,
        )
        return write(change, action, before, after, more)

    def _granted_anew(self, change: Change, action: str, before: Invitation, grant: Grant, expire_time: datetime) -> Invitation:
        after = replace(
            before,
            state=InvitationState.PENDING,
            role=grant.role,
            assigned_roles=grant.assigned_roles,
            expire_time=expire_time,
            revision=change.organization.revision,
            update_time=change.now,
            granter_user_id=change.call.principal.user_id,
            granter_token_id=granter_token(change.call.principal),
        )
        if before.assigned_roles != after.assigned_roles:
            change.database.later(statements.UNOFFER, organization_id=after.organization_id, invitation_id=after.id)
            offer(change, after)
        return write(change, action, before, after)


def _verified_email(principal: Principal) -> str:
    if not principal.email_verified:
        raise EmailNotVerified
    return principal.email
