"""API tokens that act for the caller, who alone makes, changes and rotates them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from ..domain import ids
from ..domain.call import Call
from ..domain.errors import ApiTokenNotFound, OrganizationNotAccessible, OrganizationSuspended, PermissionMissing
from ..domain.etags import etag
from ..domain.organizations import Organization, OrganizationState
from ..domain.paging import Page
from ..domain.principal import Access
from ..domain.tokens import ApiToken, Effect, TokenKind, ensure_may_grant
from ..store.change import Change
from ..store.queries import api_tokens as statements
from ..store.queries import organizations as organization_statements
from ..store.standings import access_of
from ..store.transactions import change
from ..store.values import milliseconds
from .api_tokens import ApiTokens, effect_in, personal_organization
from .minting import TokenRequest, TokenUpdate, keep, known, load, mint, revoke, rotate
from .service import MAX_LIST, PageRequest, Service, whole

_READ, _REVOKE = "api-token:read", "api-token:delete"


class OwnTokens(Service):
    """Use cases of the caller's own tokens. A credential bound to an organization sees and makes those bound to it too."""

    def create(self, call: Call, wanted: TokenRequest, *, organization_id: str = "") -> ApiToken:
        """Makes a token that acts for the caller; one bound to an organization grants what they hold there at most.

        Raises OrganizationNotAccessible, OrganizationSuspended, GrantExceedsOwn, TokenNameTaken or LimitExceeded.
        """
        bound = self._bound(call, organization_id)

        def body(change: Change) -> ApiToken:
            permissions = self._grantable(change, wanted.permissions, bound)
            owner = {"user_id": call.principal.user_id, "organization_id": bound}
            return mint(change, TokenKind.USER, wanted, permissions, maximum=self.limits.api_tokens, **owner)

        return change(self.store, call, self._home(call, bound), body, ApiToken)

    def get(self, call: Call, *, api_token_id: str, organization_id: str = "") -> tuple[ApiToken, Effect | None]:
        """One of the caller's tokens, and what it can do in the organization, or in that which it is bound to."""
        return self._with_effect(call, self._find(call, api_token_id), organization_id)

    def current(self, call: Call, *, organization_id: str = "") -> tuple[ApiToken, Effect | None]:
        """The very token that makes the call. Raises ApiTokenNotFound when it is none: a person has signed in."""
        key = {"api_token_id": call.principal.credential_id, "now": self._now()}
        token = self.database.row(statements.GET, **key)
        if token is None:
            raise ApiTokenNotFound(api_token_id="")
        return self._with_effect(call, token, organization_id)

    def list_page(self, call: Call, page: PageRequest) -> Page[ApiToken]:
        """A page of the caller's tokens, by id."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = self._list(call, call.principal.organization_id, after, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, lambda token: token.id)

    def list_in(self, call: Call, tokens: ApiTokens, *, organization_id: str) -> list[ApiToken]:
        """All tokens bound to an organization: the caller's, or everybody's for who may read them."""
        organization_id = self._bound(call, organization_id)
        access = self._access(call, organization_id)
        if _READ in access.permissions:
            return [token for token in tokens.list_all(organization_id) if token.organization_id]
        return whole(self._list(call, organization_id, "", MAX_LIST + 1))

    def named(self, call: Call, *, organization_id: str, name: str) -> ApiToken:
        """The caller's token of this name that is bound to an organization. Raises ApiTokenNotFound."""
        bound = self._bound(call, organization_id)
        self._access(call, bound)
        return self._named(bound, call.principal.user_id, name)

    def revoke_named(self, call: Call, *, organization_id: str, name: str, user_id: str = "") -> ApiToken:
        """Ends the token of this name that is bound to an organization: the caller's, or a member's for who may end it.

        Raises ApiTokenNotFound or PermissionMissing.
        """
        bound, owner = self._bound(call, organization_id), ids.find_or_nil(user_id) if user_id else call.principal.user_id

        def body(change: Change) -> ApiToken:
            access = change.found_access
            if owner != call.principal.user_id and (access is None or _REVOKE not in access.permissions):
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
                self._grantable(change, after.permissions, before.organization_id)
            return keep(change, before, after)

        return self._change(call, api_token_id, body)

    def rotate(self, call: Call, *, api_token_id: str, overlap: timedelta = timedelta(0)) -> ApiToken:
        """Gives one of the caller's tokens a new secret. A credential gets none that can do more than itself."""

        def body(change: Change) -> ApiToken:
            before = self._load(change, api_token_id)
            ensure_may_grant(
                call.principal,
                before.permissions,
                held=call.principal.narrows(frozenset(before.permissions or ())),
                everything=frozenset(),
            )
            return rotate(change, before, overlap)

        return self._change(call, api_token_id, body)

    def revoke(self, call: Call, *, api_token_id: str) -> ApiToken:
        """Ends one of the caller's tokens. Raises ApiTokenNotFound."""
        return self._change(call, api_token_id, lambda change: revoke(change, self._load(change, api_token_id)))

    def _change(self, call: Call, api_token_id: str, body: Callable[[Change], ApiToken]) -> ApiToken:
        token = self._find(call, api_token_id)
        return change(self.store, call, self._home(call, token.organization_id), body, ApiToken)

    def _home(self, call: Call, organization_id: str) -> str:
        """In whose trail a token's changes stand: the organization's that it is bound to, or the person's own."""
        return organization_id or personal_organization(self.store, call.principal.user_id)

    def _bound(self, call: Call, organization_id: str) -> str:
        """Which organization is meant: that which the credential is bound to, if it is. Raises OrganizationNotAccessible."""
        wanted, bound = ids.find_or_nil(organization_id) if organization_id else "", call.principal.organization_id
        if bound and wanted not in ("", bound):
            raise OrganizationNotAccessible(organization_id=organization_id)
        return wanted or bound

    def _find(self, call: Call, api_token_id: str) -> ApiToken:
        token = self.database.row(statements.GET, api_token_id=ids.find_or_nil(api_token_id), now=self._now())
        if token is None or not self._is_own(call, token):
            raise ApiTokenNotFound(api_token_id=api_token_id)
        return token

    def _load(self, change: Change, api_token_id: str) -> ApiToken:
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
        organization = self.database.row(organization_statements.GET, organization_id=asked)
        if organization is None or (organization_id and access_of(*self._sight(call, organization)) is None):
            raise OrganizationNotAccessible(organization_id=organization_id or asked)
        return token, effect_in(self.store, token, organization)

    def _access(self, call: Call, organization_id: str) -> Access:
        """What the caller may do in an active organization. Raises OrganizationNotAccessible or OrganizationSuspended."""
        organization = self.database.row(organization_statements.GET, organization_id=organization_id)
        access = access_of(*self._sight(call, organization)) if organization else None
        return _ensure_active(access, organization_id)

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

    def _now(self) -> int:
        return milliseconds(self.store.clock.now())


def _ensure_active(access: Access | None, organization_id: str) -> Access:
    if access is None or access.organization.state is OrganizationState.DELETED:
        raise OrganizationNotAccessible(organization_id=organization_id)
    if access.organization.state is OrganizationState.SUSPENDED:
        raise OrganizationSuspended(organization_id=organization_id)
    return access
