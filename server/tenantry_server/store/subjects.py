"""Standings of many subjects in many organizations: one statement for each kind of subject, however many are asked about."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from ..domain.authorization import Holding, Sight, Standing, SubjectKey, SubjectKind, holding_of, sight_of_standing
from ..domain.organizations import OrganizationState, is_over
from ..domain.permissions import Catalog
from ..domain.principal import Principal
from ..domain.roles import Role
from ..domain.users import UserState
from .database import Database
from .queries import authorization as statements
from .statements import Row
from .values import MEMBER_ROLES, ORGANIZATION_STATES, instant_or_none, milliseconds, principal_kind, words


class Pair(NamedTuple):
    """A subject and an organization, by canonical ids."""

    subject: SubjectKey
    organization_id: str


class Found(NamedTuple):
    """What a standing amounts to where nothing is explained: what the subject holds, what it sees as a caller, and the token
    that it came by, if that is good.
    """

    holding: Holding
    sight: Sight | None
    good_token_id: str


def standing(database: Database, catalog: Catalog, pair: Pair, now: datetime) -> Standing:
    """The standing of a pair, in full, as of now."""
    ((_, rows),) = _read(database, [pair])
    return _standing(pair.organization_id, rows, _Roles(catalog), milliseconds(now))


def found(database: Database, catalog: Catalog, pairs: Iterable[Pair], now: datetime) -> dict[Pair, Found]:
    """What the standing of each pair amounts to, as of now; repetitions are asked about once. It depends on no user's id, and
    most members of an organization differ in nothing else: what the rows say is judged once.
    """
    roles, moment = _Roles(catalog), milliseconds(now)
    judged: dict[Any, Found] = {}
    result: dict[Pair, Found] = {}
    for pair, rows in _read(database, pairs):
        content = _content(pair, rows)
        known = judged.get(content)
        if known is None:
            made = _standing(pair.organization_id, rows, roles, moment)
            sight = sight_of_standing(catalog, made)
            known = judged[content] = Found(holding_of(sight, made.revision), sight, made.good_token_id)
        result[pair] = known
    return result


def _content(pair: Pair, rows: list[Row]) -> Any:
    """All that a standing is judged by: what the rows say, but for their number and the user's id, and where."""
    return (pair.subject.kind, pair.organization_id, *[row[2:] for row in rows])


def _read(database: Database, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, list[Row]]]:
    """The rows of each pair, by one statement for each kind of subject."""
    by_kind: defaultdict[SubjectKind, list[Pair]] = defaultdict(list)
    for pair in dict.fromkeys(pairs):
        by_kind[pair.subject.kind].append(pair)
    for kind, asked in by_kind.items():
        slots = [(*pair.subject.parts, pair.organization_id) for pair in asked]
        rows: defaultdict[int, list[Row]] = defaultdict(list)
        for row in database.rows(statements.STANDINGS[kind], asked=slots):
            rows[row[0]].append(row)
        for number, pair in enumerate(asked, 1):
            yield pair, rows[number]


class _Roles:
    """Assigned roles, each made once however many members have it. A system role that the catalog lost grants nothing."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, str, str], Role] = {}

    def of(self, rows: Iterable[Row]) -> tuple[Role, ...]:
        """The roles that a standing's rows name."""
        return tuple([role for row in rows if row[14] is not None and (role := self._role(*row[14:17]))])

    def _role(self, role_id: str, name: str | None, permissions: str | None) -> Role | None:
        if permissions is None or name is None:
            return self._catalog.roles.get(role_id)
        key = (role_id, name, permissions)
        role = self._known.get(key)
        if role is None:
            granted = words(permissions)
            role = Role(id=role_id, organization_id="", name=name, description="", permissions=granted)
            self._known[key] = role
        return role


def _standing(organization_id: str, rows: list[Row], roles: _Roles, now: int) -> Standing:
    (_, user_id, user_state, _, _, _, _, expires, secret_expires, excluded, state, until, revision, role, *_) = rows[0]
    is_member = role is not None and user_state == UserState.ACTIVE.value
    return Standing(
        organization_id=organization_id,
        principal=None if user_id is None else _principal(rows[0]),
        state=_state(state, until, now),
        revision=revision or 0,
        token_expired=expires is not None and expires <= now,
        secret_expired=secret_expires is not None and secret_expires <= now,
        excluded=excluded is not None,
        member_role=MEMBER_ROLES[role] if is_member else None,
        roles=roles.of(rows) if is_member else (),
    )


def _state(kept: str | None, until: int | None, now: int) -> OrganizationState | None:
    """The state of an organization at an instant, as it is kept; None when there is no organization."""
    if kept is None:
        return None
    state = ORGANIZATION_STATES[kept]
    return OrganizationState.ACTIVE if state is OrganizationState.SUSPENDED and is_over(until, now) else state


def _principal(row: Row) -> Principal:
    """Who is asked about: by a token, or, where the row names no kind of one, a user or who signed in."""
    (_, user_id, _, credential_id, kind, bound, permissions, expires, *_) = row
    return Principal(
        kind=principal_kind(kind, bound),
        credential_id=credential_id or "",
        signed_in=kind is None and credential_id is not None,
        user_id=user_id,
        organization_id=bound or "",
        permissions=None if permissions is None else frozenset(words(permissions)),
        expire_time=instant_or_none(expires),
    )
