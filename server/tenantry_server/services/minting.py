"""What becomes of API tokens inside a change: the steps that tokens of every kind have in common."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ..domain import ids, tokens
from ..domain.audit import changes as differences
from ..domain.clock import isoformat
from ..domain.errors import (
    ApiTokenNotFound,
    InvalidRequest,
    LimitExceeded,
    TokenExpired,
    TokenNameTaken,
    Violation,
)
from ..domain.etags import etag
from ..domain.tokens import ApiToken, TokenKind
from ..store.change import Change
from ..store.queries import api_tokens as statements
from ..store.values import milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A token to make. Permissions None narrows nothing."""

    name: str
    description: str = ""
    permissions: Sequence[str] | None = None
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUpdate:
    """What of a token to change: the fields that `fields` names."""

    fields: frozenset[str]
    name: str = ""
    description: str = ""
    permissions: Sequence[str] | None = None
    expire_time: datetime | None = None

    def apply(self, token: ApiToken) -> ApiToken:
        """The token as it is to be."""
        return replace(token, **{name: getattr(self, name) for name in self.fields})


def known(permissions: Sequence[str] | None, catalog: frozenset[str]) -> tuple[str, ...] | None:
    """The permissions, sorted. Raises InvalidRequest when there are none, or naming each that the catalog does not have."""
    if permissions is None:
        return None
    if not permissions:
        raise InvalidRequest.of("permissions", "must name what a token can do, unless it narrows nothing", "NO_PERMISSION")
    violations = [
        Violation(f"permissions[{index}]", f"{name!r} is not a permission of the catalog", "UNKNOWN_PERMISSION")
        for index, name in enumerate(permissions)
        if name not in catalog
    ]
    if violations:
        raise InvalidRequest(violations)
    return tuple(sorted(set(permissions)))


def mint(
    change: Change,
    kind: TokenKind,
    wanted: TokenRequest,
    permissions: tuple[str, ...] | None,
    *,
    maximum: int,
    user_id: str = "",
    organization_id: str = "",
) -> ApiToken:
    """Makes a token, inside a change. What it grants has been judged already. Raises TokenNameTaken or LimitExceeded."""
    owner = {"organization_id": organization_id, "user_id": user_id}
    if change.database.one(statements.COUNT, **owner) >= maximum:
        raise LimitExceeded(limit="API tokens of an owner in an organization", maximum=str(maximum))
    secret = tokens.mint(kind)
    token = ApiToken(
        id=ids.new(),
        kind=kind,
        name=wanted.name,
        description=wanted.description,
        creator_id=change.call.principal.id,
        hint=secret[: tokens.HINT_LENGTH],
        permissions=permissions,
        expire_time=tokens.ensure_ends_before(change.call.principal, wanted.expire_time, change.now),
        revision=change.trail[1],
        create_time=change.now,
        update_time=change.now,
        secret=secret,
        user_id=user_id,
        organization_id=organization_id,
    )
    kept = _kept(token) | {"create_time": milliseconds(change.now), "update_time": milliseconds(change.now)}
    if not change.database.run(statements.INSERT, kind=kind.value, creator_id=token.creator_id, id=token.id, **owner, **kept):
        raise TokenNameTaken(name=token.name)
    change.database.later(statements.ADD_SECRET, digest=tokens.digest(secret), api_token_id=token.id)
    change.record("api_token.create", "api_token", token.id, differences(None, token))
    return token if not change.call.validate_only else replace(token, secret="")


def load(change: Change, token_id: str) -> ApiToken:
    """A token, of whomever it is. Raises ApiTokenNotFound."""
    token = change.database.row(statements.GET, api_token_id=ids.find_or_nil(token_id), now=milliseconds(change.now))
    if token is None:
        raise ApiTokenNotFound(api_token_id=token_id)
    return token


def keep(change: Change, before: ApiToken, after: ApiToken) -> ApiToken:
    """Keeps what became of a token. Raises TokenNameTaken, or InvalidRequest for an expire time that has passed."""
    principal = change.call.principal
    if after.expire_time != before.expire_time:
        after = replace(after, expire_time=tokens.ensure_ends_before(principal, after.expire_time, change.now))
    if tokens.widens(before, after):
        tokens.ensure_not_outlived_by(principal, after)
    after = replace(after, revision=change.trail[1], update_time=change.now)
    _update(change, after)
    change.record("api_token.update", "api_token", after.id, differences(before, after))
    return after


def rotate(change: Change, before: ApiToken, overlap: timedelta) -> ApiToken:
    """Gives a token a new secret; the old one stays good for the overlap. Raises TokenExpired."""
    change.ensure_etag(etag(before.revision))
    if before.expire_time is not None and before.expire_time <= change.now:
        raise TokenExpired(api_token_id=before.id, expire_time=isoformat(before.expire_time))
    tokens.ensure_not_outlived_by(change.call.principal, before)
    secret, key = tokens.mint(before.kind), {"api_token_id": before.id}
    end = change.now + overlap if overlap else None
    change.database.later(statements.DROP_ENDING_SECRETS if end else statements.DROP_SECRETS, **key)
    if end:
        change.database.later(statements.LIMIT_SECRETS, expire_time=milliseconds(end), **key)
    change.database.later(statements.ADD_SECRET, digest=tokens.digest(secret), **key)
    after = replace(
        before,
        hint=secret[: tokens.HINT_LENGTH],
        overlap_end_time=end,
        revision=change.trail[1],
        update_time=change.now,
        secret="" if change.call.validate_only else secret,
    )
    _update(change, after)
    change.record("api_token.rotate", "api_token", after.id, differences(before, after))
    return after


def revoke(change: Change, token: ApiToken) -> ApiToken:
    """Ends a token."""
    change.ensure_etag(etag(token.revision))
    change.database.later(statements.DELETE, api_token_id=token.id)
    change.record("api_token.revoke", "api_token", token.id, differences(token, None))
    return token


def _update(change: Change, token: ApiToken) -> None:
    kept = _kept(token)
    change.database.later(
        statements.UPDATE, TokenNameTaken(name=token.name), api_token_id=token.id, now=milliseconds(change.now), **kept
    )


def _kept(token: ApiToken) -> dict[str, Any]:
    """What can change of a token, as it is kept."""
    return {
        "name": token.name,
        "description": token.description,
        "hint": token.hint,
        "permissions": None if token.permissions is None else " ".join(token.permissions),
        "expire_time": None if token.expire_time is None else milliseconds(token.expire_time),
        "revision": token.revision,
    }
