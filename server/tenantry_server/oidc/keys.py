"""The public keys of each issuer, as they were last had: fetched in the background, or read from a file.

Keys are refreshed every 5 minutes; what cannot be had is tried again after 30 s, and the old keys stay until then. A token that
names a key which is not there asks for a refetch, at most every 30 s for an issuer; nothing else that a stranger sends costs
the provider anything. Bounds that follow: a key taken away verifies no further token 5 minutes later, if the provider answers;
and a key that signs within 30 s of a refetch, which any stranger's token may have asked for, may be refused until those are
over. Providers publish keys long before they sign with them.
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

    Fetches are numbered as they begin: what answers for an unknown key is one that began after the key was asked for.
    """

    def __init__(self, issuer: Issuer, refresher: Refresher) -> None:
        super().__init__(issuer)
        self._refresher = refresher
        self._begun = self._ended = self._succeeded = 0
        # Which fetch the last token with an unknown key waits for, and when it asked.
        self._wanted, self._asked = 0, -inf

    @property
    def due(self) -> float:
        """When to refresh them next: as soon as somebody asked, if nobody has looked since."""
        return self._next if self._ended >= self._wanted else min(self._asked, self._next)

    def refresh(self) -> None:
        """Fetches them."""
        with self._refresher.changed:
            self._begun += 1
        keys = self._try()
        with self._refresher.changed:
            self._ended = self._begun
            if keys is not None:
                self._keys, self._succeeded = keys, self._ended
            self._next = monotonic() + (_PAUSE if keys is None else _REFRESH)
            self._refresher.changed.notify_all()

    def _find_new(self, kid: str) -> Mapping[str, jwt.PyJWK] | None:
        with self._refresher.changed:
            if kid not in self._keys:  # it may have come before the lock
                self._ask()
                self._refresher.wait_until(lambda: self._ended >= self._wanted)
                if kid not in self._keys and self._succeeded < self._wanted:
                    raise self._unavailable()
            return self._keys.get(kid)

    def _ask(self) -> None:
        """Has them fetched, unless somebody asked less than 30 s ago."""
        now = monotonic()
        if now - self._asked >= _PAUSE:
            self._asked, self._wanted = now, self._begun + 1
            self._refresher.changed.notify_all()

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
