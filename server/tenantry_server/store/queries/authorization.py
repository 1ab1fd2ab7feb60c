"""Statements about who may do what: standings of many subjects in many organizations at once, and who holds a permission."""

from collections.abc import Callable, Sequence
from typing import Any

from peewee import JOIN, SQL, Join, Select, fn

from ...domain.authorization import SubjectKind
from ...domain.roles import MemberRole
from ...domain.users import UserState
from ..models import Membership, MembershipRole, Organization, Role
from ..people import ApiToken, ApiTokenExclusion, ApiTokenSecret, Identity, User
from ..statements import Asked, PerEngine, Row, Slot, Statement, constant, value
from . import organizations, roles

_NULL = SQL("NULL")
# Who has a credential is active: it ends with the user.
_CREDENTIALLED = constant(UserState.ACTIVE.value)
_ACTIVE_USER = User.state == constant(UserState.ACTIVE.value)
# Behind every id, in every collation: a ULID begins with a digit.
_END = constant("Z")

# -- standings: a row for each assigned role of each subject in each organization that is asked about ----------------------
#
# The number of the question and the user's id, the two that make no difference to what a row says; the user's state; the
# token's or identity's id, kind, organization, permissions, expire time, the presented secret's expire time; whether the
# organization keeps the token out; the organization's state, the end of its suspension, and revision; the member's role; an
# assigned role, with name and permissions if it is the organization's own.


def _standings(
    asked: Asked, source: Any, credential: Sequence[Any], user_id: Any, excluded: Any, user_state: Any = _CREDENTIALLED
) -> Any:
    """Joins the organization that is asked about, and the user's membership and roles there."""
    organization_id = asked.column("organization_id")
    source = (
        source.left_outer_join(Organization, on=Organization.id == organization_id)
        .left_outer_join(Membership, on=(Membership.organization_id == organization_id) & (Membership.user_id == user_id))
        .left_outer_join(
            MembershipRole,
            on=(MembershipRole.organization_id == Membership.organization_id) & (MembershipRole.user_id == Membership.user_id),
        )
        .left_outer_join(
            Role,
            on=(Role.organization_id == MembershipRole.organization_id) & (Role.id == MembershipRole.custom_role_id),
        )
    )
    organization = (Organization.state, Organization.suspend_until, Organization.revision)
    member = (Membership.role, MembershipRole.role_id, Role.name, Role.permissions)
    return Select((source,), (asked.column("n"), user_id, user_state, *credential, excluded, *organization, *member))


def _of_users() -> Any:
    """The user's state is looked up apart: joined, PostgreSQL reads all users when many are asked about."""
    asked = Asked("asked", "user_id", "organization_id")
    user_id = asked.column("user_id")
    state = User.select(User.state).where(User.id == user_id)
    return _standings(asked, asked, (_NULL,) * 6, user_id, _NULL, state)


def _of_identities() -> Any:
    asked = Asked("asked", "issuer", "subject", "organization_id")
    known = (Identity.issuer == asked.column("issuer")) & (Identity.subject == asked.column("subject"))
    source = asked.left_outer_join(Identity, on=known)
    credential = (Identity.id, *(_NULL,) * 5)
    return _standings(asked, source, credential, Identity.user_id, _NULL)


def _of_tokens() -> Any:
    asked = Asked("asked", "api_token_id", "organization_id")
    source = asked.left_outer_join(ApiToken, on=ApiToken.id == asked.column("api_token_id"))
    return _through_tokens(asked, source, _NULL)


def _of_secrets() -> Any:
    asked = Asked("asked", "digest", "organization_id")
    source = asked.left_outer_join(ApiTokenSecret, on=ApiTokenSecret.digest == asked.column("digest")).left_outer_join(
        ApiToken, on=ApiToken.id == ApiTokenSecret.api_token_id
    )
    return _through_tokens(asked, source, ApiTokenSecret.expire_time)


def _through_tokens(asked: Asked, source: Any, secret_expires: Any) -> Any:
    kept_out = (ApiTokenExclusion.organization_id == asked.column("organization_id")) & (
        ApiTokenExclusion.api_token_id == ApiToken.id
    )
    columns = (
        ApiToken.id,
        ApiToken.kind,
        ApiToken.organization_id,
        ApiToken.permissions,
        ApiToken.expire_time,
        secret_expires,
    )
    joined = source.left_outer_join(ApiTokenExclusion, on=kept_out)
    return _standings(asked, joined, columns, ApiToken.user_id, ApiTokenExclusion.api_token_id)


# By what names the subject: pairs of that (for an identity two columns) and an organization are asked.
STANDINGS: dict[SubjectKind, Statement[Row]] = {
    SubjectKind.USER: Statement(_of_users, tuple),
    SubjectKind.API_TOKEN: Statement(_of_tokens, tuple),
    SubjectKind.SECRET: Statement(_of_secrets, tuple),
    SubjectKind.IDENTITY: Statement(_of_identities, tuple),
}

# -- who holds a permission ------------------------------------------------------------------------------------------------


def _grants() -> Any:
    """Whether an organization's own role grants the permission: `word` is its name between blanks, and so are all of them.
    LIKE would be another operator on each engine.
    """
    blank = constant(" ")
    words = blank.concat(Role.permissions).concat(blank)
    return fn.REPLACE(words, Slot("word"), "") != words


GRANTING_ROLES = Statement(
    lambda: Role.select(*roles.COLUMNS).where((Role.organization_id == Slot("organization_id")) & _grants()), roles.record
)


def _active(query: Any, user_id: Any) -> Any:
    return query.join(User, on=(User.id == user_id) & _ACTIVE_USER)


# Of a permission that every member holds.
MEMBERS = value(
    lambda: (
        _active(Membership.select(Membership.user_id), Membership.user_id)
        .where(
            (Membership.organization_id == Slot("organization_id"))
            & (Membership.user_id > Slot("after"))
            & (User.id > Slot("after"))
        )
        .order_by(Membership.user_id)
        .limit(Slot("limit"))
    )
)


def _owners() -> Any:
    """Owners who are active, looked up apart: joined, PostgreSQL may read all users."""
    state = User.select(User.state).where(User.id == Membership.user_id)
    return Membership.select(Membership.user_id).where(
        (Membership.organization_id == Slot("organization_id"))
        & (Membership.role == constant(MemberRole.OWNER))
        & (Membership.user_id > Slot("after"))
        & (state == constant(UserState.ACTIVE.value))
    )


def _holders(held: Callable[[Any, Any, Any], Any]) -> Any:
    """Owners, and other members by the roles that grant it: the organization's own, and system roles.

    Of each role no more holders are read than a page has, which each engine is told in its own way: `held` joins to a source
    the holders of each role in it. A member who is no owner is active: of a user who is deleted nothing is left but the
    ownership of what nobody else owned.
    """
    granting = Asked("granting", "role_id")
    mine = (Role.organization_id == Slot("organization_id")) & _grants()
    by_own_role = held(Role, MembershipRole.custom_role_id, Role.id).where(mine)
    by_system_role = held(granting, MembershipRole.role_id, granting.column("role_id"))
    return (_owners() | by_own_role | by_system_role).order_by(SQL("1")).limit(Slot("limit"))


def _assigned(table: Any, column: Any, role_id: Any) -> Any:
    """Assignments of a role from the page's beginning, on the index that the column has."""
    here = (table.organization_id == Slot("organization_id")) & (getattr(table, column.name) == role_id)
    is_system = table.custom_role_id.is_null() if column is MembershipRole.role_id else True
    return here & is_system & (table.user_id > Slot("after"))


def _held_up_to(source: Any, column: Any, role_id: Any) -> Any:
    """SQLite: up to the holder with whom a page of this role alone would be full. CROSS keeps the order of the join."""
    ahead = MembershipRole.alias()
    last = ahead.select(ahead.user_id).where(_assigned(ahead, column, role_id)).order_by(ahead.user_id)
    bound = fn.COALESCE(last.limit(1).offset(Slot("limit")), _END)
    assigned = _assigned(MembershipRole, column, role_id) & (MembershipRole.user_id <= bound)
    joined = Join(source, MembershipRole, JOIN.CROSS, on=assigned)
    return Select((joined,), (MembershipRole.user_id,)).where(_is_no_owner(MembershipRole.user_id))


def _held_first(source: Any, column: Any, role_id: Any) -> Any:
    """PostgreSQL: the first so many holders, looked up for each role."""
    first = MembershipRole.select(MembershipRole.user_id).where(_assigned(MembershipRole, column, role_id))
    held = first.order_by(MembershipRole.user_id).limit(Slot("limit")).alias("held")
    joined = Join(source, held, "CROSS JOIN LATERAL")
    return Select((joined,), (held.c.user_id,)).where(_is_no_owner(held.c.user_id))


def _is_no_owner(user_id: Any) -> Any:
    return ~fn.EXISTS(
        Membership.select(SQL("1")).where(
            (Membership.organization_id == Slot("organization_id"))
            & (Membership.user_id == user_id)
            & (Membership.role == constant(MemberRole.OWNER))
        )
    )


# Of any other permission.
HOLDERS = value(PerEngine(lambda: _holders(_held_up_to), lambda: _holders(_held_first)))


def _accessible(*, implicit: bool) -> Any:
    """Active organizations in which a user is a member who holds the permission, by id."""
    member = (Membership.user_id == Slot("user_id")) & (Membership.organization_id > Slot("after"))
    query = (
        _active(Membership.select(Membership.organization_id), Membership.user_id)
        .switch(Membership)
        .join(Organization, on=Organization.id == Membership.organization_id)
        .where(member & organizations.is_active() & ~fn.EXISTS(_exclusion()))
    )
    if not implicit:
        query = query.where((Membership.role == constant(MemberRole.OWNER)) | fn.EXISTS(_grant()))
    return query.order_by(Membership.organization_id).limit(Slot("limit"))


def _exclusion() -> Any:
    return ApiTokenExclusion.select(SQL("1")).where(
        (ApiTokenExclusion.organization_id == Membership.organization_id)
        & (ApiTokenExclusion.api_token_id == Slot("api_token_id"))
    )


def _grant() -> Any:
    """An assigned role that grants the permission."""
    granting = Asked("granting", "role_id")
    return (
        MembershipRole.select(SQL("1"))
        .left_outer_join(
            Role,
            on=(Role.organization_id == MembershipRole.organization_id) & (Role.id == MembershipRole.custom_role_id),
        )
        .where(
            (MembershipRole.organization_id == Membership.organization_id)
            & (MembershipRole.user_id == Membership.user_id)
            & (MembershipRole.role_id.in_(Select((granting,), (granting.column("role_id"),))) | _grants())
        )
    )


# Of a permission that every member holds, and of any other; `api_token_id` is the token that is asked about, or empty.
ACCESSIBLE_TO_MEMBERS = value(lambda: _accessible(implicit=True))
ACCESSIBLE_TO_HOLDERS = value(lambda: _accessible(implicit=False))
