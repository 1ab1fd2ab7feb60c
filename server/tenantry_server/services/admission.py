"""Who may pass to a service that is not this one."""

from functools import lru_cache
from typing import NamedTuple

from ..domain import ids
from ..domain.call import Call
from ..domain.errors import PermissionMissing
from ..domain.principal import Level, Principal, PrincipalKind, Requirement
from .authorization import Authorization

_TENANTS = frozenset(PrincipalKind) - {PrincipalKind.PLATFORM}
_AUTHENTICATED = Requirement(level=Level.AUTHENTICATED, kinds=_TENANTS)
_NOTHING: frozenset[str] = frozenset()


class Admitted(NamedTuple):
    """Who passes. In an organization: its id, what they hold there, and as of which revision."""

    principal: Principal
    organization_id: str = ""
    permissions: frozenset[str] = _NOTHING
    revision: int = 0


class Admission:
    """Use cases of callers of other services. One statement says who they are and what they may do, as in every call."""

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization

    @property
    def permissions(self) -> frozenset[str]:
        """What can be demanded in an organization."""
        return self._authorization.store.catalog.all

    def recognize(self, call: Call, bearer: str) -> Admitted:
        """Whoever has a good credential. Raises InvalidCredential, IdentityProviderUnavailable or PrincipalKindNotAllowed."""
        self._authorization.identify(call, bearer)
        _AUTHENTICATED.ensure_principal(call.principal)
        return Admitted(call.principal)

    def admit(self, call: Call, bearer: str, *, organization_id: str, permission: str) -> Admitted:
        """Who holds the permission in the organization, whose id is as sent: exactly those of whom CheckPermission says so.

        Raises InvalidCredential, IdentityProviderUnavailable, PrincipalKindNotAllowed, OrganizationNotAccessible,
        OrganizationSuspended or PermissionMissing.
        """
        authorization, required = self._authorization, _required(permission)
        call.organization_id = ids.find_or_nil(organization_id)
        authorization.identify(call, bearer)
        required.ensure_principal(call.principal)
        holding = authorization.holding(call, authorization.resolve(call.principal, None))
        if permission not in holding.permissions:
            required.ensure_access(call.access, organization_id=organization_id)  # which says what stands in the way
            raise PermissionMissing(permissions=permission)
        return Admitted(call.principal, call.organization_id, holding.permissions, holding.revision)


@lru_cache(maxsize=1024)
def _required(permission: str) -> Requirement:
    return Requirement(level=Level.SCOPED, permissions=(permission,), kinds=_TENANTS)
