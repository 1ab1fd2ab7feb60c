"""API tokens: made by the operator; the secret is shown once and kept as its digest."""

from collections.abc import Sequence
from datetime import timedelta

from ..domain import ids, tokens
from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.errors import InvalidRequest, MemberNotFound, UserNotFound, Violation
from ..domain.tokens import ApiToken, TokenKind
from ..store.queries import members as member_statements
from ..store.queries import organizations as organization_statements
from ..store.queries import users as statements
from ..store.transactions import Change, change
from ..store.values import milliseconds
from .service import Service


class ApiTokens(Service):
    """Use cases of API tokens."""

    def create(
        self,
        call: Call,
        *,
        user_id: str = "",
        organization_id: str = "",
        permissions: Sequence[str] | None = None,
        lifetime: timedelta | None = None,
    ) -> ApiToken:
        """Makes a token: of a user, bound to an organization or not, or of an organization alone.

        The audit event stands in that organization, or in the user's personal one. Permissions None narrows nothing.
        """
        home = organization_id or self._personal(user_id)
        granted = None if permissions is None else self._known(permissions)

        def body(change: Change) -> ApiToken:
            if (
                user_id
                and organization_id
                and not change.database.row(member_statements.GET, organization_id=organization_id, user_id=user_id)
            ):
                raise MemberNotFound(user_id=user_id)
            token = ApiToken(
                id=ids.new(),
                kind=TokenKind.USER if user_id else TokenKind.ORGANIZATION,
                user_id=user_id,
                organization_id=organization_id,
                permissions=granted,
                expire_time=None if lifetime is None else change.now + lifetime,
                create_time=change.now,
                secret=tokens.mint(TokenKind.USER if user_id else TokenKind.ORGANIZATION),
            )
            _insert(change, token)
            change.record("api_token.create", "api_token", token.id, differences(None, token))
            return token

        return change(self.store, call, home, body, ApiToken)

    def _personal(self, user_id: str) -> str:
        personal = self.database.row(organization_statements.PERSONAL, user_id=user_id)
        if personal is None:
            raise UserNotFound(user=user_id)
        return personal.id

    def _known(self, permissions: Sequence[str]) -> tuple[str, ...]:
        unknown = [name for name in permissions if name not in self.store.catalog.all]
        if unknown or not permissions:
            names = ", ".join(unknown)
            problem = f"are not in the catalog: {names}" if unknown else "must name at least one"
            raise InvalidRequest([Violation("permissions", problem, "UNKNOWN_PERMISSION")])
        return tuple(sorted(set(permissions)))


def _insert(change: Change, token: ApiToken) -> None:
    change.database.run(
        statements.INSERT_TOKEN,
        id=token.id,
        digest=tokens.digest(token.secret),
        kind=token.kind.value,
        user_id=token.user_id,
        organization_id=token.organization_id,
        permissions=None if token.permissions is None else " ".join(token.permissions),
        expire_time=None if token.expire_time is None else milliseconds(token.expire_time),
        now=milliseconds(change.now),
    )
