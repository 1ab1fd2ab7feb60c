"""How values are kept: instants as milliseconds since 1970 (UTC), sets of permissions as words."""

from datetime import datetime, timedelta
from functools import lru_cache

from ..domain.clock import EPOCH

_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(instant: datetime) -> int:
    """An instant as it is kept."""
    return (instant - EPOCH) // _MILLISECOND


def instant(kept: int) -> datetime:
    """A kept instant."""
    return EPOCH + timedelta(milliseconds=kept)


def instant_or_none(kept: int | None) -> datetime | None:
    """A kept instant, or none."""
    return None if kept is None else instant(kept)


@lru_cache(maxsize=65536)
def words(kept: str) -> tuple[str, ...]:
    """Kept words. What is cached is keyed by its content, so it is never stale."""
    return tuple(kept.split())
