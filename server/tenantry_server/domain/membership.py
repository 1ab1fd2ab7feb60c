"""Members, and who may give whom which access."""

from dataclasses import dataclass
from datetime import datetime

from .errors import GrantExceedsOwn, LastOwner, OwnAccess, OwnerProtected, PersonalOrganization
from .organizations import Organization
from .principal import Access, Principal
from .roles import MemberRole, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user in an organization, with the assigned roles by id."""

    organization_id: str
    user_id: str
    email: str
    name: str
    role: MemberRole
    assigned_roles: tuple[Role, ...]
    revision: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerMember(Member):
    """A member who was, and what ended with the membership: tokens bound to it, and an invitation by which to come back."""

    ended_api_token_ids: tuple[str, ...] = ()
    cancelled_invitation_id: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody is given: a standing, and roles."""

    role: MemberRole
    assigned_roles: tuple[Role, ...] = ()

    def permissions(self, all_permissions: frozenset[str]) -> frozenset[str]:
        """What it amounts to beyond what every member holds."""
        if self.role is MemberRole.OWNER:
            return all_permissions
        return frozenset(name for role in self.assigned_roles for name in role.permissions)

    def beyond(self, before: "Grant") -> "Grant":
        """What is new in it: the part that somebody has to answer for."""
        if before.role is MemberRole.OWNER:
            return Grant(MemberRole.MEMBER)
        kept = {role.id for role in before.assigned_roles}
        return Grant(self.role, tuple(role for role in self.assigned_roles if role.id not in kept))


def ensure_holds(access: Access, permissions: frozenset[str]) -> None:
    """Nobody grants what they do not hold. Raises GrantExceedsOwn naming what is beyond."""
    if beyond := permissions - access.permissions:
        raise GrantExceedsOwn(permissions=",".join(sorted(beyond)))


def ensure_shared(organization: Organization) -> None:
    """A personal organization has one member, for good. Raises PersonalOrganization."""
    if organization.personal:
        raise PersonalOrganization(organization_id=organization.id)


def ensure_other(principal: Principal, user_id: str) -> None:
    """Nobody changes their own access. Raises OwnAccess."""
    if principal.user_id == user_id:
        raise OwnAccess


def ensure_may_touch(access: Access, member: Member) -> None:
    """Only who holds all that owners hold changes or removes an owner. Raises OwnerProtected."""
    if member.role is MemberRole.OWNER and not access.holds_everything:
        raise OwnerProtected(user_id=member.user_id)


def ensure_owner_remains(organization: Organization, owners: int) -> None:
    """One owner always remains; `owners` counts them before one goes. Raises LastOwner."""
    if owners <= 1:
        raise LastOwner(organization_id=organization.id)
