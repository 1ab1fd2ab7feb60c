"""Trying a transaction again: with growing random pauses, until the call's deadline, as long as it can do no harm.

A transaction that was certainly rolled back is run again; one whose commit may have happened is run again only under a request
id, which makes it happen once.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import peewee

from ..domain.call import Call
from ..domain.errors import Conflict, DatabaseUnavailable, DeadlineExceeded, LimitExceeded, OutcomeUnknown
from .change import Ended
from .database import Database
from .faults import Fault, classify

T = TypeVar("T")

# In seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25


class Again(Exception):
    """Another transaction was first: look at what it left."""


def run(database: Database, call: Call, work: Callable[[], T]) -> T:
    """Runs `work` in one transaction, which is rolled back when it raises.

    Raises what the work raises, Conflict, DeadlineExceeded, DatabaseUnavailable, LimitExceeded or OutcomeUnknown. Whatever is
    raised, nothing changed, but for the last.
    """
    pause = _FIRST_PAUSE
    problem: Exception | None = None
    while True:
        try:
            return _once(database, call.deadline, work)
        except Ended as rolled_back:
            return rolled_back.answer  # type: ignore[return-value]
        except (Again, _CommitFailed, DeadlineExceeded, peewee.PeeweeException) as error:
            refusal = _refusal(error)
        problem = refusal if problem is None else _graver(problem, refusal)
        wait = random.uniform(0, pause)
        if _is_final(refusal, call) or time.monotonic() + wait >= call.deadline:
            raise problem
        time.sleep(wait)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _graver(earlier: Exception, later: Exception) -> Exception:
    """What two tries in a row amount to: what may have happened may still have, and a try without time tells nothing new."""
    return earlier if isinstance(earlier, OutcomeUnknown) or isinstance(later, DeadlineExceeded) else later


def _is_final(refusal: Exception, call: Call) -> bool:
    """Whether another try is no use, or could make it happen twice."""
    if isinstance(refusal, OutcomeUnknown):
        return not call.request_id
    return isinstance(refusal, DeadlineExceeded | LimitExceeded)


class _CommitFailed(Exception):
    """The connection was lost while the commit was under way."""


def _once(database: Database, deadline: float, work: Callable[[], T]) -> T:
    """One try of a transaction. After an error the connection is clean again, or gone."""
    if time.monotonic() >= deadline:
        raise DeadlineExceeded
    with database.writing(deadline):
        committing = False
        try:
            database.begin()
            result = work()
            if time.monotonic() >= deadline:  # it waited for the lock for too long
                raise DeadlineExceeded
            database.ensure_connected()
            committing = True
            database.commit()
            return result
        except BaseException as error:
            fault = classify(error) if isinstance(error, peewee.PeeweeException) else None
            _clean(database, broken=fault in (Fault.LOST, Fault.AMBIGUOUS))
            if fault is Fault.AMBIGUOUS or (committing and fault is Fault.LOST):
                raise _CommitFailed from error
            if fault is Fault.LOST and time.monotonic() >= deadline:  # it was cut because of that
                raise DeadlineExceeded from error
            raise


def _clean(database: Database, *, broken: bool) -> None:
    if not broken:
        try:
            database.rollback()
            return
        except peewee.PeeweeException:
            pass
    database.drop_connection()


def _refusal(error: Exception) -> Exception:
    """What to tell the caller when there is no time left to try again; raises an error that is a mistake of ours."""
    match error:
        case Again():
            return Conflict()
        case _CommitFailed():
            return OutcomeUnknown()
        case DeadlineExceeded():
            return error
    assert isinstance(error, peewee.PeeweeException)
    match classify(error):
        case Fault.RETRY:
            return Conflict()
        case Fault.LOST:
            return DatabaseUnavailable()
        case Fault.TIMEOUT:
            return DeadlineExceeded()
        case Fault.FULL:
            return LimitExceeded(limit="disk space", maximum="the disk")
        case _:
            raise error
