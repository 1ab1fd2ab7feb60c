"""Whose an e-mail address was, and when: one person's address can have been another's before, or be another's by now."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..domain.users import User
from ..store.database import Database
from ..store.queries import erasure as statements
from ..store.queries import users as user_statements
from ..store.values import milliseconds

_FOREVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Holding:
    """An address that a user had, from one moment until another, in milliseconds."""

    address: str
    is_verified: bool
    since: int
    until: int


class Addresses:
    """The addresses of a user, told from those of others who had the same ones.

    Others count while they had verified an address: a mere claim takes nothing from anybody.
    """

    def __init__(self, database: Database, user: User) -> None:
        self._database = database
        self._user_id = user.id
        self._own = list(_holdings(database, user))
        self.all = sorted({holding.address for holding in self._own})
        self._spans = {address: self._spans_of(address) for address in self.all}

    def was_verified(self, address: str) -> bool:
        """Whether the user has ever verified the address."""
        return any(holding.is_verified for holding in self._own if holding.address == address)

    def is_own(self, address: str, at: int) -> bool:
        """Whether the address means the user in what was written at a moment: it is theirs unless somebody else had verified
        it then. What was written while nobody had it, such as an invitation, is of who had it next.
        """
        spans = self._spans[address]
        owners = [own for since, until, own in spans if since <= at < until] or [own for since, _, own in spans if since > at][
            :1
        ]
        return all(owners)

    def _spans_of(self, address: str) -> list[tuple[int, int, bool]]:
        """Since when, until when, and whether it was the user who had it, in the order of time."""
        quoted = json.dumps(address, ensure_ascii=False)
        others = {
            *self._database.rows(statements.HOLDERS, email=address),
            *self._database.rows(statements.FORMER_HOLDERS, text=quoted),
        } - {self._user_id}
        found = [(own.since, own.until, True) for own in self._own if own.address == address]
        for user_id in others:
            user = self._database.one(user_statements.GET, user_id=user_id)
            theirs = _holdings(self._database, user)
            found += [(one.since, one.until, False) for one in theirs if one.address == address and one.is_verified]
        return sorted(found)


def _holdings(database: Database, user: User) -> Iterator[Holding]:
    """The addresses that a user has and had, the latest first, as the trail of their personal organization tells."""
    home = database.row(statements.HOME, user_id=user.id)
    email, verified = user.email, user.email_verified
    until = _FOREVER if user.delete_time is None else milliseconds(user.delete_time)
    changes = database.rows(statements.OWN_CHANGES, organization_id=home or "", user_id=user.id)
    for since, before in (*_turns(changes), (milliseconds(user.create_time), {})):
        if email and since < until:
            yield Holding(email, verified, since, until)
        email, verified, until = before.get("email", email), before.get("email_verified", verified), since


def _turns(changes: list[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """When the address or its verified flag changed, and what they were before."""
    for time, told in changes:
        before = {field: pair[0] for field, pair in json.loads(told).items() if field in ("email", "email_verified")}
        if before:
            yield time, before
