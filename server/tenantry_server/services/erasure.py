"""What is kept about a user: handed out, and removed for good.

Erasure takes the name and every address that the user ever had out of the tables and the audit trails, wherever they mean
this user. The trails stay whole: each event keeps its place, time, actor, action and target, and an event says that an
erasure took place.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..domain.call import Call
from ..domain.errors import OrganizationNotAccessible, UserNotDeleted
from ..domain.invitations import Invitation
from ..domain.membership import Member
from ..domain.tokens import ApiToken
from ..domain.users import User, UserState
from ..store.change import Change
from ..store.queries import api_tokens as token_statements
from ..store.queries import erasure as statements
from ..store.queries import invitations as invitation_statements
from ..store.queries import organizations as organization_statements
from ..store.queries import users as user_statements
from ..store.queries.erasure import Event
from ..store.transactions import change, change_platform
from ..store.values import milliseconds
from .addresses import Addresses
from .assignments import by_holder
from .memberships import find_member
from .service import MAX_LIST, Service, whole
from .users import Users, write


@dataclass(frozen=True, slots=True)
class UserExport:
    """All that is kept about a user."""

    user: User
    memberships: list[Member]
    invitations: list[Invitation]
    api_tokens: list[ApiToken]


@dataclass(slots=True)
class _Traces:
    """What of an organization names the user: events, by revision, as they are to be, and invitations to the user."""

    events: dict[int, str] = field(default_factory=dict)
    invitation_ids: list[str] = field(default_factory=list)


class Erasure(Service):
    """Use cases of personal data."""

    def export(self, call: Call, users: Users, *, user_id: str) -> UserExport:
        """All that is kept about a user. Raises UserNotFound or ListTooLong."""
        user = users.get(call, user_id=user_id)
        organization_ids = self.database.rows(organization_statements.IDS_OF_USER, user_id=user.id)
        found = (find_member(self.database, self.store.catalog, id_, user.id) for id_ in organization_ids)
        now = self.store.clock.milliseconds()
        tokens = self.database.rows(token_statements.OF_USER, user_id=user.id, after="", now=now, limit=MAX_LIST + 1)
        return UserExport(user, [member for member in found if member], self._invitations(user), whole(tokens))

    def erase(self, call: Call, users: Users, *, user_id: str) -> User:
        """Removes a deleted user's name and addresses, an organization at a time; repeat it when it is cut short.

        Raises UserNotFound or UserNotDeleted.
        """
        user = users.get(call, user_id=user_id)
        if user.state is UserState.ACTIVE:
            raise UserNotDeleted(user_id=user.id)
        if user.state is UserState.DELETED:
            self._erase_traces(replace(call, request_id=""), user)

        def body(change: Change) -> User:
            before = change.database.one(user_statements.GET, user_id=user.id)
            if before.state is UserState.ERASED:
                change.unchanged(before)
            change.record("user.erase", "user", user.id, {"state": (before.state.value, UserState.ERASED.value)})
            return write(change, replace(before, email="", name="", state=UserState.ERASED))

        return change_platform(self.store, call, body, User)

    def _erase_traces(self, call: Call, user: User) -> None:
        """The user's own trail comes last: until then it tells, to who repeats this, which addresses there are."""
        addresses = Addresses(self.database, user)
        eraser = _Eraser(user.id, addresses)
        found, home = self._find_traces(eraser), self.database.row(statements.HOME, user_id=user.id) or ""
        own = found.pop(home, _Traces())
        for organization_id, traces in sorted(found.items()):
            self._change(call, organization_id, partial(eraser.erase, traces=traces))

        def last(change: Change) -> None:
            key = {"organization_id": home, "user_id": user.id}
            forgotten = change.database.run(statements.FORGET_OWN_CHANGES, **key) + eraser.clear_answers(change)
            is_first = change.database.row(statements.ERASURE, **key) is None  # told here even where nothing is to be removed
            eraser.erase(change, own, forgotten + is_first)

        self._change(call, home, last)

    def _change(self, call: Call, organization_id: str, body: Callable[[Change], None]) -> None:
        try:
            change(self.store, call, organization_id, body, type(None))
        except OrganizationNotAccessible:  # purged meanwhile, and its trail with it
            return

    def _find_traces(self, eraser: "_Eraser") -> dict[str, _Traces]:
        """By organization."""
        found: dict[str, _Traces] = defaultdict(_Traces)
        for address in eraser.addresses.all:
            for event in self.database.rows(statements.EVENTS, text=_quoted(address)):
                known = found[event.organization_id].events if event.organization_id in found else {}
                told = eraser.without(event._replace(changes=known.get(event.revision, event.changes)), address)
                if told != event.changes:
                    found[event.organization_id].events[event.revision] = told
            for organization_id, invitation_id, at in self.database.rows(statements.INVITATIONS, email=address):
                if eraser.addresses.is_own(address, at):
                    found[organization_id].invitation_ids.append(invitation_id)
        return dict(found)

    def _invitations(self, user: User) -> list[Invitation]:
        """The invitations to the user: to an address that they have verified, while it was nobody else's."""
        addresses = Addresses(self.database, user)
        if not addresses.was_verified(user.email):
            return []
        rows = whole(self.database.rows(invitation_statements.OF_ADDRESS, email=user.email, limit=MAX_LIST + 1))
        found = [self._invitation(row) for row in rows]
        return [one for one in found if addresses.is_own(user.email, milliseconds(one.create_time))]

    def _invitation(self, row: tuple) -> Invitation:  # type: ignore[type-arg]
        offered = self.database.rows(invitation_statements.ASSIGNMENTS, organization_id=row[1], first=row[0], last=row[0])
        return invitation_statements.record(row, by_holder(self.store.catalog, offered)[row[0]])


class _Eraser:
    """Takes a user's name and addresses out of what holds them."""

    def __init__(self, user_id: str, addresses: Addresses) -> None:
        self._user_id = user_id
        self.addresses = addresses
        self._instead = f"{user_id.lower()}@erased.invalid"

    def erase(self, change: Change, traces: _Traces, forgotten: int = 0) -> None:
        """Takes them out of an organization, unless another erasure has been here."""
        here, run = {"organization_id": change.organization.id}, change.database.run
        for revision, told in traces.events.items():
            forgotten += run(statements.REPLACE_CHANGES, revision=revision, changes=told, **here)
        for invitation_id in traces.invitation_ids:
            run(statements.CANCEL, invitation_id=invitation_id, **here)
            forgotten += run(statements.REPLACE_INVITEE, invitation_id=invitation_id, instead=self._instead, **here)
        for address in self.addresses.all:
            slots = {"email": address, "user_id": self._user_id, "instead": self._instead}
            forgotten += run(statements.REPLACE_INVITER, **slots, **here)
        if not forgotten:
            change.unchanged(None)
        change.record("user.erase", "user", self._user_id, {})

    def without(self, event: Event, address: str) -> str:
        """What an event tells, without an address where it means the user. What others were called is theirs."""
        if event.action == "user.update":
            return event.changes
        told = json.loads(event.changes)
        for name, pair in told.items():
            own = event.actor_id == self._user_id if name == "inviter_email" else self.addresses.is_own(address, event.time)
            if own:
                told[name] = json.loads(_text(pair).replace(_quoted(address), _quoted(self._instead)))
        return _text(told)

    def clear_answers(self, change: Change) -> int:
        """Takes them out of the answers that are kept under request ids; of how many."""
        found = 0
        for text in map(_quoted, (self._user_id, *self.addresses.all)):
            for principal_id, request_id, at, answer in change.database.rows(statements.ANSWERS, text=text):
                key = {"principal_id": principal_id, "request_id": request_id}
                cleared = _text(self._cleared(json.loads(answer), at))
                found += change.database.run(statements.REPLACE_ANSWER, answer=cleared, **key)
        return found

    def _cleared(self, value: Any, at: int) -> Any:
        if isinstance(value, list):
            return [self._cleared(item, at) for item in value]
        if isinstance(value, str) and value in self.addresses.all:
            return self._instead if self.addresses.is_own(value, at) else value
        if not isinstance(value, dict):
            return value
        if "email" in value and self._user_id in (value.get("id"), value.get("user_id")):
            empty = {"email": "", "name": "", "identities": []}
            value = value | {name: empty[name] for name in empty.keys() & value.keys()}
        return {name: self._cleared(item, at) for name, item in value.items()}


def _quoted(text: str) -> str:
    """A text as it stands in JSON."""
    return json.dumps(text, ensure_ascii=False)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
