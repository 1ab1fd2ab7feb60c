"""What is done every now and then by a thread of its own, never on a caller's path."""

import threading
from collections.abc import Callable

from ..store.database import Database


class Periodic:
    """Flushes every so many seconds, and when it is closed."""

    def __init__(self, database: Database, name: str, period: Callable[[], float]) -> None:
        self._database = database
        self._name = name
        self._period = period
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Flushes every period from now on."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Flushes, and ends."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        else:
            self.flush()

    def flush(self) -> None:
        """Does it now."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stop.wait(self._period()):
            self.flush()
        self.flush()
        self._database.close()
