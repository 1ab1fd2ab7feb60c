"""How many calls a server takes: what is beyond is refused at once, with its reason, on a thread that is kept free for it.

gRPC hands every call to the queue of a thread pool. The queue is bounded here: a call that would wait longer than it is worth
is refused, like any other refusal, by a thread that does nothing else. Questions about the server's health are answered there
too, so a busy server does not look like a dead one.

Where a replica answers questions while the primary is away, changes have workers apart: all of them wait for the primary then,
and questions do not wait with them.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import grpc

from ..domain.errors import Overloaded
from .interceptor import Guard, Handler

_HEALTH = "/grpc.health.v1.Health/"
_refused: ContextVar[bool] = ContextVar("refused", default=False)


class Workers(ThreadPoolExecutor):
    """A thread pool that knows how many calls it has, running and waiting, whatever becomes of them."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="call")
        self._counting = threading.Lock()
        self.calls = 0

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

    `most` is how many calls workers take; `apart` has those of methods, by path, that have other ones.
    """

    def __init__(self, workers: Workers, most: int, apart: Mapping[str, Workers]) -> None:
        self._workers = workers
        self._most = most
        self._apart = apart
        self._spare = ThreadPoolExecutor(1, thread_name_prefix="refusal")
        self._made: dict[tuple[str, bool], Handler] = {}

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler | None], details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Answers with the handler, with the same on other workers, or with one that refuses."""
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        workers = self._apart.get(details.method, self._workers)
        is_health = details.method.startswith(_HEALTH)
        is_refused = not is_health and workers.calls >= self._most
        if workers is self._workers and not is_health and not is_refused:
            return handler
        key = (details.method, is_refused)
        if key not in self._made:
            self._made[key] = _on(self._spare if is_health or is_refused else workers, handler, refusing=is_refused)
        return self._made[key]

    def close(self) -> None:
        """Ends the thread."""
        self._spare.shutdown()


def _on(pool: ThreadPoolExecutor, handler: Handler, *, refusing: bool) -> Handler:
    """The handler, or its refusal, on other threads."""
    behaviour = handler.unary_unary

    def act(request: Any, context: grpc.ServicerContext) -> Any:
        token = _refused.set(refusing)
        try:
            return behaviour(request, context)
        finally:
            _refused.reset(token)

    act.experimental_thread_pool = pool  # type: ignore[attr-defined]  # what gRPC asks of a behaviour
    decode = _unread if refusing else handler.request_deserializer
    return grpc.unary_unary_rpc_method_handler(act, decode, handler.response_serializer)


class Refusal(Guard):
    """Refuses what was sent away, where it is logged and told like any other refusal."""

    def before(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        if _refused.get():
            raise Overloaded


def _unread(data: bytes) -> bytes:
    """A refused request is not worth reading."""
    return data
