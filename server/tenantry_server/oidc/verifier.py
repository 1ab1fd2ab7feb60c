"""Signed tokens (JWT, RFC 7519) into claims: the one way in.

What a token says before its signature is verified is used for one thing: to find the key that must have signed it, among the
keys of an issuer that the operator trusts. Everything else in the header is refused or ignored: `crit`, `jku`, `jwk`, `x5u`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
import structlog

from ..domain.clock import Clock
from ..domain.errors import InvalidCredential
from . import claims, jwks
from .cache import Cache
from .claims import BadToken, Claims
from .issuers import Issuer
from .keys import key_set
from .refresher import Refresher

log = structlog.get_logger("tenantry.oidc")

_LARGEST = 8 << 10
_CACHED = 4096
# RFC 7515 section 4.1.9: in any letter case, with or without `application/`. RFC 9068: at+jwt, an access token.
_TYPES = {"jwt", "at+jwt"}
_UNVERIFIED: Any = {"verify_signature": False}
# Times are judged by our clock, and by all of the number (`claims.py`).
_VERIFIED: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}


class Verifier:
    """Verifies tokens of the issuers that are trusted.

    A token is verified once and remembered until it is over, the 4,096 last used of them: a key taken out of the provider's
    key set verifies no further token, but does not end those verified before. Their `exp` does.
    """

    def __init__(self, issuers: Sequence[Issuer], clock: Clock) -> None:
        self._clock = clock
        self._cache = Cache(_CACHED)
        self._refresher = Refresher()
        self._keys = {issuer.url: key_set(issuer, self._refresher) for issuer in issuers}

    def start(self) -> None:
        """Fetches the keys in the background and keeps them fresh. A provider that is down is tried again."""
        self._refresher.start()

    def close(self) -> None:
        """Fetches no more."""
        self._refresher.close()

    def verify(self, token: str) -> Claims:
        """What the token says. Raises InvalidCredential, or IdentityProviderUnavailable when its keys cannot be had.

        A key that is not there is waited for up to 2 s, by one thread at a time; the others are told to come again.
        """
        if len(token) > _LARGEST or not token.isascii():
            raise _refused("it is too large, or not ASCII")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._cache.find(digest, self._clock.now())
        if known is None:
            try:
                known = self._verified(token)
            except jwt.PyJWTError as error:
                raise _refused(type(error).__name__) from None
            except BadToken as error:
                raise _refused(str(error)) from None
            self._cache.put(digest, known)
        return known

    def _verified(self, token: str) -> Claims:
        """Raises BadToken, jwt.PyJWTError or IdentityProviderUnavailable."""
        unverified = jwt.decode_complete(token, options=_UNVERIFIED)
        algorithm, kid = _header(unverified["header"])
        url = unverified["payload"].get("iss")
        keys = self._keys.get(url) if isinstance(url, str) else None
        if keys is None:
            raise BadToken("its issuer is not trusted")
        found = keys.find(kid)
        if found is None:
            raise BadToken("its issuer has no such key")
        if algorithm not in found:
            raise BadToken("its algorithm does not fit the key")
        issuer = keys.issuer
        payload = jwt.decode(
            token, found[algorithm], algorithms=[algorithm], audience=issuer.audience, issuer=issuer.url, options=_VERIFIED
        )
        return claims.read(payload, issuer=issuer.url, now=self._clock.now())


def _header(header: Mapping[str, Any]) -> tuple[str, str]:
    """The algorithm and the key's id that a header names (RFC 7515 section 4.1). Raises BadToken."""
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in jwks.ALGORITHMS:
        raise BadToken("its algorithm is not allowed")
    if not isinstance(kid, str) or not kid:
        raise BadToken("it names no key")
    if "crit" in header:
        raise BadToken("it has critical extensions")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise BadToken("it is of another type")
    return algorithm, kid


def _refused(reason: str) -> InvalidCredential:
    """The same for every reason; which it is goes to the log, without anything that the token says."""
    log.debug("token refused", reason=reason)
    return InvalidCredential()
