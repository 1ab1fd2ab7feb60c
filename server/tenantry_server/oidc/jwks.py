"""Public keys as identity providers publish them: a JSON Web Key Set (RFC 7517).

Which algorithms fit a key is settled here, once, from the key alone: `kty`, `crv` and, when it is there, `alg`. A token can
only name one of them. Symmetric keys fit none, so a token signed with a public key as if it were a secret finds no key.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

# Keys by their id, and each by the algorithms that it may verify.
Jwks = Mapping[str, Mapping[str, jwt.PyJWK]]

LARGEST = 1 << 20

# By `kty` and `crv`: RFC 7518 sections 3.3 to 3.5, RFC 8037 section 3.1.
_FITTING = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
ALGORITHMS = frozenset(algorithm for fitting in _FITTING.values() for algorithm in fitting)


def parse(content: bytes) -> Jwks:
    """The keys that verify signatures; others are left out. Raises ValueError when there is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise ValueError("is no JSON Web Key Set")
    keys: dict[str, dict[str, jwt.PyJWK]] = {}
    for member in members:
        for algorithm, key in _usable(member):
            keys.setdefault(member["kid"], {}).setdefault(algorithm, key)
    if not keys:
        raise ValueError("has no usable key")
    return keys


def read(path: Path) -> Jwks:
    """The keys in a file. Raises ValueError."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ValueError("is larger than 1 MiB")
    return parse(content)


def _usable(member: Any) -> Iterator[tuple[str, jwt.PyJWK]]:
    """A key by every algorithm that it may verify; nothing when it is unfit, or of a kind that is not known here."""
    if not isinstance(member, dict) or not _is_for_verifying(member):
        return
    for algorithm in _algorithms(member):
        try:
            key = jwt.PyJWK(member, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
            return
        if key.Algorithm.check_key_length(key.key) is None:  # RFC 7518 section 3.3: RSA from 2,048 bits
            yield algorithm, key


def _is_for_verifying(member: Mapping[str, Any]) -> bool:
    """Whether it has an id, is public, and is not meant for something else (RFC 7517 sections 4.2 and 4.3)."""
    kid, operations = member.get("kid"), member.get("key_ops", ["verify"])
    return (
        isinstance(kid, str)
        and kid != ""
        and "d" not in member  # who publishes a private key has signed for everybody
        and member.get("use", "sig") != "enc"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _algorithms(member: Mapping[str, Any]) -> tuple[str, ...]:
    kind, curve, only = member.get("kty"), member.get("crv"), member.get("alg")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return ()
    fitting = _FITTING.get((kind, curve), ())
    return fitting if only is None else tuple(algorithm for algorithm in fitting if algorithm == only)
