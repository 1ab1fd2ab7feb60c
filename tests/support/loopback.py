"""A real gRPC server for behaviours that a test makes up, behind real interceptors, without a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from tenantry_server.domain.principal import Level, PrincipalKind, Requirement
from tenantry_server.rpc.interceptor import Chain, Interceptor
from tenantry_server.rpc.policy import MethodPolicy

SERVICE = "tenantry.synthetic.Echo"

PUBLIC = Requirement(level=Level.PUBLIC, kinds=frozenset(PrincipalKind))


def policies(
    requirement: Requirement = PUBLIC, *, is_change: bool = False, organization_header: str = ""
) -> dict[str, MethodPolicy]:
    """One policy for the methods of every shape."""
    return {
        path: MethodPolicy(
            path=path,
            core=path[1:].replace("/", "."),
            requirement=requirement,
            is_change=is_change,
            organization_header=organization_header,
            names_organization=bool(organization_header),
        )
        for path in (f"/{SERVICE}/{shape}" for shape in SHAPES)
    }


def _text(data: bytes) -> str:
    return data.decode()


# The shapes of methods, by name: how the handler of one is made.
SHAPES: dict[str, Callable[..., Any]] = {
    "UnaryUnary": grpc.unary_unary_rpc_method_handler,
    "UnaryStream": grpc.unary_stream_rpc_method_handler,
    "StreamUnary": grpc.stream_unary_rpc_method_handler,
    "StreamStream": grpc.stream_stream_rpc_method_handler,
}


@contextmanager
def serving(
    links: Sequence[Interceptor],
    decode: Callable[[bytes], Any] = _text,
    **behaviours: Callable[[Any, grpc.ServicerContext], Any],
) -> Iterator[grpc.Channel]:
    """Serves behaviours under the names of their shapes; requests are text, or what `decode` makes of them."""
    handlers = {
        shape: SHAPES[shape](behaviour, decode, lambda answer: str(answer).encode()) for shape, behaviour in behaviours.items()
    }
    executor = ThreadPoolExecutor(2)
    server = grpc.server(executor, interceptors=[Chain(links)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        server.stop(grace=1).wait()
        executor.shutdown()


def call(channel: grpc.Channel, shape: str) -> Any:
    """The method of a shape, as a client calls it: with bytes, or with an iterator of bytes."""
    kind = {
        "UnaryUnary": channel.unary_unary,
        "UnaryStream": channel.unary_stream,
        "StreamUnary": channel.stream_unary,
        "StreamStream": channel.stream_stream,
    }[shape]
    return kind(f"/{SERVICE}/{shape}", bytes, _text)
