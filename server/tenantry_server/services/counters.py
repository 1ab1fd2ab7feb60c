"""Counting calls within windows of time: in this process's memory, or in a Redis that several processes share."""

import math
import threading
import time
from typing import Any, Protocol

import structlog
from limits.errors import ConfigurationError
from limits.storage import storage_from_string

log = structlog.get_logger("tenantry.limits.redis")

# Entries from which on ended windows are looked for; again when as many new ones have come as were left.
_MANY = 10_000
# How long Redis may take, how long it is left alone when it fails, and how much longer it keeps a window, in seconds.
_PATIENCE, _PAUSE, _SLACK = 0.25, 5.0, 5
_WRONG_URL = "must be a URL of Redis, for instance redis://127.0.0.1:6379"


class Counter(Protocol):
    """Counts. Whoever counts at the same time gets another number."""

    def count(self, key: str, end: int, now: float) -> int:
        """Counts one call in the window of this key that lasts until `end`; how many there were, with this one."""


class MemoryCounter:
    """Counts in memory. The `limits` library's own memory looks at the count after letting go of its lock, so that two calls
    at once can see the same, and sweeps by a timer thread; here a call gets its number under the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[str, list[int]] = {}
        self._most = _MANY

    def count(self, key: str, end: int, now: float) -> int:
        """One look-up and one addition, under a lock that nothing else is done under."""
        with self._lock:
            window = self._windows.get(key)
            if window is None or window[1] != end:
                if len(self._windows) >= self._most:
                    self._sweep(now)
                window = self._windows[key] = [0, end]
            window[0] += 1
            return window[0]

    def _sweep(self, now: float) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window[1] > now}
        self._most = len(self._windows) * 2 + _MANY


class SharedCounter:
    """Counts in Redis, by one atomic script a call. While Redis cannot be reached, this process counts by itself: a limit is
    then one for each process, and no call is refused or held up for it.
    """

    def __init__(self, url: str) -> None:
        """Connects to nothing yet. Raises ValueError, without the URL, when it is none of Redis."""
        if not url.startswith("redis"):
            raise ValueError(_WRONG_URL)
        try:
            # Typed for asyncio too, which the URL would ask for.
            self._storage: Any = storage_from_string(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
        except (ConfigurationError, ValueError):
            raise ValueError(_WRONG_URL) from None
        self._spare = MemoryCounter()
        self._alone_until = 0.0

    def count(self, key: str, end: int, now: float) -> int:
        """The number among all processes."""
        if time.monotonic() >= self._alone_until:
            try:
                return int(self._storage.incr(f"{key}:{end}", math.ceil(end - now) + _SLACK))
            except self._storage.base_exceptions as error:
                self._alone_until = time.monotonic() + _PAUSE
                log.warning("redis cannot be reached: this process counts calls by itself", error=type(error).__name__)
        return self._spare.count(key, end, now)
