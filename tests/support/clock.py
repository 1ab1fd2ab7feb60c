"""Time that a test sets."""

from datetime import datetime, timedelta

from tenantry_server.domain.clock import Clock


class MovableClock(Clock):
    """The system's clock, moved by what the test says, or stopped."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self.stopped: datetime | None = None

    def now(self) -> datetime:
        return self.stopped or super().now() + self.offset

    def advance(self, step: timedelta) -> None:
        """Moves time forward, or back."""
        self.offset += step
