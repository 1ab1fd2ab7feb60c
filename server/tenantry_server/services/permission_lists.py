"""Lists of who may do what: all permissions of somebody, all members with one, all organizations that grant somebody one."""

import hashlib
import json
from dataclasses import replace
from typing import NamedTuple

from ..domain import ids
from ..domain.authorization import SubjectKey, SubjectKind, held
from ..domain.call import Call
from ..domain.errors import PrincipalKindNotAllowed
from ..domain.paging import Page
from ..domain.principal import Principal, PrincipalKind
from ..store.queries import authorization as statements
from ..store.subjects import Pair
from .authorization import Authorization
from .service import PageRequest, Service
from .subjects import Named, Subject


class PermissionPage(NamedTuple):
    """Permissions, and the revision that they are as of; 0 when the caller may not know of the organization."""

    page: Page[str]
    revision: int


class PermissionLists(Service):
    """Use cases of lists of permissions and of who holds them: a page costs the same however much there is."""

    def __init__(self, authorization: Authorization) -> None:
        super().__init__(authorization.store, authorization.limits, authorization.page_tokens)
        self._authorization = authorization

    def permissions(self, call: Call, subject: Subject | None, page: PageRequest) -> PermissionPage:
        """A page of the permissions that a subject holds in the call's organization, by name. Raises as a check does."""
        named = self._authorization.resolve(call.principal, subject)
        scope = self.scope(call, _digest(named.key))
        after = self.page_tokens.position(scope, page.token)
        holding = self._authorization.holding(call, named)
        names = sorted(name for name in holding.permissions if name > after)
        return PermissionPage(self.page_tokens.page(scope, page.limit, names, str), holding.revision)

    def members(self, call: Call, permission: str, page: PageRequest) -> Page[str]:
        """A page of the ids of the members of the call's organization who hold a permission."""
        scope = self.scope(call, permission)
        after = self.page_tokens.position(scope, page.token)
        rows = self._members(call.organization_id, permission, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, str)

    def organizations(self, call: Call, subject: Subject | None, permission: str, page: PageRequest) -> Page[str]:
        """A page of the ids of the organizations in which a subject holds a permission.

        Raises PermissionMissing, PrincipalKindNotAllowed or IdentityProviderUnavailable.
        """
        named = self._authorization.resolve(call.principal, subject)
        scope = self.scope(call, permission, _digest(named.key))
        after = self.page_tokens.position(scope, page.token)
        principal = self._principal(call.principal, named)
        rows = self._organizations(principal, permission, after, page.limit + 1) if principal else []
        return self.page_tokens.page(scope, page.limit, rows, str)

    def _members(self, organization_id: str, permission: str, after: str, limit: int) -> list[str]:
        catalog = self.store.catalog
        slots = {"organization_id": organization_id, "after": after, "limit": limit}
        if permission not in catalog.all:
            return []
        if permission in catalog.implicit:
            return self.database.rows(statements.MEMBERS, **slots)
        return self.database.rows(statements.HOLDERS, **self._granting(permission), **slots)

    def _principal(self, caller: Principal, named: Named) -> Principal | None:
        """Whom it is about; None for a credential that is unknown or has expired.

        Who asks about their own user is not told what their credential does not reach.
        """
        if named.is_caller:
            return caller
        if named.is_own:
            return replace(caller, permissions=None)
        if caller.kind is not PrincipalKind.PLATFORM:
            raise PrincipalKindNotAllowed(principal_kind=caller.kind)
        pair = Pair(named.key, ids.NIL)
        standing = self._authorization.standing(pair)
        return None if standing.token_expired or standing.secret_expired else standing.principal

    def _organizations(self, principal: Principal, permission: str, after: str, limit: int) -> list[str]:
        catalog = self.store.catalog
        is_hopeless = permission not in catalog.all or not principal.narrows(frozenset({permission}))
        if is_hopeless or principal.kind is PrincipalKind.PLATFORM:
            return []
        if bound := principal.organization_id:
            pair = Pair(SubjectKey(SubjectKind.API_TOKEN, (principal.credential_id,)), bound)
            standing = replace(self._authorization.standing(pair), principal=principal)
            return [bound] if bound > after and permission in held(catalog, standing) else []
        is_implicit = permission in catalog.implicit
        statement = statements.ACCESSIBLE_TO_MEMBERS if is_implicit else statements.ACCESSIBLE_TO_HOLDERS
        token_id = "" if principal.signed_in else principal.credential_id
        slots = {"user_id": principal.user_id, "api_token_id": token_id, "after": after, "limit": limit}
        slots["now"] = self.store.clock.milliseconds()
        return self.database.rows(statement, **self._granting(permission), **slots)

    def _granting(self, permission: str) -> dict[str, object]:
        """What tells the statements which roles grant a permission: the catalog's by their ids, others by what they say."""
        granting = [(role.id,) for role in self.store.catalog.roles.values() if permission in role.permissions]
        return {"granting": granting, "word": f" {permission} "}


def _digest(key: SubjectKey) -> str:
    """A key as part of what a page token is bound to, where parts of it must not run into others."""
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()
