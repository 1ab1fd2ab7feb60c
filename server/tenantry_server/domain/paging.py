"""Pages: a list goes on behind the last item's key, and the token that says where is signed.

The signature also covers what was listed (method, organization, filter, caller), which the token itself does not carry: a
token is good for the list it came from alone, and nobody can make one up.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .errors import InvalidRequest

DEFAULT_SIZE = 100
_MAC = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items, and the token of the next page; empty on the last one."""

    items: tuple[T, ...]
    next_page_token: str = ""


class PageTokens:
    """Signs and opens page tokens with a key that all processes share."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def page(self, scope: str, size: int, rows: Sequence[T], key: Callable[[T], str], *, rest: str | None = None) -> Page[T]:
        """The first `size` rows of one more; `key` names the row behind which the next page begins. `rest` is where it does
        when there are fewer, though the list goes on.
        """
        items = tuple(rows[:size])
        position = key(items[-1]) if len(rows) > size else rest
        return Page(items, "" if position is None else self._sign(scope, position))

    def position(self, scope: str, token: str, *, start: str = "") -> str:
        """Where the token says the list goes on. Raises InvalidRequest when it is not of this list."""
        if not token:
            return start
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            mac, position = raw[:_MAC], raw[_MAC:].decode()
        except ValueError:
            mac, position = b"", ""
        if not hmac.compare_digest(mac, self._mac(scope, position)):
            raise InvalidRequest.of("page_token", "is not a token of this list", "PAGE_TOKEN")
        return position

    def _sign(self, scope: str, position: str) -> str:
        return base64.urlsafe_b64encode(self._mac(scope, position) + position.encode()).decode().rstrip("=")

    def _mac(self, scope: str, position: str) -> bytes:
        message = f"{len(scope)}:{scope}{position}".encode()
        return hmac.new(self._key, message, hashlib.sha256).digest()[:_MAC]
