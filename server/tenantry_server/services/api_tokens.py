"""API tokens that reach an organization: its own, and those of its members."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from ..domain import ids
from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.errors import ApiTokenNotFound, MemberNotFound, UserNotFound
from ..domain.etags import etag
from ..domain.organizations import Organization
from ..domain.paging import Page
from ..domain.tokens import ApiToken, Effect, TokenKind, effect, ensure_may_grant, ensure_of_organization, widens
from ..store.change import Change, Store
from ..store.queries import api_tokens as statements
from ..store.queries import members as member_statements
from ..store.queries import organizations as organization_statements
from ..store.standings import token_access
from ..store.transactions import change
from .minting import TokenRequest, TokenUpdate, keep, known, load, mint, revoke, rotate
from .service import MAX_LIST, PageRequest, Service, changes, whole


class ApiTokens(Service):
    """Use cases of the tokens that reach an organization."""

    @changes
    def create(self, change: Change, wanted: TokenRequest) -> ApiToken:
        """Makes a token that the organization owns. Raises GrantExceedsOwn, TokenNameTaken or LimitExceeded."""
        permissions = self._grantable(change, wanted.permissions)
        maximum = self.limits.api_tokens
        return mint(
            change, TokenKind.ORGANIZATION, wanted, permissions, maximum=maximum, organization_id=change.organization.id
        )

    def get(self, call: Call, *, api_token_id: str) -> tuple[ApiToken, Effect]:
        """A token that reaches the organization, and what it can do there. Raises ApiTokenNotFound."""
        key = {"api_token_id": ids.find_or_nil(api_token_id), "now": self.store.clock.milliseconds()}
        token = self.database.row(statements.GET, **key)
        if token is None or not self._reaches(token, call.organization_id):
            raise ApiTokenNotFound(api_token_id=api_token_id)
        return token, effect_in(self.store, token, call.held.organization)

    def list_page(self, call: Call, page: PageRequest) -> Page[ApiToken]:
        """A page of the tokens that reach the organization: those bound to it, by id, then those of members that reach all of
        their organizations, by member and id. It is shorter, and the list goes on, where many members have no such token.
        """
        scope = self.scope(call)
        place = self.page_tokens.position(scope, page.token)
        rows, rest = self._page(call.organization_id, place, page.limit + 1)
        return self.page_tokens.page(scope, page.limit, rows, _place, rest=rest)

    def list_all(self, organization_id: str) -> list[ApiToken]:
        """All tokens that reach an organization, by id. Raises ListTooLong."""
        bound = self._bound(organization_id, "", MAX_LIST + 1)
        rest = self._of_members(organization_id, "", "", ids.LAST, MAX_LIST + 1)
        return sorted(whole([*bound, *rest]), key=lambda token: token.id)

    @changes
    def update(self, change: Change, wanted: TokenUpdate, *, api_token_id: str) -> ApiToken:
        """Changes a token that the organization owns. Raises ApiTokenNotFound, TokenOfPerson or GrantExceedsOwn."""
        before = self._own(change, api_token_id)
        change.ensure_etag(etag(before.revision))
        after = wanted.apply(before)
        if "permissions" in wanted.fields:
            after = replace(after, permissions=self._grantable(change, after.permissions))
        if widens(before, after):
            self._ensure_may_renew(change, after)
        return keep(change, before, after)

    @changes
    def rotate(self, change: Change, *, api_token_id: str, overlap: timedelta = timedelta(0)) -> ApiToken:
        """Gives a token that the organization owns a new secret. Nobody gets a secret that can do more than they can."""
        before = self._own(change, api_token_id)
        self._ensure_may_renew(change, before)
        return rotate(change, before, overlap)

    @changes
    def revoke(self, change: Change, *, api_token_id: str) -> ApiToken:
        """Ends a token of the organization or bound to it; keeps another one of a member out. Raises ApiTokenNotFound."""
        token = self._load(change, api_token_id)
        if token.organization_id:
            return revoke(change, token)
        change.ensure_etag(etag(token.revision))
        change.database.later(statements.EXCLUDE, organization_id=change.organization.id, api_token_id=token.id)
        change.record("api_token.exclude", "api_token", token.id, differences(token, None))
        return token

    def provision(
        self,
        call: Call,
        *,
        user_id: str = "",
        organization_id: str = "",
        permissions: Sequence[str] | None = None,
        lifetime: timedelta | None = None,
        name: str = "",
    ) -> ApiToken:
        """Makes a token for the operator: of a user, bound to an organization or not, or of an organization alone.

        The audit event stands in that organization, or in the user's personal one. Permissions None narrows nothing.
        Raises MemberNotFound, UserNotFound, TokenNameTaken or LimitExceeded.
        """
        granted = known(permissions, self.store.catalog.all)
        kind = TokenKind.USER if user_id else TokenKind.ORGANIZATION

        def body(change: Change) -> ApiToken:
            key = {"organization_id": organization_id, "user_id": user_id}
            if all(key.values()) and not change.database.row(member_statements.GET, **key):
                raise MemberNotFound(user_id=user_id)
            if not organization_id:
                personal_organization(self.store, user_id)  # theirs until now: they are not deleted
            expires = None if lifetime is None else change.now + lifetime
            wanted = TokenRequest(name=name or f"token {ids.new()}", expire_time=expires)
            return mint(change, kind, wanted, granted, maximum=self.limits.api_tokens, **key)

        return change(self.store, call, organization_id or personal_organization(self.store, user_id), body, ApiToken)

    def _own(self, change: Change, api_token_id: str) -> ApiToken:
        token = self._load(change, api_token_id)
        ensure_of_organization(token)
        return token

    def _load(self, change: Change, api_token_id: str) -> ApiToken:
        token = load(change, api_token_id)
        if not self._reaches(token, change.organization.id):
            raise ApiTokenNotFound(api_token_id=api_token_id)
        return token

    def _reaches(self, token: ApiToken, organization_id: str) -> bool:
        if token.organization_id or not token.user_id:
            return token.organization_id == organization_id
        excluded = self.database.row(statements.EXCLUDED, organization_id=organization_id, api_token_id=token.id)
        key = {"organization_id": organization_id, "user_id": token.user_id}
        return excluded is None and self.database.row(member_statements.GET, **key) is not None

    def _page(self, organization_id: str, place: str, limit: int) -> tuple[list[ApiToken], str | None]:
        """What follows a place, and where the list goes on if that is less than the limit and the list is not over: a page
        looks at so many members at most.
        """
        member, _, after = place.rpartition("/")
        found = [] if member else self._bound(organization_id, after, limit)
        if len(found) == limit:
            return found, None
        after = after if member else ""
        key = {"organization_id": organization_id, "first": member}
        last = self.database.row(member_statements.FURTHER, **key) or ids.LAST
        found += self._of_members(organization_id, member, after, last, limit - len(found))
        return found, None if last == ids.LAST else f"{last}/{ids.LAST}"

    def _bound(self, organization_id: str, after: str, limit: int) -> list[ApiToken]:
        slots = {"organization_id": organization_id, "after": after, "limit": limit}
        return self.database.rows(statements.OF_ORGANIZATION, now=self.store.clock.milliseconds(), **slots)

    def _of_members(self, organization_id: str, first: str, after: str, last: str, limit: int) -> list[ApiToken]:
        slots = {"organization_id": organization_id, "first": first, "after": after, "last": last, "limit": limit}
        return self.database.rows(statements.OF_MEMBERS, now=self.store.clock.milliseconds(), **slots)

    def _grantable(self, change: Change, permissions: Sequence[str] | None) -> tuple[str, ...] | None:
        granted = known(permissions, change.catalog.all)
        self._ensure_may_grant(change, granted, change.access.permissions)
        return granted

    def _ensure_may_renew(self, change: Change, token: ApiToken) -> None:
        """What the catalog does not have any more is held by who holds everything."""
        forgotten = (token.permissions or ()) if change.access.holds_everything else ()
        self._ensure_may_grant(change, token.permissions, change.access.permissions.union(forgotten))

    def _ensure_may_grant(self, change: Change, permissions: tuple[str, ...] | None, held: frozenset[str]) -> None:
        ensure_may_grant(change.call.principal, permissions, held=held, everything=change.catalog.all)


def _place(token: ApiToken) -> str:
    """Where a token stands in the list: what is bound comes first, by id; the rest by member and id."""
    return token.id if token.organization_id else f"{token.user_id}/{token.id}"


def personal_organization(store: Store, user_id: str) -> str:
    """The id of a user's personal organization. Raises UserNotFound."""
    personal = store.database.row(organization_statements.PERSONAL, user_id=user_id)
    if personal is None:
        raise UserNotFound(user=user_id)
    return personal.id


def effect_in(store: Store, token: ApiToken, organization: Organization) -> Effect:
    """What a token can do now in an organization."""
    now = store.clock.now()
    access, excluded = token_access(store.database, store.catalog, token.id, organization, now)
    return effect(store.catalog, token, organization.id, access, excluded=excluded, now=now)
