"""What went wrong in the database, and what may be done about it: one classification for SQLite and PostgreSQL.

Peewee's own roll-back can hide the first error behind a second one, and errors while connecting carry no SQLSTATE, so the
whole chain of causes is looked at. SQLSTATE classes: PostgreSQL documentation, appendix A.
"""

import sqlite3
from collections.abc import Iterator
from enum import Enum, auto

import peewee


class Fault(Enum):
    """What an error means for the transaction in which it happened."""

    RETRY = auto()  # rolled back for certain: run it again
    LOST = auto()  # the connection is gone, or leads to a server that cannot write: reconnect, then run it again
    AMBIGUOUS = auto()  # the server itself does not know whether it committed
    TIMEOUT = auto()  # a statement ran out of time: rolled back
    FULL = auto()  # no room on the disk: rolled back
    OTHER = auto()  # a mistake of ours


_STATES = {
    "40001": Fault.RETRY,  # serialization failure
    "40P01": Fault.RETRY,  # deadlock
    "40003": Fault.AMBIGUOUS,  # statement completion unknown
    "25006": Fault.LOST,  # read-only: a demoted primary
    "25P03": Fault.LOST,  # idle in a transaction for too long
    "53300": Fault.LOST,  # too many connections
    "57P01": Fault.LOST,  # admin shutdown
    "57P02": Fault.LOST,  # crash shutdown
    "57P03": Fault.LOST,  # cannot connect now
    "55P03": Fault.TIMEOUT,  # lock not available before the call's deadline
    "57014": Fault.TIMEOUT,  # query cancelled
    "53100": Fault.FULL,  # disk full
}
_SQLITE = {
    sqlite3.SQLITE_BUSY: Fault.RETRY,
    sqlite3.SQLITE_LOCKED: Fault.RETRY,
    sqlite3.SQLITE_FULL: Fault.FULL,
}
_CONNECTION_WORDS = ("closed", "consuming input", "connection", "terminat", "ssl")


def classify(error: BaseException) -> Fault:
    """What the error means."""
    for link in _chain(error):
        state = getattr(link, "sqlstate", None)
        if state in _STATES:
            return _STATES[state]
        if state is not None and state.startswith("08"):
            return Fault.LOST
        code = getattr(link, "sqlite_errorcode", 0) & 0xFF
        if code in _SQLITE:
            return _SQLITE[code]
    if any(_is_lost(link) for link in _chain(error)):
        return Fault.LOST
    return Fault.OTHER


def _is_lost(link: BaseException) -> bool:
    """Errors while connecting, and of a connection that is gone, say so in words alone."""
    if not isinstance(link, peewee.OperationalError | peewee.InterfaceError):
        return False
    if isinstance(getattr(link, "orig", None), sqlite3.Error):
        return False
    return any(word in str(link).lower() for word in _CONNECTION_WORDS)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        original = getattr(error, "orig", None)
        if isinstance(original, BaseException):
            yield original
        error = error.__cause__ or error.__context__
