"""What surrounds every call, outermost first; a test asserts the order.

1. RequestContext   the call's id, its log line and its duration; first, so that every failure is recorded with its id
2. Errors           facts become statuses; what is unforeseen becomes INTERNAL with a fixed text
3. Refusal          what the server cannot take, which `overload.py` noticed before any thread was given to it
4. Source           where a call that changes nothing is answered from, when there is a replica; see `source.py`
5. Connection       the worker thread's own database connection: one that died is replaced before it is used, one that an error
                    broke is closed, and nobody waits on it past the call's deadline
6. Strangers        calls of which nobody knows who makes them count against the address that they come from
7. Authentication   the bearer credential becomes a principal, and its access to the request's organization, in one query
8. Admission        every other call counts against the rate limit, and the metered usage, of an organization or a principal
9. Authorization    the method's declared policy against that access; before validation (AIP-211)
10. Validation      the request's declared rules, all violations at once

Each wraps the behaviour, so that its work is done on the worker thread and not on the one that accepts calls, and covers
streams while they are iterated.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import peewee
import structlog
from google.protobuf.message import DecodeError, Message

from ..domain import call as calls
from ..domain.call import Call
from ..domain.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    PermissionDenied,
    TenantryError,
    Unauthenticated,
)
from ..domain.principal import Level
from ..services.credentials import Credentials
from ..store.change import Store
from ..store.faults import Fault, classify
from ..store.transactions import remembered
from .admission import Admission, Limiting, Strangers
from .authentication import Authentication, Certificates
from .interceptor import UNDECODABLE, Guard, Handler, Interceptor
from .overload import Refusal
from .plain import is_plain_request
from .policy import MethodPolicy
from .requests import call_id, metadata_of, note_change
from .source import Source
from .status import internal, status_of
from .validation import ensure_valid

log = structlog.get_logger("tenantry.calls")

Policies = Mapping[str, MethodPolicy]
# How a dialect says what went wrong: extra metadata for a refused call. By the method's package.
ErrorRenderer = Callable[[TenantryError | None, Call, Mapping[str, str]], list[tuple[str, str]]]

_DEADLINE = 15.0
# Longest batch: Validation, which comes later, refuses longer ones.
_MOST_ITEMS = 100


class RequestContext(Interceptor):
    """Makes the call, and logs it when it ends."""

    def __init__(self, policies: Policies) -> None:
        super().__init__()
        self._policies = policies

    @contextmanager
    def around(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[None]:
        metadata = metadata_of(context)
        policy = self._policies[method]
        call = Call(
            method=method,
            call_id=call_id(metadata.get("x-request-id", "")),
            requirement=policy.requirement,
            deadline=time.monotonic() + min(context.time_remaining() or _DEADLINE, _DEADLINE),
        )
        if isinstance(request, Message) and policy.is_change:
            note_change(call, request, metadata)
        context.set_trailing_metadata((("x-request-id", call.call_id),))
        token = calls.current.set(call)
        start = time.perf_counter()
        try:
            yield
        finally:
            calls.current.reset(token)
            _log(call, context, start)

    def _deserializer(self, handler: Handler) -> Callable[[bytes], Any] | None:
        decode = handler.request_deserializer
        if decode is None:
            return None

        def safely(data: bytes) -> Any:
            try:
                return decode(data)
            except (DecodeError, UnicodeDecodeError):
                return UNDECODABLE

        return safely


class Errors(Interceptor):
    """Turns what is raised into a status. The text of an unforeseen error goes to the log alone."""

    def __init__(self, renderers: Mapping[str, ErrorRenderer]) -> None:
        super().__init__()
        self._renderers = renderers

    @contextmanager
    def around(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[None]:
        call = calls.current.get()
        try:
            if request is UNDECODABLE:
                raise InvalidRequest.of("", "the request is no valid message", "UNDECODABLE")
            yield
        except TenantryError as error:
            self._abort(call, context, error, status_of(error))
        except Exception as error:
            if _code(context) is not None:  # the behaviour aborted by itself
                raise
            log.error("unforeseen", call_id=call.call_id, method=method, exc_info=error)
            self._abort(call, context, None, internal(call.call_id))

    def _abort(self, call: Call, context: grpc.ServicerContext, error: TenantryError | None, status: Any) -> None:
        trailing: list[tuple[str, str | bytes]] = [
            ("grpc-status-details-bin", status.SerializeToString()),
            ("x-request-id", call.call_id),
            *call.carried,
        ]
        if isinstance(error, Unauthenticated):
            trailing.append(("www-authenticate", "Bearer"))
        renderer = self._renderers.get(call.method[1:].rpartition("/")[0].rpartition(".")[0])
        if renderer is not None:
            trailing += renderer(error, call, metadata_of(context))
        context.set_trailing_metadata(tuple(trailing))
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        context.abort(code, status.message)


class Connection(Interceptor):
    """Leaves the thread with a connection that works, or with none: the next statement then opens another."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._database = store.database

    @contextmanager
    def around(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[None]:
        try:
            with self._database.serving(calls.current.get().deadline):
                yield
        except peewee.PeeweeException as error:
            if classify(error) is Fault.LOST:
                self._database.drop_connection()
                raise DatabaseUnavailable from error
            raise


class Authorization(Guard):
    """Holds the caller to the method's declared policy."""

    def __init__(self, policies: Policies, store: Store) -> None:
        super().__init__()
        self._policies = policies
        self._store = store

    def before(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """Raises what the caller is refused with."""
        requirement = self._policies[method].requirement
        if requirement.level is not Level.PUBLIC:
            call = calls.current.get()
            requirement.ensure_principal(call.principal)
            if requirement.level is Level.SCOPED:
                try:
                    requirement.ensure_access(call.access, organization_id=request.organization_id)
                except PermissionDenied:
                    if not self._is_repetition(call, len(getattr(request, "items", ()))):
                        raise

    def _is_repetition(self, call: Call, items: int) -> bool:
        """Whether the change, or one item of the batch, was made before under its request id. A change can cost the caller
        the right to it (who leaves is no member any more), and its repetition gets the first answer all the same.
        """
        if not call.request_id or call.validate_only or not call.request_id.isprintable():  # it is not validated yet
            return False
        database, now = self._store.database, self._store.clock.now()
        parts = [replace(call, item=item) for item in range(min(items, _MOST_ITEMS))] or [call]
        known = (remembered(database, part, now) for part in parts)
        return any(answer is not None and answer.fingerprint == call.fingerprint for answer in known)


class Validation(Guard):
    """Holds the request to the rules of its fields."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._permissions = store.catalog.all

    def before(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """Raises InvalidRequest."""
        if isinstance(request, Message) and not is_plain_request(request, self._permissions):
            ensure_valid(request)


def chain(
    policies: Policies,
    store: Store,
    credentials: Credentials,
    renderers: Mapping[str, ErrorRenderer],
    limiting: Limiting,
    certificates: Certificates = lambda context: None,
) -> tuple[Interceptor, ...]:
    """The interceptors, outermost first."""
    return (
        RequestContext(policies),
        Errors(renderers),
        Refusal(),
        Source(policies, store),
        Connection(store),
        Strangers(policies, limiting),
        Authentication(policies, credentials, certificates),
        Admission(policies, limiting),
        Authorization(policies, store),
        Validation(store),
    )


def _code(context: grpc.ServicerContext) -> grpc.StatusCode | None:
    """The status that was set, if one was; the type stubs do not know that a context tells."""
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]
    return code


def _log(call: Call, context: grpc.ServicerContext, start: float) -> None:
    code = _code(context)
    # The gateway asks for the server's health every second.
    write = log.debug if call.method.startswith("/grpc.health.") else log.info
    write(
        "call",
        call_id=call.call_id,
        method=call.method,
        code=code.name if code else "OK",
        principal=call.caller.id if call.caller else "",
        ms=round((time.perf_counter() - start) * 1000, 2),
    )
