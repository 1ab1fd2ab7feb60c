"""The one way to change an organization.

Every change is one transaction that begins with `UPDATE organizations SET revision = revision + 1`: the revision is at once
the lock, the audit trail's sequence, the etag and the consistency token, so what the transaction then reads cannot change
under it, on any engine and at any isolation level. The same transaction re-checks the caller's rights, writes exactly one
audit event, and keeps the answer under the caller's request id, if there is one. When and how often it is tried: `tries`.

What an organization uses changes all the time, and is no change of the organization: `meter` takes a lock of its own, in the
same way, counts no revision of the organization, and writes no event.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ..domain.call import Call
from ..domain.errors import (
    InvalidCredential,
    OrganizationNotAccessible,
    RequestIdReused,
    UserDeleted,
    UserNotFound,
)
from ..domain.organizations import Organization
from ..domain.principal import Level
from . import answers
from .change import Change, Ended, Store
from .database import Database
from .queries import audit, organizations, platform, quotas, users
from .standings import access_again, access_reading, known_again
from .statements import Bound
from .tries import Again, run
from .values import milliseconds

T = TypeVar("T")

# How long an answer is kept under its request id.
REMEMBERED_FOR = timedelta(hours=24)


def change(store: Store, call: Call, organization_id: str, body: Callable[[Change], T], answer: type[T]) -> T:
    """Runs `body` as one change of an organization and returns its answer; `answer` is the answer's class.

    Raises what the body raises, OrganizationNotAccessible, PermissionDenied facts when the caller's rights are gone,
    RequestIdReused, Conflict, DeadlineExceeded, DatabaseUnavailable or OutcomeUnknown. Whatever is raised, nothing changed,
    but for the last.
    """

    def enter(change: Change) -> None:
        # What is read comes after the lock, though in the same round trip.
        reading = access_reading(call.principal, organization_id)
        bumped, *read = store.database.together(_bumping(organization_id, change.now), *reading)
        if not bumped:
            raise OrganizationNotAccessible(organization_id=organization_id)
        _replay(store.database, call, change.now, answer)
        organization = bumped[0].as_of(change.now)
        access = access_again(store.catalog, call.principal, organization, read, change.now)
        if call.requirement.level is Level.SCOPED:
            call.requirement.ensure_access(access, organization_id=organization_id)
        change.enter(organization, access)

    return _transact(store, call, enter, body)


def create(store: Store, call: Call, user_id: str, body: Callable[[Change], T], answer: type[T]) -> T:
    """Runs `body` as one change that creates an organization for a user, under the lock of what the user owns.

    The body enters the organization that it makes. Raises like `change`, and UserNotFound.
    """

    def enter(change: Change) -> None:
        if store.database.row(organizations.BUMP_USER, user_id=user_id) is None:
            raise UserNotFound(user=user_id)
        _replay(store.database, call, change.now, answer)

    return _transact(store, call, enter, body)


def create_user(store: Store, call: Call, body: Callable[[Change], T], answer: type[T]) -> T:
    """Runs `body` as one change that creates a user and their personal organization. Raises like `change`."""
    return _transact(store, call, lambda change: _replay(store.database, call, change.now, answer), body)


def change_platform(store: Store, call: Call, body: Callable[[Change], T], answer: type[T]) -> T:
    """Runs `body` as one change of the platform. Raises like `change`."""

    def enter(change: Change) -> None:
        change.enter_platform(store.database.one(platform.BUMP))
        _replay(store.database, call, change.now, answer)

    return _transact(store, call, enter, body)


def change_user(store: Store, call: Call, user_id: str, body: Callable[[Change, list[Organization]], T], answer: type[T]) -> T:
    """Runs `body` as one change of a user and of every organization that they are a member of, under all their locks.

    The change is of the user's personal organization; the body is handed the others, in the order of their ids, in which all
    locks are taken. The user's own comes last: until the end, nobody makes them a member of anything. Raises like `change`,
    and UserNotFound or UserDeleted.
    """
    database = store.database

    def enter_and_run(change: Change) -> T:
        personal = database.row(organizations.PERSONAL, user_id=user_id)
        ids = database.rows(organizations.IDS_OF_USER, user_id=user_id)
        locked = {id_: organization for id_ in ids if (organization := bump(database, id_, change.now))}
        _replay(database, call, change.now, answer)
        if personal is None or not database.run(users.TOUCH, user_id=user_id):
            raise UserDeleted(user_id=user_id) if database.row(users.GET, user_id=user_id) else UserNotFound(user=user_id)
        if database.rows(organizations.IDS_OF_USER, user_id=user_id) != ids:
            raise Again
        change.enter(locked.pop(personal.id))
        return body(change, list(locked.values()))

    return _transact(store, call, lambda change: None, enter_and_run)


def meter(store: Store, call: Call, organization_id: str, body: Callable[[Change], T], answer: type[T]) -> T:
    """Runs `body` as one change of what an organization uses, under the lock of its ledger. Raises like `change`."""

    def enter(change: Change) -> None:
        lock_usage(store.database, organization_id)
        _replay(store.database, call, change.now, answer)
        organization = store.database.row(organizations.GET, organization_id=organization_id)
        if organization is None:
            raise OrganizationNotAccessible(organization_id=organization_id)
        change.enter_usage(organization)

    return _transact(store, call, enter, body)


def lock_usage(database: Database, organization_id: str) -> None:
    """Takes the lock of what an organization uses: until the end, nobody reserves, commits or releases. It comes after the
    organization's own, where both are taken.
    """
    database.later(quotas.BUMP, organization_id=organization_id)


def bump(database: Database, organization_id: str, now: datetime) -> Organization | None:
    """Takes the organization's lock, by counting its revision; None when there is no such organization."""
    statement, values = _bumping(organization_id, now)
    organization = database.row(statement, **values)
    return organization and organization.as_of(now)


def _bumping(organization_id: str, now: datetime) -> Bound:
    return organizations.BUMP.bind(organization_id=organization_id, now=milliseconds(now))


def recheck(change: Change) -> None:
    """Holds a caller who is not scoped to an organization to what this transaction sees of the credential: it may have been
    revoked or narrowed since the call began. Raises InvalidCredential or PermissionMissing.
    """
    call, caller = change.call, change.call.caller
    if call.requirement.level not in (Level.AUTHENTICATED, Level.PLATFORM) or caller is None:
        return
    if not (caller.digest or caller.signed_in):  # the operator, whom the operator speaks for, a certificate's
        return
    known = known_again(change.database, change.catalog, caller, change.now)
    if known is None:
        raise InvalidCredential
    call.caller = known.principal
    call.requirement.ensure_principal(known.principal)


def _transact(store: Store, call: Call, enter: Callable[[Change], None], body: Callable[[Change], T]) -> T:
    def work() -> T:
        change = Change(store, call, store.clock.now())
        enter(change)
        recheck(change)
        answer = body(change)
        change.ensure_recorded()
        if call.validate_only:
            store.database.settle()
            raise Ended(answer)
        if call.request_id:
            _remember(store.database, call, change.now, answer)
        return answer

    return run(store.database, call, work)


def _replay(database: Database, call: Call, now: datetime, answer: type[Any]) -> None:
    """Ends the transaction with the first answer when the request id was used for the same request before."""
    if not call.request_id or call.validate_only:
        return
    known = remembered(database, call, now)
    if known is None:
        return
    if known.fingerprint != call.fingerprint:
        raise RequestIdReused(request_id=call.request_id)
    raise Ended(answers.decode(answer, known.answer))


def remembered(database: Database, call: Call, now: datetime) -> audit.Remembered | None:
    """What is kept under the call's request id."""
    return database.row(
        audit.REMEMBERED,
        since=milliseconds(now - REMEMBERED_FOR),
        **_key(call),
    )


def _remember(database: Database, call: Call, now: datetime, answer: object) -> None:
    key = _key(call)
    database.later(audit.FORGET, since=milliseconds(now - REMEMBERED_FOR), **key)
    text = answers.encode(answer)
    if not database.run(audit.REMEMBER, fingerprint=call.fingerprint, answer=text, now=milliseconds(now), **key):
        raise Again


def _key(call: Call) -> dict[str, str]:
    """What an answer is kept under. No request id has a line end, so an item's key is nobody else's."""
    request_id = call.request_id if call.item is None else f"{call.request_id}\n{call.item}"
    principal = call.principal
    return {"principal_id": principal.id or principal.credential_id or principal.kind.value, "request_id": request_id}
