"""API tokens that act for the caller, who alone makes, changes and rotates them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..domain import ids
from ..domain.call import Call
from ..domain.errors import (
    ApiTokenNotFound,
    OrganizationNotAccessible,
    OrganizationSuspended,
    PermissionMissing,
    RequestIdReused,
)
from ..domain.etags import etag
from ..domain.organizations import Organization, OrganizationState
from ..domain.paging import Page
from ..domain.principal import Access, PrincipalKind
from ..domain.tokens import ApiToken, Effect, TokenKind, ensure_may_grant, widens
from ..store.change import Change
from ..store.queries import api_tokens as statements
from ..store.queries import organizations as organization_statements
from ..store.standings import access_of
from ..store.transactions import change, remembered
from .api_tokens import ApiTokens, effect_in, personal_organization
from .minting import TokenRequest, TokenUpdate, keep, known, load, mint, revoke, rotate
from .service import MAX_LIST, PageRequest, Service, whole

_READ, _REVOKE = "api-token:read", "api-token:delete"
# What stands for the token that makes a call, where there is none.
_CURRENT = "current"


class OwnTokens(Service):
    """Use cases of the caller's own tokens. A credential bound to an organization sees and makes those bound to it too."""

    def create(self, call: Call, wanted: TokenRequest, *, organization_id: str = "") -> ApiToken:
        """Makes a token that acts for the caller; one bound to an organization grants what they hold there at most.

        Raises OrganizationNotAccessible, OrganizationSuspended, GrantExceedsOwn, TokenNameTaken or LimitExceeded.
        """
        bound = self._bound(call, organization_id)
        if bound and not self._is_repetition(call):
            _ensure_active(self._access(call, bound, organization_id), bound)

        def body(change: Change) -> ApiToken:
            _enter(change)
            permissions = self._grantable(change, wanted.permissions, bound)
            owner = {"user_id": call.principal.user_id, "organization_id": bound}
            token = mint(change, TokenKind.USER, wanted, permissions, maximum=self.limits.api_tokens, **owner)
            if not bound:
                change.database.later(statements.INHERIT_EXCLUSIONS, **_pair(change, token))
            return token

        token = change(self.store, call, self._home(call, bound), body, ApiToken)
        if token.organization_id != bound:  # repeated through a credential that is bound otherwise
            raise RequestIdReused(request_id=call.request_id)
        return token

    def get(self, call: Call, *, api_token_id: str, organization_id: str = "") -> tuple[ApiToken, Effect | None]:
        """One of the caller's tokens, and what it can do in the organization, or in that which it is bound to."""
        token = self._find(call, api_token_id)
        if token is None:
            raise ApiTokenNotFound(api_token_id=api_token_id)
        return self._with_effect(call, token, organization_id)

    def current(self, call: Call, *, organization_id: str = "") -> tuple[ApiToken, Effect | None]:
        """The very token that makes the call. Raises ApiTokenNotFound when it is none: a person has signed in."""
        key = {"api_token_id": call.principal.credential_id, "now": self._now()}
        token = self.database.row(statements.GET, **key)
        if token is None:
            raise ApiTokenNotFound(api_token_id=_CURRENT)
        return self._with_effect(call, token, organization_id)

    def list_page(self, call: Call, page: PageRequest) -> Page[ApiToken]:
        """A page of the caller's tokens, by id."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = self._list(call, call.principal.organization_id, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda token: token.id)

    def list_in(self, call: Call, tokens: ApiTokens, *, organization_id: str) -> list[ApiToken]:
        """All tokens bound to an organization: the caller's, or everybody's for who may read them."""
        bound = self._bound(call, organization_id)
        access = _ensure_active(self._access(call, bound, organization_id), bound)
        if _READ in access.permissions:
            return [token for token in tokens.list_all(bound) if token.organization_id]
        return whole(self._list(call, bound, "", MAX_LIST + 1))

    def named(self, call: Call, *, organization_id: str, name: str) -> ApiToken:
        """The caller's token of this name that is bound to an organization. Raises ApiTokenNotFound."""
        bound = self._bound(call, organization_id)
        _ensure_active(self._access(call, bound, organization_id), bound)
        return self._named(bound, call.principal.user_id, name)

    def revoke_named(self, call: Call, *, organization_id: str, name: str, user_id: str = "") -> ApiToken:
        """Ends the token of this name that is bound to an organization: the caller's, or a member's for who may end it.

        Raises OrganizationNotAccessible, OrganizationSuspended for another's, ApiTokenNotFound or PermissionMissing.
        """
        bound, owner = self._bound(call, organization_id), ids.find_or_nil(user_id) if user_id else call.principal.user_id
        if not self._is_repetition(call):
            self._access(call, bound, organization_id)

        def body(change: Change) -> ApiToken:
            _enter(change)
            if owner != call.principal.user_id and _REVOKE not in _ensure_active(change.found_access, bound).permissions:
                raise PermissionMissing(permissions=_REVOKE)
            return revoke(change, self._named(bound, owner, name))

        return change(self.store, call, bound, body, ApiToken)

    def update(self, call: Call, wanted: TokenUpdate, *, api_token_id: str) -> ApiToken:
        """Changes one of the caller's tokens. Raises ApiTokenNotFound or GrantExceedsOwn."""

        def body(change: Change) -> ApiToken:
            before = self._load(change, api_token_id)
            change.ensure_etag(etag(before.revision))
            after = wanted.apply(before)
            if "permissions" in wanted.fields:
                after = replace(after, permissions=self._grantable(change, after.permissions, before.organization_id))
            if widens(before, after):
                _ensure_may_renew(change, after)
            return keep(change, before, after)

        return self._change(call, api_token_id, body)

    def rotate(self, call: Call, *, api_token_id: str, overlap: timedelta = timedelta(0)) -> ApiToken:
        """Gives one of the caller's tokens a new secret. A credential gets none that can do more than itself."""

        def body(change: Change) -> ApiToken:
            before = self._load(change, api_token_id)
            _ensure_may_renew(change, before)
            return rotate(change, before, overlap)

        return self._change(call, api_token_id, body)

    def revoke(self, call: Call, *, api_token_id: str) -> ApiToken:
        """Ends one of the caller's tokens. Raises ApiTokenNotFound."""
        return self._change(call, api_token_id, lambda change: revoke(change, self._load(change, api_token_id)))

    def _change(self, call: Call, api_token_id: str, body: Callable[[Change], ApiToken]) -> ApiToken:
        found = self._find(call, api_token_id)
        if found is None and not call.request_id:
            raise ApiTokenNotFound(api_token_id=api_token_id)
        # What was there, and is revoked, can be repeated from anywhere.
        home = self._home(call, found.organization_id if found else call.principal.organization_id)
        token = change(self.store, call, home, body, ApiToken)
        if not self._is_own(call, token):
            raise ApiTokenNotFound(api_token_id=api_token_id)
        return token

    def _home(self, call: Call, organization_id: str) -> str:
        """In whose trail a token's changes stand: the organization's that it is bound to, or the person's own."""
        return organization_id or personal_organization(self.store, call.principal.user_id)

    def _bound(self, call: Call, organization_id: str) -> str:
        """Which organization is meant: that which the credential is bound to, if it is. Raises OrganizationNotAccessible."""
        wanted, bound = ids.find_or_nil(organization_id) if organization_id else "", call.principal.organization_id
        if bound and wanted not in ("", bound):
            raise OrganizationNotAccessible(organization_id=organization_id)
        return wanted or bound

    def _find(self, call: Call, api_token_id: str) -> ApiToken | None:
        token = self.database.row(statements.GET, api_token_id=ids.find_or_nil(api_token_id), now=self._now())
        return token if token is not None and self._is_own(call, token) else None

    def _load(self, change: Change, api_token_id: str) -> ApiToken:
        _enter(change)
        token = load(change, api_token_id)
        if not self._is_own(change.call, token):
            raise ApiTokenNotFound(api_token_id=api_token_id)
        return token

    def _is_own(self, call: Call, token: ApiToken) -> bool:
        principal = call.principal
        return token.user_id == principal.user_id and principal.organization_id in ("", token.organization_id)

    def _named(self, organization_id: str, user_id: str, name: str) -> ApiToken:
        key = {"organization_id": organization_id, "user_id": user_id, "name": name}
        token = self.database.row(statements.BY_NAME, now=self._now(), **key)
        if token is None:
            raise ApiTokenNotFound(api_token_id=name)
        return token

    def _list(self, call: Call, organization_id: str, after: str, limit: int) -> list[ApiToken]:
        slots = {"user_id": call.principal.user_id, "after": after, "limit": limit, "now": self._now()}
        if organization_id:
            return self.database.rows(statements.OF_USER_IN, organization_id=organization_id, **slots)
        return self.database.rows(statements.OF_USER, **slots)

    def _with_effect(self, call: Call, token: ApiToken, organization_id: str) -> tuple[ApiToken, Effect | None]:
        asked = self._bound(call, organization_id) or token.organization_id
        if not asked:
            return token, None
        if call.principal.kind is PrincipalKind.PLATFORM:
            raise OrganizationNotAccessible(organization_id=organization_id)
        organization = self.database.row(organization_statements.GET, organization_id=asked)
        if organization is None or (organization_id and access_of(*self._sight(call, organization)) is None):
            raise OrganizationNotAccessible(organization_id=organization_id or asked)
        return token, effect_in(self.store, token, organization)

    def _access(self, call: Call, bound: str, sent: str) -> Access:
        """What the caller may do in an organization while it is active. Raises OrganizationNotAccessible, with the id as sent,
        before anything is said or locked of an organization that is not the caller's.
        """
        organization = self.database.row(organization_statements.GET, organization_id=bound)
        access = access_of(*self._sight(call, organization)) if organization else None
        if access is None or access.organization.state is OrganizationState.DELETED:
            raise OrganizationNotAccessible(organization_id=sent or bound)
        return access

    def _sight(self, call: Call, organization: Organization) -> tuple[Any, ...]:
        return self.database, self.store.catalog, call.principal, organization, self.store.clock.now()

    def _grantable(self, change: Change, permissions: Sequence[str] | None, bound: str) -> tuple[str, ...] | None:
        """What a token may be granted: where it is bound, what its owner holds there; else whatever the credential carries."""
        granted, principal = known(permissions, change.catalog.all), change.call.principal
        held = principal.narrows(change.catalog.all)
        if bound:
            held = _ensure_active(change.found_access, bound).permissions
        ensure_may_grant(principal, granted, held=held, everything=frozenset())
        return granted

    def _is_repetition(self, call: Call) -> bool:
        """Whether the change was made before under its request id: what the caller may do by now is not asked again."""
        if not call.request_id or call.validate_only:
            return False
        known = remembered(self.database, call, self.store.clock.now())
        return known is not None and known.fingerprint == call.fingerprint

    def _now(self) -> int:
        return self.store.clock.milliseconds()


def _enter(change: Change) -> None:
    """Sees that the caller still has to do with the organization. Raises OrganizationNotAccessible."""
    if change.found_access is None:
        raise OrganizationNotAccessible(organization_id=change.organization.id)


def _ensure_may_renew(change: Change, token: ApiToken) -> None:
    """A credential hands out no token that can do more than itself, or reaches where the credential itself is kept out.

    Raises GrantExceedsOwn or OrganizationNotAccessible.
    """
    principal = change.call.principal
    held = principal.narrows(frozenset(token.permissions or ()))
    ensure_may_grant(principal, token.permissions, held=held, everything=frozenset())
    if not token.organization_id and (place := change.database.row(statements.KEPT_OUT_BEYOND, **_pair(change, token))):
        raise OrganizationNotAccessible(organization_id=place)


def _pair(change: Change, token: ApiToken) -> dict[str, str]:
    return {"maker_token_id": change.call.principal.credential_id, "api_token_id": token.id}


def _ensure_active(access: Access | None, organization_id: str) -> Access:
    if access is None or access.organization.state is OrganizationState.DELETED:
        raise OrganizationNotAccessible(organization_id=organization_id)
    if access.organization.state is OrganizationState.SUSPENDED:
        raise OrganizationSuspended(organization_id=organization_id, suspension_reason=access.organization.suspension_reason)
    return access
