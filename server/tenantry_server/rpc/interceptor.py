"""How an interceptor wraps a method: around its behaviour, on the worker thread, and around a stream while it is iterated."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import grpc

Handler = Any  # grpc.RpcMethodHandler, which is generic for the type checker alone


class _Undecodable:
    """Stands for a request whose bytes are no message."""


UNDECODABLE = _Undecodable()


class Interceptor(grpc.ServerInterceptor):
    """Wraps the behaviour of every method in a context manager; handlers are wrapped once and kept."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}
        self._lock = threading.Lock()

    def around(self, method: str, request: Any, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """What surrounds the behaviour. `request` is an iterator when the client streams."""
        raise NotImplementedError

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler | None], details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Answers with the wrapped handler; None, for UNIMPLEMENTED, when there is no such method."""
        handler = continuation(details)
        if handler is None:
            return None
        wrapped = self._wrapped.get(details.method)
        if wrapped is None:
            with self._lock:
                wrapped = self._wrapped.setdefault(details.method, self._wrap(details.method, handler))
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        around = self.around
        behaviour: Any = handler.unary_unary or handler.stream_unary or handler.unary_stream or handler.stream_stream

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            with around(method, request, context):
                return behaviour(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with around(method, request, context):
                yield from behaviour(request, context)

        shape = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
        make = getattr(grpc, f"{shape}_rpc_method_handler")
        wrapper = stream if handler.response_streaming else unary
        return make(wrapper, self._deserializer(handler), handler.response_serializer)

    def _deserializer(self, handler: Handler) -> Callable[[bytes], Any] | None:
        return handler.request_deserializer
