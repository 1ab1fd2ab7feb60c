"""What surrounds every call, for methods of every shape. The behaviours are made up; server and interceptors are real."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import peewee
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from support.loopback import SERVICE, SHAPES, call, policies, serving
from support.rpc import Refused, refused

from tenantry.v1 import role_service_pb2
from tenantry_server import logs
from tenantry_server.domain import call as calls
from tenantry_server.domain.clock import Clock
from tenantry_server.domain.errors import LastOwner, MissingCredential, TenantryError
from tenantry_server.domain.rates import Rates
from tenantry_server.operator_files import load_catalog
from tenantry_server.rpc import interceptors
from tenantry_server.rpc.admission import Admission, Limiting, Strangers
from tenantry_server.rpc.authentication import Authentication
from tenantry_server.rpc.interceptor import Interceptor
from tenantry_server.rpc.interceptors import (
    Authorization,
    Connection,
    Errors,
    RequestContext,
    Validation,
)
from tenantry_server.rpc.overload import Refusal
from tenantry_server.rpc.source import Source
from tenantry_server.services.counters import MemoryCounter
from tenantry_server.services.meter import Meter
from tenantry_server.services.rate_limiter import RateLimiter
from tenantry_server.store.change import Store
from tenantry_server.store.sqlite import SqliteDatabase

STREAMS = ["UnaryStream", "StreamStream"]
GOOD_ID = "request-0123456789"
ORDER = [
    RequestContext,
    Errors,
    Refusal,
    Source,
    Connection,
    Strangers,
    Authentication,
    Admission,
    Authorization,
    Validation,
]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logs.configure(logging.CRITICAL)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store over a database that nothing is ever asked of."""
    return Store(SqliteDatabase(tmp_path / "never-opened.db"), Clock(), load_catalog())


def links(renderers: Mapping[str, Any] | None = None) -> list[Interceptor]:
    """The two outermost interceptors."""
    return [RequestContext(policies()), Errors(renderers or {})]


def ask(channel: grpc.Channel, shape: str, sent: bytes = b"hello", **options: Any) -> list[str]:
    """All answers to one request, or to a stream of one. Raises Refused."""
    request = sent if shape.startswith("Unary") else iter([sent])
    try:
        answers = call(channel, shape)(request, timeout=5, **options)
        return list(answers) if shape in STREAMS else [answers]
    except grpc.RpcError as error:
        raise refused(error) from None


def refusal(channel: grpc.Channel, shape: str, sent: bytes = b"hello", **options: Any) -> Refused:
    """How a request is refused."""
    with pytest.raises(Refused) as caught:
        ask(channel, shape, sent, **options)
    return caught.value


def behaviour(shape: str, act: Callable[[], Any]) -> dict[str, Any]:
    """A method of a shape that answers once with what `act` answers; a stream answers "first" before."""

    def once(request: Any, context: grpc.ServicerContext) -> Any:
        return act()

    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield "first"
        yield act()

    return {shape: stream if shape in STREAMS else once}


def raising(error: Exception) -> Callable[[], Any]:
    """Raises the error."""

    def act() -> Any:
        raise error

    return act


def test_the_chain_has_this_order(store: Store) -> None:
    credentials: Any = None
    limiting = Limiting(RateLimiter(store, Rates(), MemoryCounter()), Meter(store))
    assert [type(link) for link in interceptors.chain({}, store, credentials, {}, limiting)] == ORDER


@pytest.mark.parametrize("shape", SHAPES)
def test_answers_pass_through(shape: str) -> None:
    with serving(links(), **behaviour(shape, lambda: "done")) as channel:
        assert ask(channel, shape)[-1] == "done"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_fact_becomes_a_status_with_its_reason_and_the_calls_id(shape: str) -> None:
    with serving(links(), **behaviour(shape, raising(LastOwner(organization_id="o")))) as channel:
        no = refusal(channel, shape, metadata=[("x-request-id", GOOD_ID)])
    assert no.seen == (grpc.StatusCode.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": "o"})
    assert no.trailing["x-request-id"] == GOOD_ID


@pytest.mark.parametrize("shape", STREAMS)
def test_what_was_streamed_before_an_error_arrives(shape: str) -> None:
    with serving(links(), **behaviour(shape, raising(LastOwner(organization_id="o")))) as channel:
        answers = call(channel, shape)(b"" if shape == "UnaryStream" else iter([b""]), timeout=5)
        assert next(answers) == "first"
        with pytest.raises(grpc.RpcError) as error:
            next(answers)
    assert refused(error.value).reason == "LAST_OWNER"


@pytest.mark.parametrize("shape", SHAPES)
def test_an_unforeseen_error_says_nothing_but_the_calls_id(shape: str) -> None:
    with serving(links(), **behaviour(shape, raising(ValueError("hunter2")))) as channel:
        no = refusal(channel, shape)
    call_id = no.trailing["x-request-id"]
    assert no.seen == (grpc.StatusCode.INTERNAL, "INTERNAL", {"call_id": call_id})
    assert no.message == "internal error"
    assert "hunter2" not in f"{no} {no.details} {no.trailing}"


class _Ended(Interceptor):
    """Says when what it surrounds has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()

    @contextmanager
    def around(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[None]:
        try:
            yield
        finally:
            self.event.set()


@pytest.mark.parametrize("shape", STREAMS)
def test_a_stream_that_the_client_abandons_ends_for_the_interceptors_too(shape: str) -> None:
    def endless(request: Any, context: grpc.ServicerContext) -> Iterator[str]:
        while True:
            yield "more"

    ended = _Ended()
    streams: dict[str, Any] = {shape: endless}
    with serving([*links(), ended], **streams) as channel:
        answers = call(channel, shape)(b"" if shape == "UnaryStream" else iter([b""]), timeout=5)
        assert next(answers) == "more"
        answers.cancel()
        assert ended.event.wait(5)


@pytest.mark.parametrize("shape", ["UnaryUnary", "UnaryStream"])
def test_bytes_that_are_no_message_are_an_invalid_request(shape: str) -> None:
    with serving(links(), StringValue.FromString, **behaviour(shape, lambda: "done")) as channel:
        no = refusal(channel, shape, b"\xff\xff\xff")
    assert no.seen == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": ""})
    assert no.violations == {"": "UNDECODABLE"}


def test_text_that_is_no_unicode_is_an_invalid_request() -> None:
    with serving(links(), StringValue.FromString, **behaviour("UnaryUnary", lambda: "done")) as channel:
        assert refusal(channel, "UnaryUnary", b"\x0a\x02\xff\xfe").violations == {"": "UNDECODABLE"}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_behaviour_may_abort_by_itself(shape: str) -> None:
    def unary(request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "use Check")

    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield unary(request, context)

    acts: dict[str, Any] = {shape: stream if shape in STREAMS else unary}
    with serving(links(), **acts) as channel:
        no = refusal(channel, shape)
    assert (no.code, no.message) == (grpc.StatusCode.UNIMPLEMENTED, "use Check")


def test_a_method_that_nobody_has_is_unimplemented() -> None:
    with serving(links()) as channel:
        assert refusal(channel, "UnaryUnary").code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("shape", SHAPES)
def test_the_call_is_known_while_it_lasts_streams_included(shape: str) -> None:
    with serving(links(), **behaviour(shape, lambda: calls.current.get().call_id)) as channel:
        assert ask(channel, shape, metadata=[("x-request-id", GOOD_ID)])[-1] == GOOD_ID


@pytest.mark.parametrize("sent", ["short", "x" * 65, "with blanks in it", "semi;colon;colon", "ünïcödé-ünïcödé"])
def test_an_unfit_request_id_is_replaced(sent: str) -> None:
    value: Any = sent if sent.isascii() else sent.encode()
    name = "x-request-id" if sent.isascii() else "x-request-id-bin"
    with serving(links(), **behaviour("UnaryUnary", raising(LastOwner(organization_id="o")))) as channel:
        trailing = refusal(channel, "UnaryUnary", metadata=[(name, value)]).trailing
    assert trailing["x-request-id"] != sent
    assert len(trailing["x-request-id"]) == 26


def test_a_success_carries_its_id_too() -> None:
    with serving(links(), **behaviour("UnaryUnary", lambda: "done")) as channel:
        _, finished = call(channel, "UnaryUnary").with_call(b"", timeout=5, metadata=[("x-request-id", GOOD_ID)])
        assert dict(finished.trailing_metadata())["x-request-id"] == GOOD_ID


def test_who_is_not_known_is_told_how_to_say_who_they_are() -> None:
    with serving(links(), **behaviour("UnaryUnary", raising(MissingCredential()))) as channel:
        assert refusal(channel, "UnaryUnary").trailing["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("error", "told"), [(LastOwner(organization_id="o"), "LAST_OWNER"), (ValueError("hunter2"), "unforeseen")]
)
def test_a_dialect_adds_its_own_words(error: Exception, told: str) -> None:
    def render(fact: TenantryError | None, call: calls.Call, metadata: Mapping[str, str]) -> list[tuple[str, str]]:
        return [("x-told", fact.reason if fact else "unforeseen"), ("x-heard", metadata["x-said"])]

    package = SERVICE.rpartition(".")[0]
    with serving(links({package: render}), **behaviour("UnaryUnary", raising(error))) as channel:
        trailing = refusal(channel, "UnaryUnary", metadata=[("x-said", "hi")]).trailing
    assert (trailing["x-told"], trailing["x-heard"]) == (told, "hi")


def test_handlers_are_wrapped_once() -> None:
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    link = Errors({})

    class Details:
        method = "/a/B"

    wrapped = [link.intercept_service(lambda details: handler, Details()) for _ in range(2)]  # type: ignore[arg-type]
    assert wrapped[0] is wrapped[1] is not handler


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (peewee.OperationalError("server closed the connection"), grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        (peewee.OperationalError("syntax error"), grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
def test_a_lost_connection_is_told_from_a_mistake(store: Store, error: Exception, code: grpc.StatusCode, reason: str) -> None:
    with serving([*links(), Connection(store)], **behaviour("UnaryUnary", raising(error))) as channel:
        no = refusal(channel, "UnaryUnary")
    assert (no.code, no.reason) == (code, reason)


def test_every_broken_rule_is_named_at_once(store: Store) -> None:
    request = role_service_pb2.CreateRoleRequest(organization_id="x", name=" ", permissions=["role:read", "A B"])
    decode = role_service_pb2.CreateRoleRequest.FromString
    with serving([*links(), Validation(store)], decode, **behaviour("UnaryUnary", lambda: "done")) as channel:
        no = refusal(channel, "UnaryUnary", request.SerializeToString())
    assert no.seen == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "organization_id,name,permissions[1]"})
    assert no.violations == {
        "organization_id": "STRING_OBJECT_ID",
        "name": "STRING_DISPLAY_NAME",
        "permissions[1]": "STRING_PERMISSION_NAME",
    }
