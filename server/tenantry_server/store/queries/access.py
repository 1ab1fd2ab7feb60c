"""The one statement that says who a credential stands for and what it may do in an organization.

A row for each assigned role. Where no organization is asked for, a row ends with the user.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from peewee import JOIN, SQL

from ...domain.organizations import Organization as OrganizationRecord
from ...domain.principal import Principal
from ...domain.roles import MemberRole
from ..models import Membership, MembershipRole, Organization, Role
from ..people import ApiToken, ApiTokenExclusion, ApiTokenSecret, Identity, User
from ..statements import Row, Slot, Statement
from ..values import MEMBER_ROLES, instant_or_none, principal_kind, words
from . import organizations

# Where the user's standing in the organization begins, and where the organization's columns do.
_STANDING, _ORGANIZATION = 10, 14
_NOT_ASKED_FOR = (None,) * (_ORGANIZATION - _STANDING)
_NULL = SQL("NULL")


class Standing(NamedTuple):
    """What the statement found: who calls, until when in milliseconds, the organization if it exists, and the standing in it.
    A role is its id and, for the organization's own, its permissions. `name` is the user's.
    """

    principal: Principal
    expire_time: int | None
    organization: OrganizationRecord | None
    excluded: bool
    member_role: MemberRole | None
    roles: tuple[tuple[str, tuple[str, ...] | None], ...]
    name: str


def standing(rows: list[Row], *, digest: str = "") -> Standing | None:
    """The rows of BY_DIGEST and its kin, read; None when there are none: the credential is unknown."""
    if not rows:
        return None
    first = rows[0]
    (credential, kind, user_id, bound, permissions, expires, secret_expires, email, verified, name) = first[:_STANDING]
    (excluded, role, role_id, _) = first[_STANDING:_ORGANIZATION] or _NOT_ASKED_FOR
    end = expires if secret_expires is None or (expires is not None and expires < secret_expires) else secret_expires
    principal = Principal(
        kind=principal_kind(kind, bound),
        credential_id=credential,
        signed_in=kind is None,
        user_id=user_id,
        organization_id=bound or "",
        email=email or "",
        email_verified=bool(verified),
        permissions=None if permissions is None else frozenset(words(permissions)),
        expire_time=instant_or_none(end),
        digest=digest,
    )
    found = first[_ORGANIZATION:]
    organization = organizations.record(found) if found and found[0] is not None else None
    roles = () if role_id is None else tuple((row[12], None if row[13] is None else words(row[13])) for row in rows)
    member_role = MEMBER_ROLES[role] if role else None
    return Standing(principal, end, organization, excluded is not None, member_role, roles, name or "")


def _credential(columns: Sequence[Any], source: Any, excluded: Any) -> Any:
    """The columns of a credential, of its user, and of the user's standing in the organization."""
    return source.select(
        *columns,
        User.email,
        User.email_verified,
        User.name,
        excluded,
        Membership.role,
        MembershipRole.role_id,
        Role.permissions,
    )


def _with_organization(query: Any) -> Any:
    """Reads the organization that is asked for, too."""
    return query.select_extend(*organizations.COLUMNS).join(
        Organization, JOIN.LEFT_OUTER, on=Organization.id == Slot("organization_id")
    )


def _standing(query: Any, user_id: Any) -> Any:
    """Joins the user, and their membership and roles in the organization that is asked for."""
    return (
        query.join(User, JOIN.LEFT_OUTER, on=User.id == user_id)
        .join(
            Membership,
            JOIN.LEFT_OUTER,
            on=(Membership.organization_id == Slot("organization_id")) & (Membership.user_id == user_id),
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
    )


_TOKEN = (
    ApiToken.id,
    ApiToken.kind,
    ApiToken.user_id,
    ApiToken.organization_id,
    ApiToken.permissions,
    ApiToken.expire_time,
)


def _exclusion(query: Any) -> Any:
    return query.join(
        ApiTokenExclusion,
        JOIN.LEFT_OUTER,
        on=(ApiTokenExclusion.organization_id == Slot("organization_id")) & (ApiTokenExclusion.api_token_id == ApiToken.id),
    )


def _by_digest() -> Any:
    columns = (*_TOKEN, ApiTokenSecret.expire_time)
    query = _credential(columns, ApiTokenSecret, ApiTokenExclusion.api_token_id)
    query = query.join(ApiToken, on=ApiToken.id == ApiTokenSecret.api_token_id)
    return _standing(_exclusion(query), ApiToken.user_id).where(ApiTokenSecret.digest == Slot("digest"))


def _by_token_id() -> Any:
    query = _credential((*_TOKEN, _NULL), ApiToken, ApiTokenExclusion.api_token_id)
    return _with_organization(_standing(_exclusion(query), ApiToken.user_id)).where(ApiToken.id == Slot("token_id"))


def _by_identity(condition: Any) -> Any:
    columns = (Identity.id, _NULL, Identity.user_id, _NULL, _NULL, _NULL, _NULL)
    return _standing(_credential(columns, Identity, _NULL), Identity.user_id).where(condition)


def _alone() -> Any:
    """A credential and its user where no organization is asked for."""
    columns = (*_TOKEN, ApiTokenSecret.expire_time, User.email, User.email_verified, User.name)
    query = ApiTokenSecret.select(*columns).join(ApiToken, on=ApiToken.id == ApiTokenSecret.api_token_id)
    return query.join(User, JOIN.LEFT_OUTER, on=User.id == ApiToken.user_id).where(ApiTokenSecret.digest == Slot("digest"))


BY_DIGEST: Statement[Row] = Statement(lambda: _with_organization(_by_digest()), tuple)
BY_DIGEST_ALONE: Statement[Row] = Statement(_alone, tuple)
BY_TOKEN_ID: Statement[Row] = Statement(_by_token_id, tuple)
BY_IDENTITY: Statement[Row] = Statement(
    lambda: _with_organization(_by_identity((Identity.issuer == Slot("issuer")) & (Identity.subject == Slot("subject")))),
    tuple,
)
# For who has read the organization already: the same without it.
BY_DIGEST_AGAIN: Statement[Row] = Statement(_by_digest, tuple)
BY_IDENTITY_ID: Statement[Row] = Statement(lambda: _by_identity(Identity.id == Slot("identity_id")), tuple)
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
