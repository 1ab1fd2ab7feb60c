"""Users, as far as organizations need them: a person and their personal organization, made together."""

from dataclasses import dataclass

from ..domain import ids
from ..domain.call import Call
from ..domain.errors import EmailTaken, InvalidRequest, UserNotFound
from ..domain.organizations import Organization
from ..store.queries import users as statements
from ..store.queries.users import UserRow
from ..store.transactions import Change, create_user
from ..store.values import milliseconds
from . import emails
from .organizations import found
from .service import Service

# What a personal organization is called.
PERSONAL_NAME = "Personal"


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user, and their personal organization."""

    user: UserRow
    personal_organization: Organization


class Users(Service):
    """Use cases of users."""

    def create(self, call: Call, *, email: str, name: str, email_verified: bool) -> NewUser:
        """Makes a user and their personal organization, in one transaction. Raises EmailTaken."""
        user = UserRow(ids.new(), emails.canonical(email, field="email"), email_verified, name)

        def body(change: Change) -> NewUser:
            if not change.database.run(statements.INSERT, now=milliseconds(change.now), **user._asdict()):
                raise EmailTaken(email=user.email)
            personal = found(change, PERSONAL_NAME, creator_user_id=user.id, personal=True)
            change.record("user.create", "user", user.id, {"personal_organization_id": (None, personal.id)})
            return NewUser(user, personal)

        return create_user(self.store, call, body)

    def find_by_email(self, email: str) -> UserRow:
        """The user who has verified the address, or the only one who says it is theirs. Raises UserNotFound."""
        rows = self.database.rows(statements.BY_EMAIL, email=emails.canonical(email, field="email"))
        verified = [user for user in rows if user.email_verified]
        if not rows:
            raise UserNotFound(user=email)
        if not verified and len(rows) > 1:
            several = ", ".join(user.id for user in rows)
            raise InvalidRequest.of("email", f"is claimed, unverified, by several users: {several}", "AMBIGUOUS_USER")
        return (verified or rows)[0]

    def any_exists(self) -> bool:
        """Whether there is a user at all."""
        return self.database.row(statements.ANY) is not None
