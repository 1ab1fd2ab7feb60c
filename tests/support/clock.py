"""Time that a test sets."""

from datetime import datetime, timedelta

from tenantry_server.domain.clock import EPOCH, Clock

_MILLISECOND = timedelta(milliseconds=1)


class MovableClock(Clock):
    """The system's clock, moved by what the test says, or stopped."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self.stopped: datetime | None = None

    def milliseconds(self) -> int:
        if self.stopped:
            return (self.stopped - EPOCH) // _MILLISECOND
        return super().milliseconds() + self.offset // _MILLISECOND

    def advance(self, step: timedelta) -> None:
        """Moves time forward, or back."""
        self.offset += step
