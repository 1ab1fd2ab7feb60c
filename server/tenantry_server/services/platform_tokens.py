"""Tokens of operators and internal services: platform permissions alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from ..domain import ids
from ..domain.call import Call
from ..domain.errors import ApiTokenNotFound
from ..domain.etags import etag
from ..domain.paging import Page
from ..domain.tokens import ApiToken, TokenKind, ensure_may_grant, widens
from ..store.change import Change
from ..store.queries import api_tokens as statements
from ..store.transactions import change_platform
from .minting import TokenRequest, TokenUpdate, keep, known, load, mint, revoke, rotate
from .service import PageRequest, Service


class PlatformTokens(Service):
    """Use cases of platform tokens. Their changes stand in the platform's own trail."""

    def create(self, call: Call, wanted: TokenRequest) -> ApiToken:
        """Makes a platform token. Raises GrantExceedsOwn, TokenNameTaken or LimitExceeded."""

        def body(change: Change) -> ApiToken:
            permissions = self._grantable(change, wanted.permissions)
            return mint(change, TokenKind.PLATFORM, wanted, permissions, maximum=self.limits.api_tokens)

        return change_platform(self.store, call, body, ApiToken)

    def provision(
        self,
        call: Call,
        *,
        permissions: Sequence[str] | None = None,
        lifetime: timedelta | None = None,
        name: str = "",
    ) -> ApiToken:
        """Makes a platform token for the operator. Raises TokenNameTaken or LimitExceeded."""
        expires = None if lifetime is None else self.store.clock.now() + lifetime
        wanted = TokenRequest(name=name or f"token {ids.new()}", permissions=permissions, expire_time=expires)
        return self.create(call, wanted)

    def get(self, call: Call, *, api_token_id: str) -> ApiToken:
        """A platform token. Raises ApiTokenNotFound."""
        now = self.store.clock.milliseconds()
        token = self.database.row(statements.GET, api_token_id=ids.find_or_nil(api_token_id), now=now)
        return _of_platform(token, api_token_id)

    def list_page(self, call: Call, page: PageRequest) -> Page[ApiToken]:
        """A page of the platform tokens, by id."""
        scope, now = self.scope(call), self.store.clock.milliseconds()
        after = self.page_tokens.position(scope, page.token)
        rows = self.database.rows(statements.OF_PLATFORM, after=after, limit=page.limit + 1, now=now)
        return self.page_tokens.page(scope, page.limit, rows, lambda token: token.id)

    def update(self, call: Call, wanted: TokenUpdate, *, api_token_id: str) -> ApiToken:
        """Changes a platform token. Raises ApiTokenNotFound or GrantExceedsOwn."""

        def body(change: Change) -> ApiToken:
            before = _load(change, api_token_id)
            change.ensure_etag(etag(before.revision))
            after = wanted.apply(before)
            if "permissions" in wanted.fields:
                after = replace(after, permissions=self._grantable(change, after.permissions))
            if widens(before, after):
                _ensure_may_renew(change, after)
            return keep(change, before, after)

        return change_platform(self.store, call, body, ApiToken)

    def rotate(self, call: Call, *, api_token_id: str, overlap: timedelta = timedelta(0)) -> ApiToken:
        """Gives a platform token a new secret. Nobody gets a secret that can do more than they can."""

        def body(change: Change) -> ApiToken:
            before = _load(change, api_token_id)
            _ensure_may_renew(change, before)
            return rotate(change, before, overlap)

        return change_platform(self.store, call, body, ApiToken)

    def revoke(self, call: Call, *, api_token_id: str) -> ApiToken:
        """Ends a platform token. Raises ApiTokenNotFound."""

        return change_platform(self.store, call, lambda change: revoke(change, _load(change, api_token_id)), ApiToken)

    def _grantable(self, change: Change, permissions: Sequence[str] | None) -> tuple[str, ...] | None:
        granted = known(permissions, change.catalog.platform)
        _ensure_may_grant(change, granted, change.catalog.platform)
        return granted


def _ensure_may_renew(change: Change, token: ApiToken) -> None:
    """What the catalog does not have any more is held by who is not narrowed."""
    _ensure_may_grant(change, token.permissions, change.catalog.platform.union(token.permissions or ()))


def _ensure_may_grant(change: Change, permissions: tuple[str, ...] | None, carried: frozenset[str]) -> None:
    principal = change.call.principal
    ensure_may_grant(principal, permissions, held=principal.narrows(carried), everything=change.catalog.platform)


def _load(change: Change, api_token_id: str) -> ApiToken:
    return _of_platform(load(change, api_token_id), api_token_id)


def _of_platform(token: ApiToken | None, api_token_id: str) -> ApiToken:
    if token is None or token.kind is not TokenKind.PLATFORM:
        raise ApiTokenNotFound(api_token_id=api_token_id)
    return token
