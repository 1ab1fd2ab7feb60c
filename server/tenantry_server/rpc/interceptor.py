"""How an interceptor wraps a method: around its behaviour, on the worker thread, and around a stream while it is iterated.

Everything is found out once a method, and what is left to do for a call is to call: handlers are wrapped when their method is
first called, and a chain of interceptors is one to grpc, whose serving thread would otherwise ask each of them in turn.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import grpc

Handler = Any  # grpc.RpcMethodHandler, which is generic for the type checker alone
Continuation = Callable[[grpc.HandlerCallDetails], Handler | None]
Behaviour = Callable[[Any, grpc.ServicerContext], Any]


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

    def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Handler | None:
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
        behaviour: Any = handler.unary_unary or handler.stream_unary or handler.unary_stream or handler.stream_stream
        shape = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
        make = getattr(grpc, f"{shape}_rpc_method_handler")
        wrap = self._stream if handler.response_streaming else self._unary
        return make(wrap(method, behaviour), self._deserializer(handler), handler.response_serializer)

    def _unary(self, method: str, behaviour: Behaviour) -> Behaviour:
        around = self.around

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            with around(method, request, context):
                return behaviour(request, context)

        return unary

    def _stream(self, method: str, behaviour: Behaviour) -> Behaviour:
        around = self.around

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with around(method, request, context):
                yield from behaviour(request, context)

        return stream

    def _deserializer(self, handler: Handler) -> Callable[[bytes], Any] | None:
        return handler.request_deserializer


class Guard(Interceptor):
    """Has something to do before the behaviour, and nothing after it."""

    def before(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """What is done; whatever it raises, the behaviour is not reached."""
        raise NotImplementedError

    def _unary(self, method: str, behaviour: Behaviour) -> Behaviour:
        before = self.before

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            before(method, request, context)
            return behaviour(request, context)

        return unary

    def _stream(self, method: str, behaviour: Behaviour) -> Behaviour:
        guarded = self._unary(method, behaviour)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            yield from guarded(request, context)

        return stream


class Chain(grpc.ServerInterceptor):
    """Several interceptors, outermost first, as one."""

    def __init__(self, links: Sequence[Interceptor]) -> None:
        self._links = links
        self._wrapped: dict[str, Handler] = {}

    def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Handler | None:
        """Answers with the handler that all of them wrapped. What there is none of is asked for anew each time: callers make
        such names up.
        """
        wrapped = self._wrapped.get(details.method)
        if wrapped is None:
            for link in reversed(self._links):
                continuation = partial(link.intercept_service, continuation)
            wrapped = continuation(details)
            if wrapped is not None:
                self._wrapped[details.method] = wrapped
        return wrapped
