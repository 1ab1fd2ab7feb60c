"""Who may do what in an organization: one standing decides, by the same rules as every call of the API."""

from enum import StrEnum
from typing import NamedTuple

from .errors import PermissionMissing, RevisionNotReached
from .organizations import OrganizationState
from .permissions import Catalog
from .principal import Access, Principal, PrincipalKind, effective
from .record import record
from .roles import MemberRole, Role

# Who holds this platform permission is answered about everybody.
CHECK = "authorization:check"
# Who holds this in an organization is answered about other users there.
READ_MEMBERS = "member:read"
# Who holds this is told which of the organization's own roles would grant a permission.
READ_ROLES = "role:read"
NOTHING: frozenset[str] = frozenset()


class SubjectKind(StrEnum):
    """By what a subject is looked up."""

    __hash__ = str.__hash__  # every key is hashed several times, and an enumeration's own hash is a function of Python

    USER = "user"
    API_TOKEN = "api_token"  # noqa: S105  a kind, no secret
    SECRET = "secret"  # noqa: S105  by its digest
    IDENTITY = "identity"


class SubjectKey(NamedTuple):
    """By what a subject is looked up: an id, a digest, or issuer and subject. Two keys are equal when all their parts are."""

    kind: SubjectKind
    parts: tuple[str, ...]


# What a malformed credential is looked up by: no secret has this digest.
UNKNOWN_CREDENTIAL = SubjectKey(SubjectKind.SECRET, ("",))


class Decision(StrEnum):
    """What decides. Of what denies, the first in this order."""

    OWNER = "owner"
    IMPLICIT = "implicit"
    ROLE = "role"
    ORGANIZATION_TOKEN = "organization_token"  # noqa: S105  a kind, no secret
    UNKNOWN_PERMISSION = "unknown_permission"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    PLATFORM_CREDENTIAL = "platform_credential"
    UNKNOWN_ORGANIZATION = "unknown_organization"
    OUT_OF_REACH = "out_of_reach"
    CREDENTIAL_EXPIRED = "credential_expired"
    EXCLUDED = "excluded"
    NOT_A_MEMBER = "not_a_member"
    ORGANIZATION_SUSPENDED = "organization_suspended"
    ORGANIZATION_DELETED = "organization_deleted"
    NOT_GRANTED = "not_granted"
    NARROWED = "narrowed"

    @property
    def allows(self) -> bool:
        """Whether the permission is held."""
        return self in _ALLOWING


_ALLOWING = frozenset({Decision.OWNER, Decision.IMPLICIT, Decision.ROLE, Decision.ORGANIZATION_TOKEN})
HINDERING_STATES = {
    OrganizationState.SUSPENDED: Decision.ORGANIZATION_SUSPENDED,
    OrganizationState.DELETED: Decision.ORGANIZATION_DELETED,
}


@record
class Standing:
    """All that decides what one subject may do in one organization.

    `principal` is who the credential stands for, or the user; None when the credential is unknown. `state` is None when there
    is no such organization. A token has expired with its own time, or the presented secret with that of its rotation.
    """

    organization_id: str
    principal: Principal | None
    state: OrganizationState | None = None
    revision: int = 0
    token_expired: bool = False
    secret_expired: bool = False
    excluded: bool = False
    member_role: MemberRole | None = None
    roles: tuple[Role, ...] = ()

    @property
    def reaches(self) -> bool:
        """Whether the credential is not bound to another organization."""
        return self.principal is None or self.principal.organization_id in ("", self.organization_id)

    @property
    def good_token_id(self) -> str:
        """The token's id, if there is one and it has not expired."""
        is_good = self.principal is not None and not self.token_expired and not self.secret_expired
        return self.principal.credential_id if is_good and self.principal is not None else ""


def held(catalog: Catalog, standing: Standing) -> frozenset[str]:
    """Every permission that the subject holds."""
    return holding_of(sight_of_standing(catalog, standing), standing.revision).permissions


def decide(catalog: Catalog, standing: Standing, permission: str) -> Decision:
    """What decides whether the subject holds the permission; it allows if, and only if, `held` has it."""
    principal = standing.principal
    if permission not in catalog.all:
        return Decision.UNKNOWN_PERMISSION
    if principal is None:
        return Decision.UNKNOWN_CREDENTIAL
    if (hindrance := _hindrance(standing, principal)) is not None:
        return hindrance
    way = way_to(catalog, standing, permission)
    if way is None:
        return Decision.NOT_GRANTED
    return way if principal.narrows(frozenset({permission})) else Decision.NARROWED


def way_to(catalog: Catalog, standing: Standing, permission: str) -> Decision | None:
    """By what the standing alone, without what the credential narrows, has the permission; None when it has not."""
    if permission not in catalog.all or standing.principal is None:
        return None
    if not standing.principal.user_id:
        return Decision.ORGANIZATION_TOKEN
    if standing.member_role is None:
        return None
    if standing.member_role is MemberRole.OWNER:
        return Decision.OWNER
    if permission in catalog.implicit:
        return Decision.IMPLICIT
    return Decision.ROLE if granting(standing.roles, permission) else None


def granting(roles: tuple[Role, ...], permission: str) -> tuple[Role, ...]:
    """The roles that grant the permission, by id."""
    return tuple(sorted((role for role in roles if permission in role.permissions), key=lambda role: role.id))


def _hindrance(standing: Standing, principal: Principal) -> Decision | None:
    """What denies everything."""
    if principal.kind is PrincipalKind.PLATFORM:
        return Decision.PLATFORM_CREDENTIAL
    if standing.state is None:
        return Decision.UNKNOWN_ORGANIZATION
    if not standing.reaches:
        return Decision.OUT_OF_REACH
    if standing.token_expired or standing.secret_expired:
        return Decision.CREDENTIAL_EXPIRED
    if standing.excluded:
        return Decision.EXCLUDED
    if principal.user_id and standing.member_role is None:
        return Decision.NOT_A_MEMBER
    return HINDERING_STATES.get(standing.state)


# -- what the caller is told -------------------------------------------------------------------------------------------------


class View(StrEnum):
    """How much of a standing a caller is told."""

    FULL = "full"
    CLOSED = "closed"  # that the organization is not active, and nothing of the subject
    UNSEEN = "unseen"  # what an organization that does not exist is answered with


class Sight(NamedTuple):
    """An organization as a caller who has to do with it sees it, and what they hold there while it is active."""

    state: OrganizationState
    revision: int
    permissions: frozenset[str]


class Holding(NamedTuple):
    """The permissions that somebody holds, as of a revision; 0 when the caller may not know of the organization."""

    permissions: frozenset[str]
    revision: int


def holding_of(sight: Sight | None, revision: int) -> Holding:
    """What somebody holds who sees an organization like this: nothing, while it is not active."""
    if sight is None or sight.state is not OrganizationState.ACTIVE:
        return Holding(NOTHING, revision)
    return Holding(sight.permissions, revision)


def sight_of_access(access: Access) -> Sight:
    """The caller's, from what authentication read."""
    return Sight(access.organization.state, access.organization.revision, access.permissions)


def sight_of_standing(catalog: Catalog, standing: Standing) -> Sight | None:
    """That of who has this standing; the same as authentication would read. None for who has nothing to do with it."""
    principal, state = standing.principal, standing.state
    if principal is None or principal.kind is PrincipalKind.PLATFORM or state is None:
        return None
    if standing.token_expired or standing.secret_expired or standing.excluded:
        return None
    roles, member_role = standing.roles, standing.member_role
    permissions = effective(catalog, principal, standing.organization_id, member_role=member_role, roles=roles)
    return None if permissions is None else Sight(state, standing.revision, permissions)


def may_check_anybody(principal: Principal) -> bool:
    """Whether an operator or an internal service may ask about everybody."""
    return principal.kind is PrincipalKind.PLATFORM and bool(principal.narrows(frozenset({CHECK})))


def view(principal: Principal, sight: Sight | None, *, is_own: bool) -> View:
    """How much the caller is told of a subject, which may be the caller. Raises PermissionMissing.

    That a caller is refused depends on their own standing alone, so it tells nothing of the subject.
    """
    if principal.kind is PrincipalKind.PLATFORM:
        return View.FULL if may_check_anybody(principal) else View.UNSEEN
    if sight is None:
        return View.UNSEEN
    if is_own:
        return View.FULL
    if sight.state is not OrganizationState.ACTIVE:
        return View.CLOSED
    if READ_MEMBERS not in sight.permissions:
        raise PermissionMissing(permissions=READ_MEMBERS)
    return View.FULL


def ensure_reached(revision: int, at_least: int) -> None:
    """Raises RevisionNotReached when the data is older than the caller asks for."""
    if revision < at_least:
        raise RevisionNotReached(revision=str(revision), at_least_revision=str(at_least))
