"""Who removes what nobody needs any more: a thread of every server process looks now and then, under a lease that one has.

The lease saves work and no more: two processes at once, or one whose clock is wrong, do no harm.
"""

import random
import threading
from dataclasses import asdict
from datetime import timedelta

import structlog

from .domain import ids
from .services.retention import Removed, Retention
from .store.change import Store
from .store.queries import retention as statements
from .store.values import milliseconds

log = structlog.get_logger("tenantry.sweeper")

_PERIOD = 60.0
# Longer than a pass takes.
_LEASE, _LEASE_FOR = "retention", timedelta(minutes=10)


class Sweeper:
    """A thread that sweeps now and then, when no other process does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holder = ids.new()
        self._stop = threading.Event()
        self._retention = Retention(store, self._stop.wait)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sweeps every minute or so from now on."""
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends, after the transaction that is under way."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def sweep(self) -> Removed | None:
        """One pass, under the lease; None when another process has it. What fails now is tried again the next time."""
        database, now = self._store.database, self._store.clock.now()
        lease = {"name": _LEASE, "holder": self._holder}
        until = milliseconds(now + _LEASE_FOR)
        try:
            if not database.run(statements.TAKE_LEASE, now=milliseconds(now), until=until, **lease):
                return None
            removed = self._retention.sweep()
            database.run(statements.END_LEASE, **lease)
        except Exception as error:  # noqa: BLE001  whatever it is, it may be over when the next period ends
            database.drop_connection()
            log.warning("sweep failed", error=type(error).__name__)
            return None
        if removed != Removed():
            log.info("swept", **asdict(removed))
        return removed

    def _run(self) -> None:
        # Processes that start together do not look together.
        while not self._stop.wait(_PERIOD * random.uniform(0.5, 1)):
            self.sweep()
        self._store.database.close()
