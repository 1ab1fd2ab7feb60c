"""How users go: deleted, in one transaction over everything that they are part of."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..domain import ids
from ..domain.audit import Changes
from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.errors import InvalidRequest, SuccessorMissing, UserNotFound
from ..domain.etags import etag
from ..domain.membership import Grant, Member
from ..domain.organizations import Organization, OrganizationState
from ..domain.roles import MemberRole
from ..domain.users import User, UserState
from ..store.change import Change
from ..store.queries import api_tokens as token_statements
from ..store.queries import organizations as organization_statements
from ..store.queries import users as statements
from ..store.transactions import change_user
from ..store.values import milliseconds
from .memberships import count_owners, end_membership, join, load_member, set_access
from .offers import cancel_pending
from .service import Service
from .users import present, write

# How many organizations a refusal names: an answer has to stay small.
_MOST_NAMED = 100


class Departures(Service):
    """Use cases of users who go."""

    def delete(self, call: Call, *, user_id: str, successors: Iterable[tuple[str, str]]) -> User:
        """Ends a user: memberships, tokens, identities and the personal organization, in one transaction.

        `successors` names, by organization, who becomes the owner where the user alone is one: a member or somebody new.
        Raises SuccessorMissing with every organization that lacks one, UserNotFound or UserDeleted.
        """
        known, heirs = ids.find_or_nil(user_id), _by_id(successors)
        if self.database.row(statements.GET, user_id=known) is None:
            raise UserNotFound(user=user_id)

        def body(change: Change, others: list[Organization]) -> User:
            before = present(change, known)
            change.ensure_etag(etag(before.revision - 1))  # taking the lock counted one more
            parts = [change.also(organization) for organization in others]
            members = {part.organization.id: load_member(part, known) for part in parts}
            alone = [part.organization.id for part in parts if _needs_successor(part, members[part.organization.id])]
            _ensure_all_named(heirs, alone)
            for part in parts:
                _part_with(part, members[part.organization.id], heirs.get(part.organization.id))
            return self._end(change, before)

        return change_user(self.store, call, known, body, User)

    def _end(self, change: Change, before: User) -> User:
        """What is the user's alone ends: credentials, identities, the personal organization."""
        personal = change.organization.id
        for statement in (statements.END_TOKENS, statements.FORGET_IDENTITIES, statements.DROP_PERSONAL):
            change.database.later(statement, user_id=before.id)
        change.database.rows(token_statements.END_BOUND, organization_id=personal, user_id="")
        change.database.later(organization_statements.MAKE_IMPERSONAL, organization_id=personal)
        change.database.later(
            organization_statements.SET_STATE,
            organization_id=personal,
            state=OrganizationState.DELETED.value,
            delete_time=milliseconds(change.now),
            purge_time=milliseconds(change.now + self.limits.undelete_window),
        )
        after = replace(
            before,
            email_verified=False,
            state=UserState.DELETED,
            personal_organization_id="",
            identities=(),
            delete_time=change.now,
        )
        told: Changes = {"state": (before.state.value, after.state.value)}
        if before.email_verified:
            told["email_verified"] = (True, False)
        change.record("user.delete", "user", after.id, told)
        return write(change, after)


def _by_id(successors: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for organization_id, user_id in successors:
        heir_id = ids.find_or_nil(user_id)
        if found.setdefault(ids.find_or_nil(organization_id), heir_id) != heir_id:
            raise InvalidRequest.of("successors", "names several successors for an organization", "SUCCESSORS")
    return found


def _needs_successor(part: Change, member: Member) -> bool:
    """Whether the organization would have no owner left. One that is deleted needs none: the user stays its owner."""
    return _is_sole_owner(part, member) and part.organization.state is not OrganizationState.DELETED


def _is_sole_owner(part: Change, member: Member) -> bool:
    return member.role is MemberRole.OWNER and count_owners(part) == 1


def _ensure_all_named(heirs: Mapping[str, str], alone: list[str]) -> None:
    if missing := [organization_id for organization_id in alone if organization_id not in heirs]:
        raise SuccessorMissing(organization_ids=",".join(missing[:_MOST_NAMED]))
    if set(heirs) - set(alone):
        raise InvalidRequest.of("successors", "names an organization that the user does not own alone", "SUCCESSORS")


def _part_with(part: Change, member: Member, heir_id: str | None) -> None:
    """Ends a membership of the user, once there is another owner."""
    told: Changes = differences(Grant(member.role, member.assigned_roles), None)
    if heir_id is not None:
        told |= {"successor_user_id": (None, heir_id), **_make_owner(part, member, heir_id)}
    elif _is_sole_owner(part, member):
        part.record("user.delete", "user", member.user_id, {})
        return
    _, ended = end_membership(part, member)
    part.record("user.delete", "user", member.user_id, told | ended)


def _make_owner(part: Change, member: Member, heir_id: str) -> Changes:
    """Makes a member or somebody new an owner; what the audit trail says of it beside."""
    try:
        if heir_id == member.user_id:
            raise UserNotFound(user=heir_id)
        if join(part, heir_id, Grant(MemberRole.OWNER)):
            newcomer = part.database.one(statements.GET, user_id=heir_id)
            return cancel_pending(part, newcomer.email) if newcomer.email_verified else {}
        promoted = load_member(part, heir_id)
        set_access(part, promoted, Grant(MemberRole.OWNER, promoted.assigned_roles))
        return {}
    except UserNotFound:
        raise InvalidRequest.of("successors", f"{heir_id} is no other active user", "SUCCESSORS") from None
