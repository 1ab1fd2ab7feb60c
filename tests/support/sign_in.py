"""People who come with a token of an identity provider. A plugin: `pytest_plugins = ("support.sign_in",)`.

What the tokens say is made up here; that real ones say it is another layer's business.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import grpc
import pytest

from tenantry_server.bootstrap import Server
from tenantry_server.domain.errors import IdentityProviderUnavailable, InvalidCredential
from tenantry_server.oidc.claims import Claims
from tenantry_server.oidc.verifier import Verifier

from .deployment import Deployment, deploy
from .engines import Engines
from .rpc import Client, Refused
from .world import Person, World, fresh

ISSUER = "https://login.example"
_NUMBERS = itertools.count(1)


class FakeVerifier(Verifier):
    """Knows the tokens that it made itself. `is_down` is the name of a provider whose keys cannot be had."""

    def __init__(self) -> None:
        self._claims: dict[str, Claims] = {}
        self.is_down = ""

    def start(self) -> None:
        """Fetches nothing."""

    def close(self) -> None:
        """Has nothing to close."""

    def verify(self, token: str) -> Claims:
        claims = self._claims.get(token)
        if claims is None:
            raise InvalidCredential
        if claims.issuer == self.is_down:
            raise IdentityProviderUnavailable(issuer=claims.issuer)
        return claims

    def sign(self, claims: Claims) -> str:
        """A token."""
        token = f"header.payload{next(_NUMBERS)}.signature"
        self._claims[token] = claims
        return token


@dataclass(frozen=True)
class Stranger:
    """Somebody as a provider knows them; each change of what it says makes another."""

    office: Office
    claims: Claims

    @property
    def token(self) -> str:
        """A token that says so."""
        return self.office.verifier.sign(self.claims)

    @property
    def rpc(self) -> Client:
        """A client with such a token."""
        return self.office.client(self.token)

    def says(self, **claims: Any) -> Stranger:
        """The same person, of whom the provider says something else."""
        return Stranger(self.office, replace(self.claims, **claims))

    def sign_in(self) -> Any:
        """The user that they are."""
        return self.rpc("UserService.GetCurrentUser").user

    def person(self) -> Person:
        """Who they are once they have signed in."""
        user, token = self.sign_in(), self.token
        return Person(user.id, user.email, user.personal_organization_id, token, self.office.client(token))


class Office(World):
    """A world whose server trusts identity providers."""

    def __init__(self, deployment: Deployment, verifier: FakeVerifier) -> None:
        super().__init__(deployment)
        self.verifier = verifier

    def stranger(self, *, issuer: str = ISSUER, subject: str = "", email: str | None = "", verified: bool = True) -> Stranger:
        """Somebody whom a provider vouches for, under a subject and an address that nobody else has, unless said."""
        subject = subject or fresh("subject")
        address = f"{subject.lower()}@example.com" if email == "" else email
        end = datetime(2999, 1, 1, tzinfo=UTC)
        claims = Claims(
            issuer=issuer,
            subject=subject,
            email=address,
            email_verified=verified and address is not None,
            name="Stranger",
            issue_time=None,
            expire_time=end,
        )
        return Stranger(self, claims)

    @contextmanager
    def without_providers(self) -> Iterator[Callable[[str], Client]]:
        """Another server of the same database, which trusts nobody; makes clients of it by their credentials."""
        server = Server(self.services, address="127.0.0.1:0")
        server._server.start()
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield lambda token: Client(channel, token)
        server._server.stop(grace=1).wait()


def patiently(act: Callable[[], Any]) -> Callable[[], Any]:
    """The act, repeated for as long as the server's queue has no room for so many."""

    def run() -> Any:
        while True:
            try:
                return act()
            except Refused as refusal:
                if refusal.reason != "OVERLOADED":
                    raise
                time.sleep(0.01)

    return run


def open_office(engine: str, url: str, **options: Any) -> Office:
    """A server of its own that trusts identity providers."""
    verifier = FakeVerifier()
    return Office(deploy(engine, url, make=partial(Server, verifier=verifier), **options), verifier)


@pytest.fixture(scope="session")
def _offices(engines: Engines) -> Iterator[dict[str, Office]]:
    running: dict[str, Office] = {}
    yield running
    for office in running.values():
        office.deployment.close()


@pytest.fixture
def office(engine: str, engines: Engines, _offices: dict[str, Office]) -> Iterator[Office]:
    """The shared server of an engine that trusts identity providers."""
    if engine not in _offices:
        _offices[engine] = open_office(engine, engines.new(engine))
    yield _offices[engine]
    _offices[engine].verifier.is_down = ""


@pytest.fixture
def own_office(engine: str, engines: Engines) -> Iterator[Callable[..., Office]]:
    """Makes such servers of the test's own."""
    made: list[Office] = []

    def make(**options: Any) -> Office:
        made.append(open_office(engine, engines.new(engine), **options))
        return made[-1]

    yield make
    for one in made:
        one.deployment.close()
