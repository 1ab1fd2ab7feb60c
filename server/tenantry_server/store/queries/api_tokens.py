"""Statements about API tokens, their secrets, and whom they reach."""

from typing import Any

from peewee import JOIN, SQL, fn

from ...domain.tokens import ApiToken, TokenKind
from ..models import Membership
from ..people import ApiToken as Table
from ..people import ApiTokenExclusion, ApiTokenSecret
from ..statements import PerEngine, Row, Slot, Statement, changing, constant, value
from ..values import instant, instant_or_none, words

_COLUMNS = (
    Table.id,
    Table.kind,
    Table.name,
    Table.description,
    Table.user_id,
    Table.organization_id,
    Table.creator_id,
    Table.hint,
    Table.permissions,
    Table.expire_time,
    Table.last_used_time,
    Table.revision,
    Table.create_time,
    Table.update_time,
)


def record(row: Row) -> ApiToken:
    """The record of a row: the columns of the token, and until when a secret before the present one is good."""
    (id_, kind, name, description, user, organization, creator, hint, permissions) = row[:9]
    (expires, used, revision, created, updated, overlap) = row[9:]
    return ApiToken(
        id=id_,
        kind=TokenKind(kind),
        name=name,
        description=description,
        user_id=user,
        organization_id=organization,
        creator_id=creator,
        hint=hint,
        permissions=None if permissions is None else words(permissions),
        expire_time=instant_or_none(expires),
        last_used_time=instant_or_none(used),
        overlap_end_time=instant_or_none(overlap),
        revision=revision,
        create_time=instant(created),
        update_time=instant(updated),
    )


def _tokens() -> Any:
    """Tokens, with the one secret that ends, if it is still good."""
    return _with_secret(Table.select(*_COLUMNS, ApiTokenSecret.expire_time))


def _with_secret(query: Any) -> Any:
    return query.join(
        ApiTokenSecret,
        JOIN.LEFT_OUTER,
        on=(ApiTokenSecret.api_token_id == Table.id) & (ApiTokenSecret.expire_time > Slot("now")),
    )


def _page(query: Any) -> Any:
    return query.order_by(Table.id).limit(Slot("limit"))


_Other = ApiTokenExclusion.alias("other")
_AFTER = Table.id > Slot("after")
_UNBOUND = Table.organization_id == constant("")

_MEMBERS = lambda: (
    (Membership.organization_id == Slot("organization_id")) & Membership.user_id.between(Slot("first"), Slot("last"))
)
_OF_MEMBER = lambda user_id: (Table.user_id == user_id) & ((Table.user_id > Slot("first")) | _AFTER) & _UNBOUND


def _admitted(query: Any, token_id: Any) -> Any:
    """Without what is kept out of the organization."""
    return query.join(
        ApiTokenExclusion,
        JOIN.LEFT_OUTER,
        on=(ApiTokenExclusion.organization_id == Slot("organization_id")) & (ApiTokenExclusion.api_token_id == token_id),
    ).where(ApiTokenExclusion.api_token_id.is_null())


def _of_each_member() -> Any:
    """SQLite begins with the left side of a CROSS JOIN."""
    query = _with_secret(Membership.select(*_COLUMNS, ApiTokenSecret.expire_time).join(Table, JOIN.CROSS)).switch(Table)
    query = _admitted(query, Table.id).where(_MEMBERS() & _OF_MEMBER(Membership.user_id))
    return query.order_by(Membership.user_id, Table.id).limit(Slot("limit"))


def _of_members() -> Any:
    """PostgreSQL goes through a LATERAL that is limited once for each row."""
    tokens = (
        _with_secret(Table.select(*_COLUMNS, ApiTokenSecret.expire_time.alias("overlap")))
        .switch(Table)
        .where(_OF_MEMBER(Membership.user_id))
    )
    tokens = _admitted(tokens, Table.id).order_by(Table.id).limit(Slot("limit")).alias("tokens")
    columns = [tokens.c[column.column_name] for column in _COLUMNS]
    query = Membership.select(*columns, tokens.c.overlap).join(tokens, JOIN.LATERAL, on=SQL("TRUE")).where(_MEMBERS())
    return query.order_by(Membership.user_id, tokens.c.id).limit(Slot("limit"))


GET = Statement(lambda: _tokens().where(Table.id == Slot("api_token_id")), record)
BY_NAME = Statement(
    lambda: _tokens().where(
        (Table.organization_id == Slot("organization_id")) & (Table.user_id == Slot("user_id")) & (Table.name == Slot("name"))
    ),
    record,
)
OF_ORGANIZATION = Statement(lambda: _page(_tokens().where((Table.organization_id == Slot("organization_id")) & _AFTER)), record)
# Tokens of members that reach all of their organizations, and are not kept out of this one: by member, then by id, of the
# members up to `last`. The work is that of these members: tokens of others are not looked at, whatever the planner believes.
OF_MEMBERS = Statement(PerEngine(sqlite=_of_each_member, postgresql=_of_members), record)
OF_USER = Statement(lambda: _page(_tokens().where((Table.user_id == Slot("user_id")) & _AFTER)), record)
OF_USER_IN = Statement(
    lambda: _page(
        _tokens().where((Table.organization_id == Slot("organization_id")) & (Table.user_id == Slot("user_id")) & _AFTER)
    ),
    record,
)
OF_PLATFORM = Statement(lambda: _page(_tokens().where((Table.kind == constant(TokenKind.PLATFORM.value)) & _AFTER)), record)
COUNT = value(
    lambda: Table.select(fn.COUNT(Table.id)).where(
        (Table.organization_id == Slot("organization_id")) & (Table.user_id == Slot("user_id"))
    )
)
INSERT = changing(
    lambda: Table.insert({column: Slot(column.name) for column in _COLUMNS if column is not Table.last_used_time}).on_conflict(
        "nothing"
    )
)
UPDATE = changing(
    lambda: Table.update(
        {
            Table.name: Slot("name"),
            Table.description: Slot("description"),
            Table.permissions: Slot("permissions"),
            Table.expire_time: Slot("expire_time"),
            Table.hint: Slot("hint"),
            Table.revision: Slot("revision"),
            Table.update_time: Slot("now"),
        }
    ).where(Table.id == Slot("api_token_id"))
)
DELETE = changing(lambda: Table.delete().where(Table.id == Slot("api_token_id")))
# Tokens of a member that are bound to the organization end with the membership.
END_BOUND = value(
    lambda: (
        Table.delete()
        .where((Table.organization_id == Slot("organization_id")) & (Table.user_id == Slot("user_id")))
        .returning(Table.id)
    )
)
ADD_SECRET = changing(
    lambda: ApiTokenSecret.insert({ApiTokenSecret.digest: Slot("digest"), ApiTokenSecret.api_token_id: Slot("api_token_id")})
)
DROP_SECRETS = changing(lambda: ApiTokenSecret.delete().where(ApiTokenSecret.api_token_id == Slot("api_token_id")))
DROP_ENDING_SECRETS = changing(
    lambda: ApiTokenSecret.delete().where(
        (ApiTokenSecret.api_token_id == Slot("api_token_id")) & ApiTokenSecret.expire_time.is_null(False)
    )
)
LIMIT_SECRETS = changing(
    lambda: ApiTokenSecret.update({ApiTokenSecret.expire_time: Slot("expire_time")}).where(
        ApiTokenSecret.api_token_id == Slot("api_token_id")
    )
)
EXCLUDE = changing(
    lambda: ApiTokenExclusion.insert(
        {
            ApiTokenExclusion.organization_id: Slot("organization_id"),
            ApiTokenExclusion.api_token_id: Slot("api_token_id"),
        }
    ).on_conflict("nothing")
)
EXCLUDED = value(
    lambda: ApiTokenExclusion.select(ApiTokenExclusion.api_token_id).where(
        (ApiTokenExclusion.organization_id == Slot("organization_id"))
        & (ApiTokenExclusion.api_token_id == Slot("api_token_id"))
    )
)
# What is made through a token is kept out wherever that is.
INHERIT_EXCLUSIONS = changing(
    lambda: ApiTokenExclusion.insert_from(
        ApiTokenExclusion.select(ApiTokenExclusion.organization_id, Slot("api_token_id")).where(
            ApiTokenExclusion.api_token_id == Slot("maker_token_id")
        ),
        [ApiTokenExclusion.organization_id, ApiTokenExclusion.api_token_id],
    )
)
# An organization that keeps one token out, and the other not.
KEPT_OUT_BEYOND = value(
    lambda: (
        ApiTokenExclusion.select(ApiTokenExclusion.organization_id)
        .where(
            (ApiTokenExclusion.api_token_id == Slot("maker_token_id"))
            & ApiTokenExclusion.organization_id.not_in(
                _Other.select(_Other.organization_id).where(_Other.api_token_id == Slot("api_token_id"))
            )
        )
        .order_by(ApiTokenExclusion.organization_id)
        .limit(1)
    )
)
# At most once a minute a token, whichever process it was used in.
USED = changing(
    lambda: Table.update({Table.last_used_time: Slot("now")}).where(
        (Table.id == Slot("api_token_id")) & (Table.last_used_time.is_null() | (Table.last_used_time <= Slot("minute_ago")))
    )
)
