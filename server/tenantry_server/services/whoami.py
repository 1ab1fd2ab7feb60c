"""Who the caller is, and what is within reach."""

from dataclasses import dataclass

from ..domain.call import Call
from ..domain.errors import InvalidCredential
from ..domain.organizations import Organization
from ..domain.principal import PrincipalKind
from ..domain.roles import MemberRole
from ..domain.users import User, UserState
from ..store.queries import members as member_statements
from .organizations import Organizations
from .service import PageRequest
from .users import Users

# Most organizations that are named.
MAX_ORGANIZATIONS = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a user, or for an organization's own token and the platform nobody. Permissions None narrows nothing."""

    kind: PrincipalKind
    user: User | None
    organizations: list[tuple[Organization, MemberRole | None]]
    permissions: tuple[str, ...] | None


class WhoAmI:
    """Answers who calls."""

    def __init__(self, users: Users, organizations: Organizations) -> None:
        self._users = users
        self._organizations = organizations

    def get(self, call: Call) -> Caller:
        """The caller. Raises InvalidCredential when they are deleted in this very moment."""
        principal = call.principal
        user = self._users.get(call, user_id=principal.user_id) if principal.user_id else None
        if user is not None and user.state is not UserState.ACTIVE:
            raise InvalidCredential
        permissions = None if principal.permissions is None else tuple(sorted(principal.permissions))
        organizations = [] if principal.kind is PrincipalKind.PLATFORM else self._within_reach(call)
        return Caller(principal.kind, user, organizations, permissions)

    def _within_reach(self, call: Call) -> list[tuple[Organization, MemberRole | None]]:
        organizations = self._organizations.list_page(call, PageRequest(MAX_ORGANIZATIONS)).items
        roles = dict(self._users.database.rows(member_statements.ROLES_OF_USER, user_id=call.principal.user_id))
        return [(organization, roles.get(organization.id)) for organization in organizations]
