"""Why a permission is held or not, and the smallest set of changes that turns the answer around.

A set is the smallest in that none of its changes can be left out. Of several such sets it is, for a denial, the one that gives
the least else; for an allowance, the one that takes the least else: a token's permission before roles, roles before ownership,
and that before the membership.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from .authorization import HINDERING_STATES, Decision, Standing, decide, granting, way_to
from .organizations import OrganizationState
from .permissions import Catalog
from .principal import Principal, PrincipalKind
from .roles import MemberRole, Role


class ChangeKind(StrEnum):
    """What gives or takes a permission."""

    ADD_MEMBER = "add_member"
    ASSIGN_ROLE = "assign_role"
    MAKE_OWNER = "make_owner"
    WIDEN_TOKEN = "widen_token"  # noqa: S105  a kind, no secret
    EXTEND_TOKEN = "extend_token"  # noqa: S105
    REACTIVATE_ORGANIZATION = "reactivate_organization"
    UNDELETE_ORGANIZATION = "undelete_organization"
    REMOVE_MEMBER = "remove_member"
    MAKE_MEMBER = "make_member"
    UNASSIGN_ROLE = "unassign_role"
    NARROW_TOKEN = "narrow_token"  # noqa: S105
    REVOKE_TOKEN = "revoke_token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change: with the role that is assigned, taken or joined with, and the standing that is joined with."""

    kind: ChangeKind
    role: Role | None = None
    member_role: MemberRole | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPart:
    """What a token has to do with the answer."""

    id: str
    unrestricted: bool
    narrowed: bool
    expired: bool
    excluded: bool
    out_of_reach: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The path from a subject to a permission."""

    decision: Decision
    member_role: MemberRole | None
    implicit: bool
    granting_roles: tuple[Role, ...]
    token: TokenPart | None
    state: OrganizationState | None
    changes: tuple[Remedy, ...]


# What no change of the organization or the token turns around.
_FINAL = frozenset(
    {
        Decision.UNKNOWN_PERMISSION,
        Decision.UNKNOWN_CREDENTIAL,
        Decision.PLATFORM_CREDENTIAL,
        Decision.UNKNOWN_ORGANIZATION,
        Decision.OUT_OF_REACH,
        Decision.EXCLUDED,
    }
)
_REVIVALS = {
    OrganizationState.SUSPENDED: ChangeKind.REACTIVATE_ORGANIZATION,
    OrganizationState.DELETED: ChangeKind.UNDELETE_ORGANIZATION,
}


def explain(catalog: Catalog, standing: Standing, permission: str, own_roles: Iterable[Role]) -> Explanation:
    """Why the answer is what it is. `own_roles` are those of the organization that may be named as ones to assign."""
    decision = decide(catalog, standing, permission)
    if decision.allows:
        changes = tuple(_removals(catalog, standing, permission))
    elif decision in _FINAL or standing.secret_expired or standing.excluded or standing.principal is None:
        changes = ()
    else:
        changes = tuple(_additions(catalog, standing, standing.principal, permission, own_roles))
    return Explanation(
        decision=decision,
        member_role=standing.member_role,
        implicit=permission in catalog.implicit,
        granting_roles=granting(standing.roles, permission),
        token=_token_part(standing, permission),
        state=standing.state,
        changes=changes,
    )


def explain_unseen(catalog: Catalog, standing: Standing, permission: str) -> Explanation:
    """What somebody is told who may not know whether the organization exists: that the subject is no member of it.

    It is told from the catalog and the caller's own credential alone, so it is the same for every id that is not theirs.
    """
    bare = Standing(organization_id=standing.organization_id, principal=standing.principal, state=OrganizationState.ACTIVE)
    told = explain(catalog, bare, permission, ())
    if told.decision.allows:  # an organization's own token, whose organization is gone
        told = replace(told, decision=Decision.NOT_A_MEMBER, changes=())
    return replace(told, state=None)


def explain_closed(catalog: Catalog, state: OrganizationState, permission: str) -> Explanation:
    """What somebody is told of another member while the organization is not active: nothing of the member."""
    is_known = permission in catalog.all
    return Explanation(
        decision=HINDERING_STATES[state] if is_known else Decision.UNKNOWN_PERMISSION,
        member_role=None,
        implicit=permission in catalog.implicit,
        granting_roles=(),
        token=None,
        state=state,
        changes=(),
    )


def _additions(
    catalog: Catalog, standing: Standing, principal: Principal, permission: str, own_roles: Iterable[Role]
) -> Iterator[Remedy]:
    if way_to(catalog, standing, permission) is None:
        yield _standing_for(catalog, standing, permission, own_roles)
    if standing.state in _REVIVALS:
        yield Remedy(_REVIVALS[standing.state])
    if standing.token_expired:
        yield Remedy(ChangeKind.EXTEND_TOKEN)
    if not principal.narrows(frozenset({permission})):
        yield Remedy(ChangeKind.WIDEN_TOKEN)


def _standing_for(catalog: Catalog, standing: Standing, permission: str, own_roles: Iterable[Role]) -> Remedy:
    """The one change of the user's standing that gives the permission, and the least else."""
    role = None if permission in catalog.implicit else _least(catalog, permission, own_roles)
    is_owner = role is None and permission not in catalog.implicit
    if standing.member_role is None:
        return Remedy(ChangeKind.ADD_MEMBER, role, MemberRole.OWNER if is_owner else MemberRole.MEMBER)
    return Remedy(ChangeKind.MAKE_OWNER) if is_owner else Remedy(ChangeKind.ASSIGN_ROLE, role)


def _least(catalog: Catalog, permission: str, own_roles: Iterable[Role]) -> Role | None:
    """Of the roles that can be assigned and grant the permission, the one that grants the fewest others."""
    found = [role for role in (*catalog.roles.values(), *own_roles) if role.assignable and permission in role.permissions]
    return min(
        found, key=lambda role: (len(catalog.all.intersection(role.permissions)), not role.system, role.id), default=None
    )


def _removals(catalog: Catalog, standing: Standing, permission: str) -> Iterator[Remedy]:
    principal = standing.principal
    assert principal is not None
    if _is_token(principal):
        is_all = principal.permissions is not None and principal.permissions & catalog.all == {permission}
        yield Remedy(ChangeKind.REVOKE_TOKEN if is_all else ChangeKind.NARROW_TOKEN)
        return
    if permission in catalog.implicit:
        yield Remedy(ChangeKind.REMOVE_MEMBER)
        return
    if standing.member_role is MemberRole.OWNER:
        yield Remedy(ChangeKind.MAKE_MEMBER)
    for role in granting(standing.roles, permission):
        yield Remedy(ChangeKind.UNASSIGN_ROLE, role)


def _token_part(standing: Standing, permission: str) -> TokenPart | None:
    principal = standing.principal
    if principal is None or not _is_token(principal):
        return None
    return TokenPart(
        id=principal.credential_id,
        unrestricted=principal.permissions is None,
        narrowed=not principal.narrows(frozenset({permission})),
        expired=standing.token_expired or standing.secret_expired,
        excluded=standing.excluded,
        out_of_reach=not standing.reaches,
    )


def _is_token(principal: Principal) -> bool:
    """Whether it is asked through an API token, rather than about a user or through who signed in."""
    return bool(principal.credential_id) and not principal.signed_in and principal.kind is not PrincipalKind.PLATFORM
