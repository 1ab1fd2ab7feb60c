"""Connections that a call cannot rely on: one that died while nobody used it, and one on which no answer comes.

Neither costs a round trip. An idle connection on which there is something to read has ended, or is about to be: PostgreSQL says
nothing without being asked. And who waits for an answer is let go when the call's time is up, by shutting the socket: the
driver would go on for minutes with a server that is cut off. That is safe at any moment, unlike cancelling: of a commit that is
under way, the outcome is then unknown and said to be.
"""

import math
import os
import select
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from peewee import Psycopg3Adapter

# How long a server may take to accept a connection: who waits longer would miss that it is there again. In seconds.
_LONGEST_CONNECT = 1.0
# The server ends a statement of a transaction at the deadline itself, and leaves the connection as it is: it has the first say.
_GRACE = 0.05
_IDLE = 3600.0


def is_dead(connection: "psycopg.Connection[Any]") -> bool:
    """Whether a connection on which nothing is under way is of no use any more."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Task:
    """What a thread has to be done with by when, and the connection that it uses for it."""

    def __init__(self, deadline: float, connection: "psycopg.Connection[Any] | None") -> None:
        self.deadline = deadline
        self.connection = connection
        self.lock = threading.Lock()

    def cut(self) -> None:
        """Shuts the connection's socket, which whoever waits for an answer notices at once."""
        with self.lock, suppress(OSError, psycopg.Error):
            if self.connection is not None:
                with socket.socket(fileno=os.dup(self.connection.fileno())) as shared:
                    shared.shutdown(socket.SHUT_RDWR)

    def let_go(self) -> None:
        """From now on, the connection is somebody else's affair."""
        with self.lock:
            self.connection = None


class Guard:
    """Holds threads to their deadlines, from a thread of its own that sleeps until the next one."""

    def __init__(self) -> None:
        self._tasks: dict[int, _Task] = {}
        self._condition = threading.Condition()
        self._next = 0.0
        self._thread: threading.Thread | None = None

    @contextmanager
    def until(self, deadline: float, connection: "psycopg.Connection[Any] | None") -> Iterator[None]:
        """Cuts this thread's connection when it is not done by then. Inside of another one, the earlier deadline counts."""
        key = threading.get_ident()
        outer = self._tasks.get(key)
        task = self._tasks[key] = _Task(deadline if outer is None else min(deadline, outer.deadline), connection)
        self._see_to(task)
        try:
            yield
        finally:
            if outer is None:
                self._tasks.pop(key, None)
            else:
                outer.connection = task.connection
                self._tasks[key] = outer
            task.let_go()

    def connecting(self) -> float:
        """When an attempt to connect that this thread makes now must have succeeded."""
        task, latest = self._tasks.get(threading.get_ident()), time.monotonic() + _LONGEST_CONNECT
        return latest if task is None else min(latest, task.deadline)

    def connected(self, connection: "psycopg.Connection[Any]") -> None:
        """This thread has another connection now."""
        if task := self._tasks.get(threading.get_ident()):
            task.connection = connection

    def closing(self) -> None:
        """This thread's connection is about to be closed."""
        if task := self._tasks.get(threading.get_ident()):
            task.let_go()

    def _see_to(self, task: _Task) -> None:
        if self._thread is None:
            with self._condition:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="guard", daemon=True)
                    self._thread.start()
        if task.deadline + _GRACE < self._next:
            with self._condition:
                self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._next = math.inf  # whoever comes from here on says so
                now = time.monotonic()
                ends = [(task.deadline + _GRACE, task) for task in list(self._tasks.values())]
                for end, task in ends:
                    if end <= now:
                        task.cut()
                self._next = min((end for end, _ in ends if end > now), default=now + _IDLE)
                self._condition.wait(max(0.0, self._next - time.monotonic()))


class Connection(psycopg.Connection[Any]):
    """A connection whose making has a deadline of its own: the driver's is no shorter than two seconds."""

    _latest = threading.local()

    @classmethod
    def connect_until(cls, deadline: float, conninfo: str, **parameters: Any) -> "Connection":
        """A new connection. Raises psycopg.OperationalError."""
        cls._latest.deadline = deadline
        return cls.connect(conninfo, **parameters)

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> Generator[Any, Any, Any]:
        deadline: float = getattr(cls._latest, "deadline", math.inf)
        steps = super()._connect_gen(conninfo)
        try:
            waiting = next(steps)
            while True:
                ready = yield waiting
                if time.monotonic() >= deadline:
                    raise psycopg.errors.ConnectionTimeout("connection timeout expired")
                waiting = steps.send(ready)
        except StopIteration as made:
            return made.value


class Adapter(Psycopg3Adapter):
    """Peewee's, which connects by the deadline of whoever needs the connection."""

    def connect(self, db: Any, **parameters: Any) -> Connection:
        """A new connection of this thread."""
        connection = Connection.connect_until(db.guard.connecting(), db.database, **parameters)
        db.guard.connected(connection)
        return connection
