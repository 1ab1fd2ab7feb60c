"""What is kept about a user: handed out, and removed for good.

Erasure takes the name and every address that the user ever had out of the tables and the audit trails. The trails stay
whole: each event keeps its place, time, actor, action and target, and an event says that an erasure took place.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

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
from ..store.transactions import change, change_platform
from ..store.values import milliseconds
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


class Erasure(Service):
    """Use cases of personal data."""

    def export(self, call: Call, users: Users, *, user_id: str) -> UserExport:
        """All that is kept about a user. Raises UserNotFound or ListTooLong."""
        user = users.get(call, user_id=user_id)
        organization_ids = self.database.rows(organization_statements.IDS_OF_USER, user_id=user.id)
        found = (find_member(self.database, self.store.catalog, id_, user.id) for id_ in organization_ids)
        now = milliseconds(self.store.clock.now())
        tokens = self.database.rows(token_statements.OF_USER, user_id=user.id, after="", now=now, limit=MAX_LIST + 1)
        return UserExport(user, [member for member in found if member], self._invitations(user.email), whole(tokens))

    def erase(self, call: Call, users: Users, *, user_id: str) -> User:
        """Removes a deleted user's name and addresses, an organization at a time; repeat it when it is cut short.

        Raises UserNotFound or UserNotDeleted.
        """
        user = users.get(call, user_id=user_id)
        if user.state is UserState.ACTIVE or user.delete_time is None:
            raise UserNotDeleted(user_id=user.id)
        addresses = self._addresses(user)
        until = milliseconds(user.delete_time)
        for organization_id in self._places(user, addresses, until):
            self._erase_in(replace(call, request_id=""), organization_id, user.id, addresses, until)

        def body(change: Change) -> User:
            if user.state is UserState.ERASED:
                change.unchanged(user)
            change.record("user.erase", "user", user.id, {"state": (user.state.value, UserState.ERASED.value)})
            return write(change, replace(user, email="", name="", state=UserState.ERASED))

        return change_platform(self.store, call, body, User)

    def _erase_in(self, call: Call, organization_id: str, user_id: str, addresses: Iterable[str], until: int) -> None:
        instead = f"{user_id.lower()}@erased.invalid"

        def body(change: Change) -> None:
            for address in addresses:
                slots = {"organization_id": organization_id, "email": address, "until": until}
                change.database.run(statements.CANCEL, **slots)
                change.database.run(statements.REPLACE_INVITEE, instead=instead, **slots)
                change.database.run(statements.REPLACE_INVITER, **slots)
                change.database.run(
                    statements.REPLACE_IN_TRAIL,
                    organization_id=organization_id,
                    until=until,
                    address=_quoted(address),
                    instead=_quoted(instead),
                    pattern=_pattern(address),
                )
            change.database.run(statements.FORGET_OWN_CHANGES, organization_id=organization_id, user_id=user_id)
            change.record("user.erase", "user", user_id, {})

        try:
            change(self.store, call, organization_id, body, type(None))
        except OrganizationNotAccessible:  # purged meanwhile, and its trail with it
            return

    def _addresses(self, user: User) -> list[str]:
        """Every address that the user has or had, as their own trail tells."""
        found = {user.email}
        for kept in self.database.rows(statements.OWN_CHANGES, user_id=user.id):
            found.update(json.loads(kept).get("email", ()))
        return sorted(address for address in found if address)

    def _places(self, user: User, addresses: Iterable[str], until: int) -> list[str]:
        """The organizations in which something is to be removed."""
        found = set()
        if user.state is not UserState.ERASED:
            found.update(self.database.rows(statements.OWN_TRAIL, user_id=user.id))
        for address in addresses:
            found.update(self.database.rows(statements.TRAILS, pattern=_pattern(address), until=until))
            found.update(self.database.rows(statements.INVITED, email=address, until=until))
        return sorted(found - {""})

    def _invitations(self, email: str) -> list[Invitation]:
        rows = whole(self.database.rows(invitation_statements.OF_ADDRESS, email=email, limit=MAX_LIST + 1)) if email else []
        return [self._invitation(row) for row in rows]

    def _invitation(self, row: tuple) -> Invitation:  # type: ignore[type-arg]
        offered = self.database.rows(invitation_statements.ASSIGNMENTS, organization_id=row[1], first=row[0], last=row[0])
        return invitation_statements.record(row, by_holder(self.store.catalog, offered)[row[0]])


def _quoted(address: str) -> str:
    """The address as it stands in a trail's JSON."""
    return json.dumps(address, ensure_ascii=False)


def _pattern(address: str) -> str:
    """Finds at least every text that holds the address: what else it finds is not changed by the replacement."""
    return f"%{_quoted(address)}%"
