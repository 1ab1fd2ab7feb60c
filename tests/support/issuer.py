"""An identity provider: discovery document and JWKS over real HTTP, keys that come and go, and tokens that it signs."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tenantry_server.domain.clock import Clock
from tenantry_server.oidc.issuers import Issuer

AUDIENCE = "https://api.example"
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"
# Longer than anything takes: a test that waits so long has failed.
PATIENCE = 20.0
_NUMBERS = itertools.count(1)


@functools.cache
def rsa_key(name: str = "", *, bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key by any name; made once a run, because that takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def new_key(algorithm: str) -> Any:
    """A private key that an algorithm can sign with."""
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ES512":
            return ec.generate_private_key(ec.SECP521R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
    return rsa_key()


@dataclass
class SigningKey:
    """A key pair, and what is published of it."""

    algorithm: str
    kid: str = field(default_factory=lambda: f"key-{next(_NUMBERS)}")
    private: Any = None
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.private = self.private or new_key(self.algorithm)

    @property
    def jwk(self) -> dict[str, Any]:
        """Its public half, as a member of a JWKS; `more` replaces members, and None leaves them out."""
        public = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        member = {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig", "key_ops": None, **self.more}
        return {name: value for name, value in member.items() if value is not None}


def segment(content: bytes | Mapping[str, Any]) -> str:
    """A part of a token."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(header: bytes | Mapping[str, Any], payload: bytes | Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token of anything, signed by anything."""
    signed = f"{segment(header)}.{segment(payload)}"
    return f"{signed}.{segment(sign(signed.encode()))}"


class IdentityProvider:
    """Serves on a port of its own until it is closed.

    `requests` counts what was asked for, by path. While `is_down`, it hangs up; `answers` has raw answers by path, instead of
    the right ones: status, headers, body.
    """

    def __init__(self, clock: Clock | None = None, *, algorithm: str = "ES256") -> None:
        self.clock = clock or Clock()
        self.keys = {key.kid: key for key in [SigningKey(algorithm)]}
        self.current = next(iter(self.keys))
        self.requests: Counter[str] = Counter()
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.is_down = False
        self._open = threading.Event()
        self._open.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def issuer(self, **options: Any) -> Issuer:
        """How it is trusted; by discovery, unless a `jwks_url` or a `jwks_file` is given."""
        return Issuer(**{"url": self.url, "audience": AUDIENCE, **options})

    @property
    def key(self) -> SigningKey:
        """The key that signs."""
        return self.keys[self.current]

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return self.requests[KEYS]

    def publish(self, key: SigningKey) -> SigningKey:
        """Adds a key, which does not sign yet."""
        self.keys = {**self.keys, key.kid: key}
        return key

    def rotate(self, algorithm: str = "ES256") -> str:
        """Publishes a new key, then signs with it; the old ones stay. Answers with its id."""
        self.current = self.publish(SigningKey(algorithm)).kid
        return self.current

    def take_away(self, kid: str) -> SigningKey:
        """Publishes a key no more."""
        key = self.keys[kid]
        self.keys = {other: each for other, each in self.keys.items() if other != kid}
        return key

    def jwks(self) -> bytes:
        """What it publishes."""
        return json.dumps({"keys": [key.jwk for key in self.keys.values()]}).encode()

    def claims(self, **claims: Any) -> dict[str, Any]:
        """What it says about somebody, for the next hour; None leaves a claim out."""
        now = self.clock.now().timestamp()
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "somebody", "iat": now, "exp": now + 3600}
        return {name: value for name, value in {**usual, **claims}.items() if value is not None}

    def header(self, key: SigningKey | None = None, **headers: Any) -> dict[str, Any]:
        """The header of a token; None leaves a member out."""
        key = key or self.key
        usual = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
        return {name: value for name, value in {**usual, **headers}.items() if value is not None}

    def sign(self, *, key: SigningKey | None = None, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token, signed with the current key or another, with other headers and claims."""
        key = key or self.key
        algorithm = jwt.get_algorithm_by_name(key.algorithm)
        header, payload = self.header(key, **(headers or {})), self.claims(**claims)
        return forge(header, payload, lambda signed: algorithm.sign(signed, key.private))

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Answers nobody until it is over."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def close(self) -> None:
        """Stops serving."""
        self._open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        documents = {
            DISCOVERY: json.dumps({"issuer": self.url, "jwks_uri": self.url + KEYS}).encode(),
            KEYS: self.jwks(),
        }
        usual = (200, {"Content-Type": "application/json"}, documents[path]) if path in documents else (404, {}, b"")
        return self.answers.get(path, usual)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests[self.path] += 1
                provider._open.wait(PATIENCE)
                if not provider.is_down:
                    self._send(*provider._answer(self.path))

            def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Says nothing."""

        return Handler
