"""Who a credential stands for and what it may do in an organization: always read, never cached."""

from collections.abc import Sequence
from datetime import datetime

from ..domain import principal as rules
from ..domain.organizations import Organization
from ..domain.permissions import Catalog
from ..domain.principal import Access, Known, Principal, PrincipalKind
from ..domain.roles import MemberRole, Role
from ..domain.users import Identity
from .database import Database
from .queries import access
from .statements import Bound, Row
from .values import milliseconds, words


def authenticate(database: Database, catalog: Catalog, digest: str, organization_id: str, now: datetime) -> Known | None:
    """By the digest of a token's secret; None when it is unknown or expired. `organization_id` may be empty."""
    statement = access.BY_DIGEST if organization_id else access.BY_DIGEST_ALONE
    rows = database.rows(statement, digest=digest, organization_id=organization_id)
    return _known(catalog, access.standing(rows, digest=digest), now)


def identify(database: Database, catalog: Catalog, identity: Identity, organization_id: str, now: datetime) -> Known | None:
    """By how an identity provider knows the user; None when it is nobody yet."""
    rows = database.rows(access.BY_IDENTITY, issuer=identity.issuer, subject=identity.subject, organization_id=organization_id)
    return _known(catalog, access.standing(rows), now)


def known_again(database: Database, catalog: Catalog, principal: Principal, now: datetime) -> Known | None:
    """A principal who was authenticated before, as the present transaction sees them; None when the credential is no good now.

    The operator at the command line, and whom a certificate stands for, stay who they are.
    """
    for statement, values in _reading_again(principal, ""):
        return _known(catalog, access.standing(database.rows(statement, **values), digest=principal.digest), now)
    return Known(principal, None, "")


def access_reading(principal: Principal, organization_id: str) -> tuple[Bound, ...]:
    """What `access_again` goes by: what is asked about a principal who was authenticated before; of some, nothing."""
    return () if principal.kind is PrincipalKind.PLATFORM else _reading_again(principal, organization_id)


def access_of(
    database: Database, catalog: Catalog, principal: Principal, organization: Organization, now: datetime
) -> Access | None:
    """What a principal who was authenticated before may do now."""
    read = [database.rows(statement, **values) for statement, values in access_reading(principal, organization.id)]
    return access_again(catalog, principal, organization, read, now)


def access_again(
    catalog: Catalog, principal: Principal, organization: Organization, read: Sequence[list[Row]], now: datetime
) -> Access | None:
    """The same, by the rows of each statement of `access_reading`."""
    if principal.kind is PrincipalKind.PLATFORM:
        return rules.access(catalog, principal, organization, member_role=None, roles=())
    found = access.standing(read[0], digest=principal.digest) if read else None
    known = _known(catalog, found and found._replace(organization=organization), now)
    return known.access if known else None


def token_access(
    database: Database, catalog: Catalog, token_id: str, organization: Organization, now: datetime
) -> tuple[Access | None, bool]:
    """What a token gives in an organization, its own expiry aside, and whether the organization keeps it out."""
    found = access.standing(database.rows(access.BY_TOKEN_ID, token_id=token_id, organization_id=organization.id))
    return (None, False) if found is None else (_access(catalog, found, now), found.excluded)


def granter_access(
    database: Database, catalog: Catalog, organization: Organization, *, user_id: str, token_id: str, now: datetime
) -> Access | None:
    """What the user, or the organization's own token, that answers for an invitation may do now."""
    if not user_id:
        rows = database.rows(access.BY_TOKEN_ID, token_id=token_id, organization_id=organization.id)
        known = _known(catalog, access.standing(rows), now)
        return known.access if known else None
    rows = database.rows(access.OF_USER, organization_id=organization.id, user_id=user_id)
    if not rows:
        return None
    return rules.access(
        catalog,
        Principal(kind=PrincipalKind.USER, user_id=user_id),
        organization,
        member_role=MemberRole(rows[0][0]),
        roles=_roles(catalog, tuple((row[1], words(row[2]) if row[2] else None) for row in rows if row[1])),
    )


def _reading_again(principal: Principal, organization_id: str) -> tuple[Bound, ...]:
    if principal.digest:
        statement = access.BY_DIGEST_AGAIN if organization_id else access.BY_DIGEST_ALONE
        return (statement.bind(digest=principal.digest, organization_id=organization_id),)
    if principal.signed_in:
        return (access.BY_IDENTITY_ID.bind(identity_id=principal.credential_id, organization_id=organization_id),)
    return ()


def _known(catalog: Catalog, found: access.Standing | None, now: datetime) -> Known | None:
    if found is None or (found.expire_time is not None and found.expire_time <= milliseconds(now)):
        return None
    return Known(found.principal, None if found.excluded else _access(catalog, found, now), found.name)


def _access(catalog: Catalog, found: access.Standing, now: datetime) -> Access | None:
    if found.organization is None or found.principal.kind is PrincipalKind.PLATFORM:  # which no organization grants anything
        return None
    roles = _roles(catalog, found.roles)
    organization = found.organization.as_of(now)
    return rules.access(catalog, found.principal, organization, member_role=found.member_role, roles=roles)


def _roles(catalog: Catalog, found: tuple[tuple[str, tuple[str, ...] | None], ...]) -> tuple[Role, ...]:
    """The roles, as far as rights need them. A system role that the catalog no longer has grants nothing."""
    return tuple(
        catalog.roles[role_id]
        if permissions is None
        else Role(id=role_id, organization_id="", name="", description="", permissions=permissions)
        for role_id, permissions in found
        if permissions is not None or role_id in catalog.roles
    )
