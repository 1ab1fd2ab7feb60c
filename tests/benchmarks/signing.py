"""An identity provider that only signs: its key lives as long as the bench, and servers know it from a file."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER, AUDIENCE = "https://bench.example", "bench"
# How many people sign in: few enough that all of them are there before anything is measured.
PEOPLE = 50
_KID, _ALGORITHM, _HOURS = "bench", "ES256", 24 * 3600


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def token(number: int) -> str:
    """The token of one of the people."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"person {number % PEOPLE}", "iat": now, "exp": now + _HOURS}
    return jwt.encode(claims, _key(), algorithm=_ALGORITHM, headers={"kid": _KID})


def settings(folder: Path) -> dict[str, str]:
    """What a server has to know, with the file that it reads."""
    public = jwt.get_algorithm_by_name(_ALGORITHM).to_jwk(_key().public_key(), as_dict=True)
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": [{**public, "kid": _KID, "alg": _ALGORITHM, "use": "sig"}]}))
    return {"TENANTRY_OIDC_ISSUER": ISSUER, "TENANTRY_OIDC_AUDIENCE": AUDIENCE, "TENANTRY_OIDC_JWKS_FILE": str(path)}
