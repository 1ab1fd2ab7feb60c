"""Where a call that changes nothing is answered from, when there is a replica.

By default from the primary: what was revoked is gone with the next call. A caller who says how new the data must be, by
`at_least_revision` of a check or by metadata of any call about an organization, is answered by the replica when it is that new,
and by the primary when it is not, or says anything but yes. While the primary gives no answer, the replica answers everybody,
as of its own revision, and trailing metadata says so.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc

from ..domain import call as calls
from ..domain.call import Call
from ..domain.errors import DatabaseUnavailable, InvalidCredential
from ..domain.principal import Level
from ..store.change import Store
from ..store.replicas import ReplicatedDatabase
from .interceptor import Handler, Interceptor
from .policy import MethodPolicy
from .requests import metadata_of

# Metadata: how new the data must be, and that it came from the replica.
AT_LEAST, READ_FROM = "x-tenantry-at-least-revision", "x-tenantry-read-from"
# How long either may take while the other stands by, in seconds, so that nobody waits for a second on one that is away. The
# primary's answer is always the right one, so the replica is given up sooner.
_PRIMARY_PATIENCE, _REPLICA_PATIENCE = 0.5, 0.25

Behaviour = Callable[[Any, grpc.ServicerContext], Any]


class Source(Interceptor):
    """Asks the primary, the replica, or one after the other. Inside of it, a call can be answered more than once."""

    def __init__(self, policies: Mapping[str, MethodPolicy], store: Store) -> None:
        super().__init__()
        self._policies = policies
        self._database = store.database

    def _wrap(self, method: str, handler: Handler) -> Handler:
        policy, database, behaviour = self._policies[method], self._database, handler.unary_unary
        if not isinstance(database, ReplicatedDatabase) or policy.is_change or policy.requirement.level is Level.PUBLIC:
            return handler

        def read(request: Any, context: grpc.ServicerContext) -> Any:
            return _read(database, behaviour, request, context)

        return grpc.unary_unary_rpc_method_handler(read, handler.request_deserializer, handler.response_serializer)


def _read(database: ReplicatedDatabase, behaviour: Behaviour, request: Any, context: grpc.ServicerContext) -> Any:
    call = calls.current.get()
    at_least = _at_least(request, context)
    if at_least:
        answer = _fresh(database, behaviour, request, context, at_least)
        if answer is not None:
            return answer
    if not database.ask_primary():
        return _stand_in(database, behaviour, request, context)
    try:
        with _patience(call, _PRIMARY_PATIENCE):
            answer = behaviour(request, context)
    except DatabaseUnavailable:
        database.note_primary(away=True)
        return _stand_in(database, behaviour, request, context)
    database.note_primary(away=False)
    return answer


@contextmanager
def _patience(call: Call, seconds: float) -> Iterator[None]:
    """While entered, the call has little time, so that there is some left to ask elsewhere."""
    deadline = call.deadline
    call.deadline = min(deadline, time.monotonic() + seconds)
    try:
        yield
    finally:
        call.deadline = deadline


def _at_least(request: Any, context: grpc.ServicerContext) -> int:
    """How new the data must be; 0 when the caller does not say, or not in a number."""
    said = metadata_of(context).get(AT_LEAST, "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 19 else getattr(request, "at_least_revision", 0)


def _fresh(
    database: ReplicatedDatabase, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, at_least: int
) -> Any:
    """The replica's answer, if it is new enough; None when that, or anything else, is not so: then the primary decides."""
    call = calls.current.get()
    try:
        with _patience(call, _REPLICA_PATIENCE), database.reading_from_replica():
            answer = behaviour(request, context)
    except Exception:  # noqa: BLE001  whatever it is, the primary knows better
        return None
    if call.access is None or call.access.organization.revision < at_least:
        return None
    _tell(context, call)
    return answer


def _stand_in(database: ReplicatedDatabase, behaviour: Behaviour, request: Any, context: grpc.ServicerContext) -> Any:
    """The replica's answer for a primary that gives none. Who is unknown there may be known since: that cannot be told."""
    call = calls.current.get()
    try:
        with database.reading_from_replica():
            answer = behaviour(request, context)
    except InvalidCredential as error:
        raise DatabaseUnavailable from error
    _tell(context, call)
    return answer


def _tell(context: grpc.ServicerContext, call: Call) -> None:
    context.set_trailing_metadata((("x-request-id", call.call_id), (READ_FROM, "replica")))
