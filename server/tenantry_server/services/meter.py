"""What organizations use of metrics, by month: counted in memory, and written by a thread of its own."""

import threading
import time
from collections import Counter

from ..domain.errors import LimitExceeded
from ..store.change import Store
from ..store.queries import metering as statements
from .periodic import Periodic

# The metric of API calls.
API_CALLS = "api_calls"
_PERIOD = 10.0
# Of who has a limit: how old a known amount may be, and how long it is known after its last use, in seconds.
_FRESH, _FORGOTTEN = 10.0, 600.0
# How many one transaction writes, and how long it may wait, in seconds.
_BATCH, _PATIENCE = 200, 5.0

# An organization and a month: 12 times the year and the month, from 0.
Key = tuple[str, int]


class Meter(Periodic):
    """Counts API calls. A process that is killed loses what it counted in the last ten seconds.

    A hard limit is exact in one process. Several know of each other what they have written, so together they may go over it
    by what the others count in ten seconds.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store.database, "meter", lambda: _PERIOD)
        self._clock = store.clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counted: Counter[Key] = Counter()
        # What is being written at this moment, and what is known to be written: how much, and since when that is known.
        self._under_way: Counter[Key] = Counter()
        self._written: dict[Key, tuple[int, float]] = {}

    def count(self, organization_id: str, maximum: int | None) -> None:
        """Counts one API call of an organization. Raises LimitExceeded when it is one more than the month may have."""
        now = self._clock.now()
        key = (organization_id, now.year * 12 + now.month - 1)
        if maximum is not None:
            self._know(key)
        with self._lock:
            if maximum is not None and self._amount(key) >= maximum:
                raise LimitExceeded(limit=f"API calls in {_month(key)}", maximum=str(maximum))
            self._counted[key] += 1

    def flush(self) -> None:
        """Writes what was counted. What cannot be written now stays counted."""
        with self._writing:
            with self._lock:
                self._under_way, self._counted = self._counted, Counter()
                since = time.monotonic() - _FORGOTTEN
                self._written = {key: known for key, known in self._written.items() if known[1] > since}
            keys = sorted(self._under_way)
            for first in range(0, len(keys), _BATCH):
                try:
                    self._note(self._write(keys[first : first + _BATCH]))
                except Exception:  # noqa: BLE001  whatever it is, it may be over when the next period ends
                    break
            with self._lock:
                self._counted.update(self._under_way)
                self._under_way = Counter()

    def _amount(self, key: Key) -> int:
        return self._written.get(key, (0, 0.0))[0] + self._under_way[key] + self._counted[key]

    def _know(self, key: Key) -> None:
        """Sees to it that what is written of a key is known, as of a moment ago."""
        known = self._written.get(key)
        if known is not None and time.monotonic() - known[1] < _FRESH:
            return
        # While it is being written it cannot be told: it would count twice, or not at all.
        if self._writing.acquire(blocking=known is None):
            try:
                found = self._database.row(statements.AMOUNT, organization_id=key[0], month=_month(key), metric=API_CALLS)
                with self._lock:
                    self._written[key] = (found or 0, time.monotonic())
            finally:
                self._writing.release()

    def _note(self, amounts: dict[Key, int]) -> None:
        """What is written now, and so is under way no more."""
        with self._lock:
            for key, amount in amounts.items():
                if key in self._written:
                    self._written[key] = (amount, time.monotonic())
                del self._under_way[key]

    def _write(self, keys: list[Key]) -> dict[Key, int]:
        """One transaction, in the order of the keys, so that processes do not wait for each other in a circle."""
        database, written = self._database, {}
        with database.writing_once(_PATIENCE):
            for key in keys:
                slots = {"organization_id": key[0], "month": _month(key), "metric": API_CALLS}
                amount = database.row(statements.ADD, amount=self._under_way[key], **slots)
                written[key] = amount or 0  # of an organization that is gone, nothing is
        return written


def _month(key: Key) -> str:
    year, month = divmod(key[1], 12)
    return f"{year:04d}-{month + 1:02d}"
