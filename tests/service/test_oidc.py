"""Signing in with real tokens of a real provider: signed, fetched, verified, and then a call like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.issuer import IdentityProvider, SigningKey
from support.tokens import INVALID_CREDENTIAL
from support.world import World, fresh

from tenantry_server.bootstrap import Server, Services
from tenantry_server.oidc.verifier import Verifier

CURRENT = "UserService.GetCurrentUser"


@pytest.fixture
def providers() -> Iterator[list[IdentityProvider]]:
    """Two providers."""
    made = [IdentityProvider(), IdentityProvider()]
    yield made
    for provider in made:
        provider.close()


@pytest.fixture
def world(providers: list[IdentityProvider], deploy_own: Callable[..., World]) -> World:
    """A server that trusts both; the providers' time is its own."""

    def make(services: Services, *, address: str) -> Server:
        issuers = [provider.issuer() for provider in providers]
        return Server(services, address=address, verifier=Verifier(issuers, services.store.clock))

    trusting = deploy_own(make=make)
    for provider in providers:
        provider.clock = trusting.clock
    return trusting


def says(email: str, **more: Any) -> dict[str, Any]:
    """What a provider says of somebody."""
    return {"sub": fresh("subject"), "email": email, "email_verified": True, "name": "Ana", **more}


def test_who_comes_with_a_token_of_a_provider_is_a_user_and_acts(world: World, providers: list[IdentityProvider]) -> None:
    claims = says(f"{fresh('Ana')}@Example.COM")
    client = world.client(providers[0].sign(**claims))
    user = client(CURRENT).user
    assert (user.email, user.email_verified, user.name) == (claims["email"].lower(), True, "Ana")
    assert [(one.issuer, one.subject) for one in user.identities] == [(providers[0].url, claims["sub"])]
    acme = client("OrganizationService.CreateOrganization", name="Acme")
    (event,) = client("AuditService.ListAuditEvents", organization_id=acme.id).events
    assert (event.actor.id, event.action) == (user.id, "organization.create")
    later = world.client(providers[0].sign(**claims, iat=world.clock.now().timestamp()))
    assert later(CURRENT).user.id == user.id
    assert world.breaches() == []


def test_what_nobody_signed_makes_nobody(world: World, providers: list[IdentityProvider]) -> None:
    claims, now = says("ana@example.com"), world.clock.now().timestamp()
    right = providers[0].sign(**claims)
    wrong = {
        "another's key": providers[0].sign(**claims, key=SigningKey("ES256", kid=providers[0].key.kid)),
        "another issuer's name": providers[0].sign(**claims, iss=providers[1].url),
        "an issuer that is not trusted": providers[0].sign(**claims, iss="https://evil.example"),
        "another audience": providers[0].sign(**claims, aud="https://other.example"),
        "over": providers[0].sign(**claims, exp=now - 1),
        "not begun": providers[0].sign(**claims, nbf=now + 100),
        "cut": right[:-8],
        "unsigned": right.rpartition(".")[0] + ".",
    }
    for what, token in wrong.items():
        assert world.client(token).refusal(CURRENT).seen == INVALID_CREDENTIAL, what
    assert raw.count(world.deployment.database, "users") == 0


def test_one_subject_of_two_providers_is_two_people_and_the_first_keeps_the_address(
    world: World, providers: list[IdentityProvider]
) -> None:
    claims = says("ana@example.com")
    first, second = (world.client(provider.sign(**claims))(CURRENT).user for provider in providers)
    assert first.id != second.id
    assert [first.email_verified, second.email_verified] == [True, False]
    assert world.breaches() == []


def test_a_token_that_is_over_is_over_with_the_next_call(world: World, providers: list[IdentityProvider]) -> None:
    client = world.client(providers[0].sign(**says("ana@example.com")))
    assert client(CURRENT).user.email == "ana@example.com"
    world.clock.advance(timedelta(hours=1))
    assert client.refusal(CURRENT).seen == INVALID_CREDENTIAL


def test_who_comes_while_the_keys_cannot_be_had_is_told_to_come_again(
    providers: list[IdentityProvider], deploy_own: Callable[..., World]
) -> None:
    down, up = providers
    down.is_down = True

    def make(services: Services, *, address: str) -> Server:
        issuers = [provider.issuer() for provider in providers]
        return Server(services, address=address, verifier=Verifier(issuers, services.store.clock))

    world = deploy_own(make=make)
    ana = world.person("ana")
    refusal = world.client(down.sign(**says("bo@example.com"))).refusal(CURRENT)
    assert refusal.seen == (StatusCode.UNAVAILABLE, "IDENTITY_PROVIDER_UNAVAILABLE", {"issuer": down.url})
    assert ana.rpc(CURRENT).user.id == ana.id
    assert world.client(up.sign(**says("cy@example.com")))(CURRENT).user.email == "cy@example.com"
