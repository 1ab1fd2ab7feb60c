"""How many calls a server takes: what is beyond is refused at once, with its reason, on a thread that is kept free for it.

gRPC hands every call to the queue of a thread pool. The queue is bounded here: a call that would wait longer than it is worth
is refused, like any other refusal, by a thread that does nothing else. Questions about the server's health are answered there
too, so a busy server does not look like a dead one. Some methods have workers apart, so that others need not wait behind them.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import grpc

from ..domain.errors import Overloaded
from .interceptor import Guard, Handler

_HEALTH = "/grpc.health.v1.Health/"
_refused: ContextVar[bool] = ContextVar("refused", default=False)


class Workers(ThreadPoolExecutor):
    """A thread pool that knows how many calls it has, running and waiting, whatever becomes of them; and how many it takes."""

    def __init__(self, threads: int, most: int) -> None:
        super().__init__(threads, thread_name_prefix="call")
        self._counting = threading.Lock()
        self.calls = 0
        self.most = most

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Counts the call until it is done, or given up."""
        self._count(1)
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(lambda done: self._count(-1))
        return future

    def _count(self, step: int) -> None:
        with self._counting:
            self.calls += step


class Overload(grpc.ServerInterceptor):
    """Sends what the workers cannot take, and health, to a thread of its own. Outermost; it runs on the accepting thread.

    `apart` has the workers of methods, by path, that have other ones.
    """

    def __init__(self, workers: Workers, apart: Mapping[str, Workers]) -> None:
        self._workers = workers
        self._apart = apart
        self._spare = ThreadPoolExecutor(1, thread_name_prefix="refusal")
        self._made: dict[tuple[str, ThreadPoolExecutor], Handler] = {}

    @property
    def calls(self) -> int:
        """How many calls the workers have."""
        return sum(workers.calls for workers in {self._workers, *self._apart.values()})

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler | None], details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Answers with the handler, with the same on other threads, or with one that refuses."""
        handler, method = continuation(details), details.method
        if handler is None or handler.unary_unary is None:
            return handler
        place = self._place(method)
        if place is self._workers:
            return handler
        made = self._made.get((method, place))
        if made is None:
            made = self._made[method, place] = self._elsewhere(handler, method, place)
        return made

    def close(self) -> None:
        """Ends all threads, when they have nothing left to do."""
        for pool in {self._workers, *self._apart.values(), self._spare}:
            pool.shutdown()

    def _place(self, method: str) -> ThreadPoolExecutor:
        """Where a call of a method goes now."""
        workers = self._apart.get(method, self._workers)
        return self._spare if workers.calls >= workers.most or method.startswith(_HEALTH) else workers

    def _elsewhere(self, handler: Handler, method: str, place: ThreadPoolExecutor) -> Handler:
        refusing = place is self._spare and not method.startswith(_HEALTH)
        behaviour: Any = _marked(handler.unary_unary) if refusing else partial(handler.unary_unary)
        behaviour.experimental_thread_pool = place  # what gRPC asks of a behaviour
        decode = _unread if refusing else handler.request_deserializer
        return grpc.unary_unary_rpc_method_handler(behaviour, decode, handler.response_serializer)


def _marked(behaviour: Any) -> Any:
    """A behaviour that the interceptors refuse."""

    def refused(request: Any, context: grpc.ServicerContext) -> Any:
        token = _refused.set(True)
        try:
            return behaviour(request, context)
        finally:
            _refused.reset(token)

    return refused


class Refusal(Guard):
    """Refuses what was sent away, where it is logged and told like any other refusal."""

    def before(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        if _refused.get():
            raise Overloaded


def _unread(data: bytes) -> bytes:
    """A refused request is not worth reading."""
    return data
