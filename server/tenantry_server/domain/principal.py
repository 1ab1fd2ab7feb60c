"""Who calls, and what they may do in an organization."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from .errors import (
    OrganizationNotAccessible,
    OrganizationSuspended,
    PermissionMissing,
    PrincipalKindNotAllowed,
)
from .organizations import Organization, OrganizationState
from .permissions import Catalog
from .record import record
from .roles import MemberRole, Role


class PrincipalKind(StrEnum):
    """Who a credential stands for."""

    USER = "user"  # a person, in all their organizations
    USER_IN_ORGANIZATION = "user_in_organization"  # a person, through a token bound to one of their organizations
    ORGANIZATION = "organization"  # an organization, through a token that it owns
    PLATFORM = "platform"  # an operator or an internal service


@record
class Principal:
    """Whoever calls. `permissions` is what the credential narrows to; None narrows nothing.

    The credential is a token or, for whom an identity provider vouches, the identity. A token's `expire_time` is when it ends,
    or that secret of it, of which `digest` is what is kept.
    """

    kind: PrincipalKind
    credential_id: str = ""
    signed_in: bool = False
    user_id: str = ""
    organization_id: str = ""
    email: str = ""
    email_verified: bool = False
    permissions: frozenset[str] | None = None
    expire_time: datetime | None = None
    digest: str = field(default="", repr=False)

    @property
    def id(self) -> str:
        """Id of the user or, for an organization's own token, of the organization."""
        return self.user_id or self.organization_id

    def narrows(self, permissions: frozenset[str]) -> frozenset[str]:
        """What is left of the permissions through this credential."""
        return permissions if self.permissions is None else permissions & self.permissions


# Who sits at the server's own command line.
OPERATOR = Principal(kind=PrincipalKind.PLATFORM)


@record
class Access:
    """What a principal may do in an organization while it is active."""

    organization: Organization
    permissions: frozenset[str]
    holds_everything: bool
    is_owner: bool = False
    role_ids: frozenset[str] = frozenset()


class Known(NamedTuple):
    """A valid credential: who calls, and what they may do in the organization that was asked for. `name` is a person's."""

    principal: Principal
    access: Access | None
    name: str


def effective(
    catalog: Catalog,
    principal: Principal,
    organization_id: str,
    *,
    member_role: MemberRole | None,
    roles: tuple[Role, ...],
) -> frozenset[str] | None:
    """The effective permissions: what the member holds (an owner everything, others the implicit permissions and those of
    their roles; an organization's own token and the operator everything), narrowed by the credential. None for strangers.
    """
    if principal.organization_id and principal.organization_id != organization_id:
        return None
    if principal.user_id and member_role is None:
        return None
    if member_role is not MemberRole.MEMBER:
        return principal.narrows(catalog.all)
    return principal.narrows(catalog.held_by_roles(tuple([role.permissions for role in roles])))


def access(
    catalog: Catalog,
    principal: Principal,
    organization: Organization,
    *,
    member_role: MemberRole | None,
    roles: tuple[Role, ...],
) -> Access | None:
    """The effective permissions, and what else rules ask of who holds them. None for strangers."""
    held = effective(catalog, principal, organization.id, member_role=member_role, roles=roles)
    if held is None:
        return None
    return Access(
        organization=organization,
        permissions=held,
        holds_everything=len(held) == len(catalog.all),
        is_owner=member_role is MemberRole.OWNER,
        role_ids=frozenset(role.id for role in roles),
    )


class Level(StrEnum):
    """How the caller of a method is judged."""

    SCOPED = "scoped"
    AUTHENTICATED = "authenticated"
    PUBLIC = "public"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a method demands of its caller, as its RPC declares it."""

    level: Level
    permissions: tuple[str, ...] = ()
    kinds: frozenset[PrincipalKind] = frozenset()
    allow_suspended: bool = False
    allow_deleted: bool = False

    def ensure_principal(self, principal: Principal) -> None:
        """Raises PrincipalKindNotAllowed, or PermissionMissing when the credential alone does not carry enough."""
        if principal.kind not in self.kinds:
            raise PrincipalKindNotAllowed(principal_kind=principal.kind)
        if self.level is not Level.SCOPED and principal.permissions is not None:
            self._ensure_holds(principal.permissions)

    def ensure_access(self, access: Access | None, *, organization_id: str) -> None:
        """Raises OrganizationNotAccessible, OrganizationSuspended or PermissionMissing. `organization_id` is as sent."""
        if access is None or (access.organization.state is OrganizationState.DELETED and not self.allow_deleted):
            raise OrganizationNotAccessible(organization_id=organization_id)
        if access.organization.state is OrganizationState.SUSPENDED and not self.allow_suspended:
            raise OrganizationSuspended(
                organization_id=access.organization.id, suspension_reason=access.organization.suspension_reason
            )
        self._ensure_holds(access.permissions)

    def _ensure_holds(self, held: frozenset[str]) -> None:
        if missing := [name for name in self.permissions if name not in held]:
            raise PermissionMissing(permissions=",".join(missing))
