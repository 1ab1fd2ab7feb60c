"""Users: made, found, changed; and a person and their personal organization, made together."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..domain import ids
from ..domain.audit import changes as differences
from ..domain.call import Call, person
from ..domain.errors import EmailTaken, IdentityTaken, InvalidRequest, UserDeleted, UserNotFound
from ..domain.etags import etag
from ..domain.organizations import Organization
from ..domain.paging import Page
from ..domain.users import NO_TOKEN, Following, Identity, User, UserState
from ..store.change import Change
from ..store.queries import users as statements
from ..store.transactions import change, create_user
from ..store.values import milliseconds
from . import emails
from .organizations import found
from .service import PageRequest, Service

# What a personal organization is called.
PERSONAL_NAME = "Personal"


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user, and their personal organization."""

    user: User
    personal_organization: Organization


class Users(Service):
    """Use cases of users."""

    def create(self, call: Call, *, email: str, name: str, email_verified: bool, identity: Identity | None = None) -> NewUser:
        """Makes a user and their personal organization, in one transaction. Raises EmailTaken or IdentityTaken."""
        address = emails.canonical(email, field="email")
        _ensure_printable(identity)

        def body(change: Change) -> NewUser:
            return make(change, address, name, email_verified, identity)

        try:
            return create_user(self.store, call, body, NewUser)
        except (EmailTaken, IdentityTaken):
            if not call.request_id:
                raise
            return create_user(self.store, call, body, NewUser)  # taken by this very request, perhaps, sent twice at once

    def get(self, call: Call, *, user_id: str) -> User:
        """A user, also a deleted one. Raises UserNotFound."""
        user = self.database.row(statements.GET, user_id=ids.find_or_nil(user_id))
        if user is None:
            raise UserNotFound(user=user_id)
        return self.identified([user])[0]

    def list_page(self, call: Call, page: PageRequest, *, with_deleted: bool) -> Page[User]:
        """A page of the users, by id."""
        scope = self.scope(call, str(with_deleted))
        after = self.page_tokens.position(scope, page.token)
        statement = statements.LIST_WITH_DELETED if with_deleted else statements.LIST
        rows = self.identified(self.database.rows(statement, after=after, limit=page.limit + 1))
        return self.page_tokens.page(scope, page.limit, rows, lambda user: user.id)

    def find_by_email(self, email: str) -> User:
        """The user who has verified the address, or the only one who says it is theirs. Raises UserNotFound."""
        rows = self.database.rows(statements.BY_EMAIL, email=emails.canonical(email, field="email"))
        verified = [user for user in rows if user.email_verified]
        if not rows:
            raise UserNotFound(user=email)
        if not verified and len(rows) > 1:
            several = ", ".join(user.id for user in rows)
            raise InvalidRequest.of("email", f"is claimed, unverified, by several users: {several}", "AMBIGUOUS_USER")
        return self.identified([(verified or rows)[0]])[0]

    def update(
        self,
        call: Call,
        *,
        user_id: str,
        email: str | None = None,
        email_verified: bool | None = None,
        name: str | None = None,
    ) -> User:
        """Changes what is given; a new address is unverified unless it is said to be. Raises EmailTaken."""
        user = self.get(call, user_id=user_id)
        if user.state is not UserState.ACTIVE:
            raise UserDeleted(user_id=user.id)
        address = None if email is None else emails.canonical(email, field="email")

        def body(change: Change) -> User:
            before = present(change, user.id)
            change.ensure_etag(etag(before.revision))
            verified = before.email_verified if address in (None, before.email) else False
            after = replace(
                before,
                email=before.email if address is None else address,
                email_verified=verified if email_verified is None else email_verified,
                name=before.name if name is None else name,
            )
            if after.email_verified and not after.email:
                raise InvalidRequest.of("email_verified", "there is no address to verify", "EMAIL")
            return keep(change, before, after)

        return change(self.store, call, user.personal_organization_id, body, User)

    def any_exists(self) -> bool:
        """Whether there is a user at all."""
        return self.database.row(statements.ANY) is not None

    def identified(self, users: Sequence[User]) -> list[User]:
        """The users, in the order of their ids, with their identities."""
        if not users:
            return []
        known: dict[str, list[Identity]] = defaultdict(list)
        for user_id, identity in self.database.rows(statements.IDENTITIES, first=users[0].id, last=users[-1].id):
            known[user_id].append(identity)
        return [replace(user, identities=tuple(known[user.id])) for user in users]


def _ensure_printable(identity: Identity | None) -> None:
    """Raises InvalidRequest for what no token can say."""
    parts = {} if identity is None else {"issuer": identity.issuer, "subject": identity.subject}
    for name, text in parts.items():
        if not text.isprintable():
            raise InvalidRequest.of(f"identity.{name}", "must be printable", "IDENTITY")


def make(
    change: Change,
    email: str,
    name: str,
    email_verified: bool,
    identity: Identity | None,
    following: Following = NO_TOKEN,
) -> NewUser:
    """Makes a user and their personal organization, inside a change: by whoever calls or, where nobody does, by themselves,
    following a token.

    Raises EmailTaken or IdentityTaken.
    """
    user_id, now = ids.new(), milliseconds(change.now)
    if change.call.caller is None:
        change.call.caller = person(user_id, email, email_verified=email_verified)
    new = {"id": user_id, "email": email, "email_verified": email_verified, "name": name, "now": now}
    if not change.database.run(statements.INSERT, **new):
        raise EmailTaken(email=email)
    if identity is not None:
        key = {"issuer": identity.issuer, "subject": identity.subject, "user_id": user_id}
        if not change.database.run(statements.IDENTIFY, id=ids.new(), now=now, **key, **kept(following)):
            raise IdentityTaken(issuer=identity.issuer, subject=identity.subject)
    personal = found(change, PERSONAL_NAME, creator_user_id=user_id, personal=True)
    change.record("user.create", "user", user_id, {"personal_organization_id": (None, personal.id)})
    user = User(
        id=user_id,
        email=email,
        email_verified=email_verified,
        name=name,
        state=UserState.ACTIVE,
        personal_organization_id=personal.id,
        revision=1,
        create_time=change.now,
        update_time=change.now,
        identities=() if identity is None else (identity,),
    )
    return NewUser(user, personal)


def kept(following: Following) -> dict[str, Any]:
    """A token that is followed, as it is kept."""
    made = following.issue_time
    return {"token_time": None if made is None else milliseconds(made), "token_digest": following.digest or None}


def present(change: Change, user_id: str) -> User:
    """An active user, inside a change of their personal organization. Raises UserDeleted."""
    user = change.database.row(statements.GET, user_id=user_id)
    if user is None or user.state is not UserState.ACTIVE:
        raise UserDeleted(user_id=user_id)
    rows = change.database.rows(statements.IDENTITIES, first=user_id, last=user_id)
    return replace(user, identities=tuple(identity for _, identity in rows))


def keep(change: Change, before: User, after: User) -> User:
    """Keeps what became of a user, and says so in the trail of their personal organization. Raises EmailTaken."""
    change.record("user.update", "user", after.id, differences(before, after))
    return write(change, after)


def write(change: Change, user: User) -> User:
    """Keeps a user as the record says. Raises EmailTaken."""
    change.database.later(
        statements.UPDATE,
        EmailTaken(email=user.email),
        user_id=user.id,
        email=user.email,
        email_verified=user.email_verified,
        name=user.name,
        state=user.state.value,
        delete_time=None if user.delete_time is None else milliseconds(user.delete_time),
        now=milliseconds(change.now),
    )
    return replace(user, revision=user.revision + 1, update_time=change.now)
