"""The public keys of each issuer, as they were last had: fetched in the background, or read from a file.

Keys are refreshed every 5 minutes; what cannot be had is tried again after 30 s, and the old keys stay until then. A token that
names a key which is not there asks for a refetch, at most every 30 s for an issuer; nothing else that a stranger sends costs
the provider anything. Who comes too early for one, because of some stranger perhaps, is told to come again, and the refetch
is made as soon as it may be: no token is called invalid for a key that nobody has looked for since the token came. Bounds
that follow: a key taken away verifies no further token 5 minutes later, if the provider answers; a key that is published
verifies tokens 30 s later at most.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import inf
from threading import Lock
from time import monotonic

import jwt
import structlog

from ..domain.errors import IdentityProviderUnavailable
from . import fetch, jwks
from .fetch import FetchError
from .issuers import Issuer
from .jwks import Jwks
from .refresher import Refresher

log = structlog.get_logger("tenantry.oidc")

_REFRESH, _PAUSE = 300.0, 30.0
# How many keys that are not there are remembered by their ids. Tokens of the rest are never called invalid, only unverifiable.
_MOST = 1000


class KeySet(ABC):
    """The keys of one issuer."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._keys: Jwks = {}
        self._next = -inf
        self._is_up: bool | None = None

    @property
    def due(self) -> float:
        """When to refresh them next, on the monotonic clock."""
        return self._next

    def find(self, kid: str) -> Mapping[str, jwt.PyJWK] | None:
        """The key by its algorithms; None when the issuer has none of that id. Raises IdentityProviderUnavailable."""
        return self._keys.get(kid) or self._find_new(kid)

    @abstractmethod
    def refresh(self) -> None:
        """Gets them again. Does not raise."""

    @abstractmethod
    def _find_new(self, kid: str) -> Mapping[str, jwt.PyJWK] | None:
        """Looks for a key that was not there. Raises IdentityProviderUnavailable."""

    @abstractmethod
    def _load(self) -> Jwks:
        """Gets them. Raises FetchError or ValueError."""

    def _try(self) -> Jwks | None:
        """Gets them; None when they cannot be had. Says so in the log when that changes."""
        try:
            keys = self._load()
        except (FetchError, ValueError) as error:
            self._note(str(error))
        except Exception as error:  # noqa: BLE001  whatever a provider publishes, the thread goes on
            self._note(type(error).__name__)
        else:
            if not self._is_up:
                log.info("identity provider available", issuer=self.issuer.url, keys=len(keys))
            self._is_up = True
            return keys
        return None

    def _note(self, reason: str) -> None:
        if self._is_up is not False:
            log.warning("identity provider unavailable", issuer=self.issuer.url, reason=reason)
        self._is_up = False

    def _unavailable(self) -> IdentityProviderUnavailable:
        return IdentityProviderUnavailable(issuer=self.issuer.url)


class RemoteKeySet(KeySet):
    """Keys that are fetched by the refresher's thread alone.

    Fetches are numbered as they begin. What answers for a key that is not there is one that began after it was asked for, so
    its id is first `asked` for, then `sought` by a fetch, then known to be `absent` until keys may be fetched again.
    """

    def __init__(self, issuer: Issuer, refresher: Refresher) -> None:
        super().__init__(issuer)
        self._refresher = refresher
        self._begun = self._ended = 0
        # The fetch that somebody asked for last, when it is to begin, and the earliest that the one after it may.
        self._wanted, self._planned, self._earliest = 0, -inf, -inf
        self._asked: set[str] = set()
        self._sought: set[str] = set()
        self._absent: set[str] = set()

    @property
    def due(self) -> float:
        """When to refresh them next: for who asked, as soon as that may be."""
        return self._next if self._ended >= self._wanted else min(self._planned, self._next)

    def refresh(self) -> None:
        """Fetches them."""
        with self._refresher.changed:
            now = monotonic()
            self._begun += 1
            self._sought, self._asked = self._asked, set()
            self._absent = self._absent - self._sought if now < self._earliest else set()
            if self._begun == self._wanted:
                self._earliest = now + _PAUSE
        keys = self._try()
        with self._refresher.changed:
            self._ended = self._begun
            if keys is not None:
                self._absent = (self._absent | self._sought | self._keys.keys()) - keys.keys()
                self._keys = keys
            self._sought = set()
            self._next = monotonic() + (_PAUSE if keys is None else _REFRESH)
            self._refresher.changed.notify_all()

    def _find_new(self, kid: str) -> Mapping[str, jwt.PyJWK] | None:
        with self._refresher.changed:
            if kid not in self._keys and (kid not in self._absent or monotonic() >= self._earliest):
                self._await(kid)
                if kid not in self._keys and kid not in self._absent:
                    raise self._unavailable()
            return self._keys.get(kid)

    def _await(self, kid: str) -> None:
        """Has a key looked for, and waits for that if it is done now."""
        if kid in self._sought:
            number = self._begun
        else:
            number = self._ask(kid)
            if self._planned > monotonic():
                return
        self._refresher.wait_until(lambda: self._ended >= number)

    def _ask(self, kid: str) -> int:
        """Plans a fetch, unless one is. Answers with its number."""
        self._absent.discard(kid)
        if len(self._asked) < _MOST:
            self._asked.add(kid)
        if self._wanted <= self._begun:
            self._planned, self._wanted = max(monotonic(), self._earliest), self._begun + 1
            self._refresher.changed.notify_all()
        return self._wanted

    def _load(self) -> Jwks:
        return jwks.parse(fetch.read(self.issuer.jwks_url or fetch.discover(self.issuer.url)))


class FileKeySet(KeySet):
    """Keys in a file, read again when it was changed: by the call that misses a key, and every 5 minutes."""

    def __init__(self, issuer: Issuer) -> None:
        super().__init__(issuer)
        assert issuer.jwks_file is not None
        self._path = issuer.jwks_file
        self._lock = Lock()
        self._version: tuple[int, ...] | None = None

    def refresh(self) -> None:
        """Reads them, if the file was changed."""
        with self._lock:
            self._reread()

    def _find_new(self, kid: str) -> Mapping[str, jwt.PyJWK] | None:
        with self._lock:
            self._reread()
            if kid not in self._keys and not self._is_up:
                raise self._unavailable()
            return self._keys.get(kid)

    def _reread(self) -> None:
        version = self._on_disk()
        if version != self._version:
            self._version = version
            self._keys = self._try() or self._keys
        self._next = monotonic() + _REFRESH

    def _on_disk(self) -> tuple[int, ...]:
        """What is different once the file was written or replaced; empty when there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _load(self) -> Jwks:
        return jwks.read(self._path)


def key_set(issuer: Issuer, refresher: Refresher) -> KeySet:
    """The keys of an issuer, for a refresher to refresh."""
    made: KeySet = RemoteKeySet(issuer, refresher) if issuer.jwks_file is None else FileKeySet(issuer)
    refresher.add(made)
    return made
