"""Time that a test sets."""

from datetime import datetime, timedelta

from tenantry_server.domain.clock import Clock


class MovableClock(Clock):
    """The system's clock, moved by what the test says."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset

    def advance(self, step: timedelta) -> None:
        """Moves time forward, or back."""
        self.offset += step
