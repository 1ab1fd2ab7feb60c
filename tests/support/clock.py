"""Time that a test sets."""

from datetime import datetime, timedelta

from tenantry_server.domain.clock import Clock
from tenantry_server.store.values import instant
from tenantry_server.store.values import milliseconds as kept


class MovableClock(Clock):
    """The system's clock, moved by what the test says, or stopped."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self.stopped: datetime | None = None

    def milliseconds(self) -> int:
        return kept(self.stopped or instant(super().milliseconds()) + self.offset)

    def advance(self, step: timedelta) -> None:
        """Moves time forward, or back."""
        self.offset += step
