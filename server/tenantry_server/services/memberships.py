"""What becomes of memberships inside a change: the steps that members, invitations and organizations have in common."""

from dataclasses import fields, replace

from ..domain import ids
from ..domain.audit import Changes
from ..domain.audit import changes as differences
from ..domain.errors import MemberNotFound, UserNotFound
from ..domain.membership import FormerMember, Grant, Member, ensure_owner_remains
from ..domain.permissions import Catalog
from ..domain.roles import MemberRole
from ..store.change import Change
from ..store.database import Database
from ..store.queries import api_tokens as token_statements
from ..store.queries import members as statements
from ..store.queries import users as user_statements
from .assignments import by_holder, custom_id
from .offers import cancel_pending


def find_member(database: Database, catalog: Catalog, organization_id: str, user_id: str) -> Member | None:
    """A member by canonical ids."""
    row = database.row(statements.GET, organization_id=organization_id, user_id=user_id)
    if row is None:
        return None
    rows = database.rows(statements.ASSIGNMENTS, organization_id=organization_id, first=user_id, last=user_id)
    return statements.record(row, by_holder(catalog, rows)[user_id])


def load_member(change: Change, user_id: str) -> Member:
    """A member, inside a change. Raises MemberNotFound."""
    member = find_member(change.database, change.catalog, change.organization.id, ids.find_or_nil(user_id))
    if member is None:
        raise MemberNotFound(user_id=user_id)
    return member


def join(change: Change, user_id: str, grant: Grant) -> bool:
    """Makes a user a member; False when they are one already, whose membership is then untouched.

    Takes the user's lock: who is being deleted at the same time joins before it or not at all. Raises UserNotFound.
    """
    if not change.database.run(user_statements.TOUCH, user_id=user_id):
        raise UserNotFound(user=user_id)
    if not change.database.run(statements.INSERT, user_id=user_id, role=grant.role.value, **change.slots):
        return False
    _assign(change, user_id, grant)
    return True


def set_access(change: Change, member: Member, grant: Grant) -> Member:
    """Replaces a member's access. Assignments that stay keep their rows."""
    change.database.later(statements.UPDATE, user_id=member.user_id, role=grant.role.value, **change.slots)
    kept = {role.id for role in grant.assigned_roles}
    for role in member.assigned_roles:
        if role.id not in kept:
            change.database.later(
                statements.UNASSIGN, organization_id=member.organization_id, user_id=member.user_id, role_id=role.id
            )
    _assign(change, member.user_id, grant.beyond(Grant(MemberRole.MEMBER, member.assigned_roles)))
    return replace(
        member,
        role=grant.role,
        assigned_roles=grant.assigned_roles,
        revision=change.organization.revision,
        update_time=change.now,
    )


def part_with(change: Change, member: Member) -> tuple[FormerMember, Changes]:
    """Ends a membership, and the way back by an invitation that was pending. Answers with who was a member, and with what the
    audit trail says of it. Raises LastOwner.
    """
    token_ids, told = end_membership(change, member)
    user = change.database.one(user_statements.GET, user_id=member.user_id)
    cancelled = cancel_pending(change, user.email) if user.email_verified else {}
    known = {field.name: getattr(member, field.name) for field in fields(member)} | {"revision": change.organization.revision}
    (_, invitation_id) = cancelled.get("cancelled_invitation_id", (None, ""))
    former = FormerMember(**known, ended_api_token_ids=token_ids, cancelled_invitation_id=invitation_id)
    return former, differences(Grant(member.role, member.assigned_roles), None) | told | cancelled


def end_membership(change: Change, member: Member) -> tuple[tuple[str, ...], Changes]:
    """Ends a membership, and with it its assignments and the tokens bound to it. Answers with the ids of those, and with what
    the audit trail says of them. Raises LastOwner.
    """
    if member.role is MemberRole.OWNER:
        ensure_owner_remains(change.organization, count_owners(change))
    key = {"organization_id": member.organization_id, "user_id": member.user_id}
    change.database.later(statements.DELETE, **key)
    token_ids = sorted(change.database.rows(token_statements.END_BOUND, **key))
    return tuple(token_ids), {"api_tokens": (token_ids, [])} if token_ids else {}


def count_owners(change: Change) -> int:
    """How many owners there are, inside a change."""
    return int(change.database.one(statements.OWNERS, organization_id=change.organization.id))


def _assign(change: Change, user_id: str, grant: Grant) -> None:
    for role in grant.assigned_roles:
        change.database.later(
            statements.ASSIGN,
            organization_id=change.organization.id,
            user_id=user_id,
            role_id=role.id,
            custom_role_id=custom_id(role),
        )
