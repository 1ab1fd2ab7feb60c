"""Statements about API tokens, their secrets, and whom they reach."""

from typing import Any

from peewee import JOIN, fn

from ...domain.tokens import ApiToken, TokenKind
from ..models import Membership
from ..people import ApiToken as Table
from ..people import ApiTokenExclusion, ApiTokenSecret
from ..statements import Row, Slot, Statement, changing, constant, value
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
    return Table.select(*_COLUMNS, ApiTokenSecret.expire_time).join(
        ApiTokenSecret,
        JOIN.LEFT_OUTER,
        on=(ApiTokenSecret.api_token_id == Table.id) & (ApiTokenSecret.expire_time > Slot("now")),
    )


def _page(query: Any) -> Any:
    return query.order_by(Table.id).limit(Slot("limit"))


_Other = ApiTokenExclusion.alias("other")
_AFTER = Table.id > Slot("after")
_UNBOUND = Table.organization_id == constant("")

GET = Statement(lambda: _tokens().where(Table.id == Slot("api_token_id")), record)
BY_NAME = Statement(
    lambda: _tokens().where(
        (Table.organization_id == Slot("organization_id")) & (Table.user_id == Slot("user_id")) & (Table.name == Slot("name"))
    ),
    record,
)
OF_ORGANIZATION = Statement(lambda: _page(_tokens().where((Table.organization_id == Slot("organization_id")) & _AFTER)), record)
# Tokens of members that reach all of their organizations, and are not kept out of this one.
OF_MEMBERS = Statement(
    lambda: _page(
        _tokens()
        .switch(Table)
        .join(
            Membership,
            on=(Membership.user_id == Table.user_id) & (Membership.organization_id == Slot("organization_id")),
        )
        .switch(Table)
        .join(
            ApiTokenExclusion,
            JOIN.LEFT_OUTER,
            on=(ApiTokenExclusion.organization_id == Slot("organization_id")) & (ApiTokenExclusion.api_token_id == Table.id),
        )
        .where(_UNBOUND & _AFTER & ApiTokenExclusion.api_token_id.is_null())
    ),
    record,
)
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
END_BOUND = changing(
    lambda: Table.delete().where((Table.organization_id == Slot("organization_id")) & (Table.user_id == Slot("user_id")))
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
