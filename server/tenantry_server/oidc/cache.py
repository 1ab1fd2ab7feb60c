"""Tokens that were verified, so that a token is verified once."""

from collections import OrderedDict
from datetime import datetime
from threading import Lock

from .claims import Claims


class Cache:
    """What verified tokens say, by the SHA-256 of the token, until they are over; the longest unused goes first.

    The tokens themselves are not kept. Any thread may use it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = Lock()
        self._known: OrderedDict[bytes, Claims] = OrderedDict()

    def find(self, digest: bytes, now: datetime) -> Claims | None:
        """What the token says, if it was verified and is not over."""
        with self._lock:
            claims = self._known.get(digest)
            if claims is None:
                return None
            if now >= claims.expire_time:
                del self._known[digest]
                return None
            self._known.move_to_end(digest)
            return claims

    def put(self, digest: bytes, claims: Claims) -> None:
        """Remembers a verified token."""
        with self._lock:
            self._known[digest] = claims
            self._known.move_to_end(digest)
            if len(self._known) > self._size:
                self._known.popitem(last=False)
