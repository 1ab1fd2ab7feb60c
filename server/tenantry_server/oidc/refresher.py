"""The one thread that fetches keys, and the one place where a call may wait for it."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Protocol

# How long one calling thread waits, in seconds. The others do not wait: strangers' tokens must not hold the worker threads.
_LONGEST_WAIT = 2.0


class Refreshable(Protocol):
    """What is refreshed when it is due."""

    @property
    def due(self) -> float:
        """When to refresh it next, on the monotonic clock; read under the refresher's lock."""

    def refresh(self) -> None:
        """Does it, in the refresher's thread and without its lock. Does not raise."""


class Refresher:
    """Refreshes what is due, the longest overdue first, in a daemon thread.

    `changed` is the lock of all that the thread and its callers share, and is notified when any of it changes.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._parts: list[Refreshable] = []
        self._is_waited_for = False
        self._is_closed = False

    def add(self, part: Refreshable) -> None:
        """Adds something to refresh, before the start."""
        self._parts.append(part)

    def start(self) -> None:
        """Starts the thread, if there is anything for it to do."""
        if self._parts:
            threading.Thread(target=self._run, name="oidc-keys", daemon=True).start()

    def close(self) -> None:
        """Ends the thread, after the fetch that it is at; does not wait for that."""
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()

    def wait_until(self, is_over: Callable[[], bool]) -> None:
        """Waits, with the lock, until it is over, or 2 s have passed; not at all when another thread waits already."""
        if self._is_waited_for:
            return
        self._is_waited_for = True
        try:
            self.changed.wait_for(lambda: is_over() or self._is_closed, _LONGEST_WAIT)
        finally:
            self._is_waited_for = False

    def _run(self) -> None:
        while (part := self._next()) is not None:
            part.refresh()

    def _next(self) -> Refreshable | None:
        """What is due, once something is; None in the end."""
        with self.changed:
            while not self._is_closed:
                first = min(self._parts, key=lambda part: part.due)
                pause = first.due - monotonic()
                if pause <= 0:
                    return first
                self.changed.wait(pause)
            return None
