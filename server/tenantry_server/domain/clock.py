"""Time, injectable. Instants are aware UTC datetimes in whole milliseconds, which is what the database keeps."""

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime.fromtimestamp(0, UTC)


class Clock:
    """The system's clock. Tests pass one that they set."""

    def milliseconds(self) -> int:
        """Since 1970."""
        return time.time_ns() // 1_000_000

    def now(self) -> datetime:
        """The present instant."""
        return EPOCH + timedelta(milliseconds=self.milliseconds())


def floor(instant: datetime) -> datetime:
    """The instant without what is finer than a millisecond."""
    return instant - timedelta(microseconds=instant.microsecond % 1000)


def isoformat_or_none(instant: datetime | None) -> str | None:
    """As `isoformat`, or none."""
    return None if instant is None else isoformat(instant)


def isoformat(instant: datetime) -> str:
    """RFC 3339 with milliseconds and `Z`."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
