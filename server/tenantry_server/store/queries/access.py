"""The one statement that says who a credential stands for and what it may do in an organization.

A row for each assigned role; the organization's columns come first. With an empty organization id the organization's and
the membership's columns are null.
"""

from typing import Any, NamedTuple

from peewee import JOIN

from ...domain.organizations import Organization as OrganizationRecord
from ...domain.principal import Principal, PrincipalKind
from ...domain.roles import MemberRole
from ...domain.tokens import TokenKind
from ..models import ApiToken, Membership, MembershipRole, Organization, Role, User
from ..statements import Row, Slot, Statement
from ..values import words
from . import organizations

_WIDTH = len(organizations.COLUMNS)


class Standing(NamedTuple):
    """What the statement found: who calls, until when, the organization if it exists, and the standing in it. A role is its
    id and, for the organization's own, its permissions.
    """

    principal: Principal
    expire_time: int | None
    organization: OrganizationRecord | None
    member_role: MemberRole | None
    roles: tuple[tuple[str, tuple[str, ...] | None], ...]


def standing(rows: list[Row]) -> Standing | None:
    """The rows of BY_TOKEN and its kin, read; None when there are none: the credential is unknown."""
    if not rows:
        return None
    organization = organizations.record(rows[0][:_WIDTH]) if rows[0][0] is not None else None
    token_id, kind, user_id, bound, permissions, expires, email, verified, role, *_ = rows[0][_WIDTH:]
    principal = Principal(
        kind=_kind(kind, bound),
        credential_id=token_id,
        user_id=user_id,
        organization_id=bound,
        email=email or "",
        email_verified=bool(verified),
        permissions=None if permissions is None else frozenset(words(permissions)),
    )
    roles = tuple((row[-2], None if row[-1] is None else words(row[-1])) for row in rows if row[-2] is not None)
    return Standing(principal, expires, organization, MemberRole(role) if role else None, roles)


def _kind(kind: str, bound: str) -> PrincipalKind:
    if kind == TokenKind.ORGANIZATION:
        return PrincipalKind.ORGANIZATION
    return PrincipalKind.USER_IN_ORGANIZATION if bound else PrincipalKind.USER


def _query(condition: Any) -> Any:
    return (
        ApiToken.select(
            *organizations.COLUMNS,
            ApiToken.id,
            ApiToken.kind,
            ApiToken.user_id,
            ApiToken.organization_id,
            ApiToken.permissions,
            ApiToken.expire_time,
            User.email,
            User.email_verified,
            Membership.role,
            MembershipRole.role_id,
            Role.permissions,
        )
        .join(User, JOIN.LEFT_OUTER, on=User.id == ApiToken.user_id)
        .switch(ApiToken)
        .join(Organization, JOIN.LEFT_OUTER, on=Organization.id == Slot("organization_id"))
        .join(
            Membership,
            JOIN.LEFT_OUTER,
            on=(Membership.organization_id == Slot("organization_id")) & (Membership.user_id == ApiToken.user_id),
        )
        .join(
            MembershipRole,
            JOIN.LEFT_OUTER,
            on=(MembershipRole.organization_id == Membership.organization_id) & (MembershipRole.user_id == Membership.user_id),
        )
        .join(
            Role,
            JOIN.LEFT_OUTER,
            on=(Role.organization_id == MembershipRole.organization_id) & (Role.id == MembershipRole.custom_role_id),
        )
        .where(condition)
    )


BY_DIGEST: Statement[Row] = Statement(lambda: _query(ApiToken.digest == Slot("digest")), tuple)
BY_TOKEN_ID: Statement[Row] = Statement(lambda: _query(ApiToken.id == Slot("token_id")), tuple)
# The standing of a user alone, for an invitation's granter: role and assigned roles.
OF_USER: Statement[Row] = Statement(
    lambda: (
        Membership.select(Membership.role, MembershipRole.role_id, Role.permissions)
        .join(
            MembershipRole,
            JOIN.LEFT_OUTER,
            on=(MembershipRole.organization_id == Membership.organization_id) & (MembershipRole.user_id == Membership.user_id),
        )
        .join(
            Role,
            JOIN.LEFT_OUTER,
            on=(Role.organization_id == MembershipRole.organization_id) & (Role.id == MembershipRole.custom_role_id),
        )
        .where((Membership.organization_id == Slot("organization_id")) & (Membership.user_id == Slot("user_id")))
    ),
    tuple,
)
