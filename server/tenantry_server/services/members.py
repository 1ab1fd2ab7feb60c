"""Members and their access."""

from dataclasses import dataclass

from ..domain import ids
from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.errors import AlreadyMember, InvalidRequest, InvitationPending, MemberNotFound, UserNotFound
from ..domain.etags import etag
from ..domain.invitations import Invitation
from ..domain.membership import (
    FormerMember,
    Grant,
    Member,
    ensure_holds,
    ensure_may_touch,
    ensure_other,
    ensure_owner_remains,
    ensure_shared,
)
from ..domain.paging import Page
from ..domain.roles import MemberRole
from ..domain.users import User, UserState
from ..store.change import Change
from ..store.queries import members as statements
from ..store.queries import roles as role_statements
from ..store.queries import users as user_statements
from . import emails
from .assignments import by_holder, roles_of
from .memberships import count_owners, find_member, join, load_member, part_with, set_access
from .offers import cancel_pending, ensure_room, invite
from .seats import ensure_seat
from .service import MAX_LIST, PageRequest, Service, changes, whole


@dataclass(frozen=True, slots=True)
class Addition:
    """What became of adding somebody by address: one of the two, or, for who may not know, neither."""

    member: Member | None = None
    invitation: Invitation | None = None


class Members(Service):
    """Use cases of members."""

    def get(self, call: Call, *, user_id: str) -> Member:
        """A member. Raises MemberNotFound."""
        found = find_member(self.database, self.store.catalog, call.organization_id, ids.find_or_nil(user_id))
        if found is None:
            raise MemberNotFound(user_id=user_id)
        return found

    def list_page(self, call: Call, page: PageRequest) -> Page[Member]:
        """A page of the members, by user id."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = self._list(call, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda member: member.user_id)

    def list_all(self, call: Call) -> list[Member]:
        """All members. Raises ListTooLong."""
        return whole(self._list(call, "", MAX_LIST + 1))

    @changes
    def add(self, change: Change, *, user_id: str, role: MemberRole, assigned_role_ids: list[str]) -> Member:
        """Makes a known user a member at once."""
        user = change.database.row(user_statements.GET, user_id=ids.find_or_nil(user_id))
        if user is None or user.state is not UserState.ACTIVE:
            raise UserNotFound(user=user_id)
        return _add(change, user, self._grant(change, role, assigned_role_ids))

    @changes
    def add_by_email(self, change: Change, *, email: str, role: str) -> Addition:
        """Makes the user who has verified the address a member, or invites the address.

        `role` is `owner`, a system role's key, or the name of a role of the organization. Who may not read members is not
        told which of the two it was, nor that there was nothing to do.
        """
        address = emails.canonical(email, field="email")
        grant = self._named_grant(change, role)
        told = "member:read" in change.access.permissions
        if not told:
            ensure_room(change, self.limits, address)  # or the limit would tell who needs an invitation
        user = change.database.row(user_statements.VERIFIED, email=address, verified=True)
        try:
            if user is None:
                invitation = invite(change, self.limits, address, grant, None)
                return Addition(invitation=invitation) if told else Addition()
            member = _add(change, user, grant)
            return Addition(member=member) if told else Addition()
        except (AlreadyMember, InvitationPending):
            if told:
                raise
            change.unchanged(Addition())

    @changes
    def update_access(self, change: Change, *, user_id: str, role: MemberRole, assigned_role_ids: list[str]) -> Member:
        """Replaces a member's role and assigned roles."""
        member = load_member(change, user_id)
        ensure_other(change.call.principal, member.user_id)
        change.ensure_etag(etag(member.revision))
        ensure_may_touch(change.access, member)
        before, after = Grant(member.role, member.assigned_roles), self._roles(change, role, assigned_role_ids)
        ensure_holds(change.access, after.beyond(before).permissions(change.catalog.all))
        if before.role is MemberRole.OWNER and after.role is not MemberRole.OWNER:
            ensure_owner_remains(change.organization, count_owners(change))
        updated = set_access(change, member, after)
        change.record("member.update_access", "member", member.user_id, differences(before, after))
        return updated

    @changes
    def remove(self, change: Change, *, user_id: str) -> FormerMember:
        """Ends a membership; one's own too, which is then the same as leaving."""
        member = load_member(change, user_id)
        change.ensure_etag(etag(member.revision))
        ensure_shared(change.organization)
        if member.user_id != change.call.principal.user_id:
            ensure_may_touch(change.access, member)
        former, told = part_with(change, member)
        change.record("member.remove", "member", member.user_id, told)
        return former

    def _grant(self, change: Change, role: MemberRole, role_ids: list[str]) -> Grant:
        grant = self._roles(change, role, role_ids)
        ensure_holds(change.access, grant.permissions(change.catalog.all))
        return grant

    def _roles(self, change: Change, role: MemberRole, role_ids: list[str]) -> Grant:
        organization_id = change.organization.id
        found = roles_of(change.database, change.catalog, organization_id, role_ids, field="assigned_role_ids")
        return Grant(role, found)

    def _named_grant(self, change: Change, name: str) -> Grant:
        system = change.catalog.role_keys.get(name)
        if system is not None:
            grant = Grant(MemberRole.MEMBER, (system,)) if system.assignable else Grant(MemberRole.OWNER)
        else:
            own = change.database.rows(role_statements.BY_NAME, organization_id=change.organization.id, name=name)
            if len(own) != 1:
                problem = "names several roles of the organization" if own else "is not a role"
                raise InvalidRequest.of("role", problem, "AMBIGUOUS_ROLE" if own else "UNKNOWN_ROLE")
            grant = Grant(MemberRole.MEMBER, tuple(own))
        ensure_holds(change.access, grant.permissions(change.catalog.all))
        return grant

    def _list(self, call: Call, after: str, limit: int) -> list[Member]:
        organization_id = call.organization_id
        rows = self.database.rows(statements.LIST, organization_id=organization_id, after=after, limit=limit)
        if not rows:
            return []
        assigned = self.database.rows(
            statements.ASSIGNMENTS, organization_id=organization_id, first=rows[0][1], last=rows[-1][1]
        )
        by_user = by_holder(self.store.catalog, assigned)
        return [statements.record(row, by_user[row[1]]) for row in rows]


def _add(change: Change, user: User, grant: Grant) -> Member:
    ensure_shared(change.organization)
    if not join(change, user.id, grant):
        raise AlreadyMember(user_id=user.id)
    overtaken = cancel_pending(change, user.email) if user.email_verified else {}
    if not overtaken:  # the invitation held the seat
        ensure_seat(change, held=1)
    change.record("member.add", "member", user.id, differences(None, grant) | overtaken)
    return load_member(change, user.id)
