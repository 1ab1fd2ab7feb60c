"""API tokens: which credentials are accepted, until when, and that nothing tells their secrets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.rpc import Client
from support.world import MILLISECOND, World

from tenantry_server.domain import call as calls
from tenantry_server.domain.tokens import TokenKind, digest, mint
from tenantry_server.store.models import TABLES

CURRENT = "OrganizationService.GetCurrentOrganization"
NOTHING: dict[str, str] = {}
MISSING = (StatusCode.UNAUTHENTICATED, "MISSING_CREDENTIAL", NOTHING)
INVALID = (StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIAL", NOTHING)


def presenting(world: World, *values: str) -> Client:
    """A client that sends these authorization headers."""
    headers = tuple(("authorization", value) for value in values)
    return Client(world.deployment.channel, metadata=headers)


def ensure_invalid(client: Client) -> None:
    refusal = client.refusal(CURRENT)
    assert refusal.seen == INVALID
    assert refusal.trailing["www-authenticate"] == "Bearer"


def swapped(text: str, index: int) -> str:
    """The text with another letter at an index."""
    return text[:index] + ("a" if text[index] != "a" else "b") + text[index + 1 :]


def test_call_without_a_credential_is_refused(world: World) -> None:
    refusal = presenting(world).refusal(CURRENT)
    assert refusal.seen == MISSING
    assert refusal.trailing["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_scheme_is_read_in_any_casing(world: World, scheme: str) -> None:
    ana = world.person()
    assert presenting(world, f"{scheme} {ana.token}")(CURRENT).id == ana.personal_organization_id
    assert presenting(world, f"{scheme}   {ana.token} ")(CURRENT).id == ana.personal_organization_id


@pytest.mark.parametrize(
    "value",
    [
        *("", "{}", "Bearer", "Bearer ", "Bearer{}", "Basic {}", "Token {}", "Bearer: {}"),
        *("Bearer {} {}", "Bearer {},Bearer {}", 'Bearer "{}"'),
    ],
)
def test_other_schemes_and_shapes_are_refused(world: World, value: str) -> None:
    ensure_invalid(presenting(world, value.replace("{}", world.person().token)))


def test_two_credentials_are_refused_even_if_equal(world: World) -> None:
    ana, bo = world.person(), world.person()
    for second in (ana.token, bo.token, "nonsense"):
        ensure_invalid(presenting(world, f"Bearer {ana.token}", f"Bearer {second}"))
        ensure_invalid(presenting(world, f"Bearer {second}", f"Bearer {ana.token}"))
    ensure_invalid(presenting(world, f"Bearer {ana.token}", "Basic YTpi"))


def test_malformed_and_unknown_secrets_are_refused_alike(world: World) -> None:
    token = world.person().token
    wrong = [
        "x",
        token[:-1],
        token + "0",
        token.upper(),
        token.lower(),
        swapped(token, -1),  # a wrong checksum
        swapped(token, 20),  # another secret, so a wrong checksum too
        token.replace("tnt_usr_", "tnt_org_"),
        token.replace("tnt_usr_", "tnt_xyz_"),
        mint(TokenKind.USER),  # well-formed, but never given out
        mint(TokenKind.ORGANIZATION),
        digest(token) or "",
        "tnt_usr_" + "0" * 49,
        "' OR 1=1 --",
    ]
    for secret in wrong:
        ensure_invalid(world.client(secret))


def test_token_expires_to_the_millisecond(world: World) -> None:
    ana = world.person()
    start = datetime.now(UTC) + timedelta(minutes=1)
    with world.at(start):
        made = world.clock.now()
        client = world.client(world.token(ana, lifetime=timedelta(hours=1)))
    with world.at(made + timedelta(hours=1) - MILLISECOND):
        assert client(CURRENT).id == ana.personal_organization_id
    for late in (timedelta(), MILLISECOND, timedelta(days=999)):
        with world.at(made + timedelta(hours=1) + late):
            ensure_invalid(client)


@pytest.mark.parametrize("kind", ["person", "person, bound", "organization"])
def test_every_kind_of_token_expires(world: World, kind: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    person, bound = (None if kind == "organization" else ana), ("" if kind == "person" else acme.id)
    client = world.client(world.token(person, organization_id=bound, lifetime=timedelta(minutes=1)))
    read = "OrganizationService.GetOrganization"
    assert client(read, organization_id=acme.id)
    with world.at(datetime.now(UTC) + timedelta(minutes=2)):
        assert client.refusal(read, organization_id=acme.id).seen == INVALID


def test_token_without_a_lifetime_does_not_expire(world: World) -> None:
    ana = world.person()
    with world.at(datetime.now(UTC) + timedelta(days=3650)):
        assert ana.rpc(CURRENT).id == ana.personal_organization_id


def test_credential_comes_before_everything_else(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    for organization_id in (acme.id, "no id at all"):
        for method in ("OrganizationService.GetOrganization", "OrganizationService.DeleteOrganization"):
            assert presenting(world).refusal(method, organization_id=organization_id).seen == MISSING
            assert world.client("x").refusal(method, organization_id=organization_id).seen == INVALID


def test_database_keeps_digests_and_no_secrets(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    secrets = [ana.token, world.token(ana, organization_id=acme.id), world.token(organization_id=acme.id)]
    kept: list[Any] = []
    with world.deployment.database.reading():
        for table in TABLES:
            kept += table.select().tuples().execute(world.deployment.database)
    text = str(kept)
    for secret in secrets:
        assert str(digest(secret)) in text
        assert secret not in text
        assert secret[8:] not in text


def test_neither_answers_nor_refusals_nor_the_audit_trail_tell_a_secret(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    secret = world.token(organization_id=acme.id, permissions=["role:create"])
    client = world.client(secret)
    seen = [client(CURRENT), *world.events(acme, ana)]
    seen += [client.refusal("RoleService.CreateRole", organization_id=acme.id, name="Ops", permissions=["sandbox:read"])]
    seen += [world.client(swapped(secret, -1)).refusal(CURRENT)]
    assert secret[8:-1] not in "".join(
        f"{thing} {getattr(thing, 'details', '')} {getattr(thing, 'trailing', '')}" for thing in seen
    )


def test_secret_is_shown_when_it_is_made_and_in_no_representation(world: World) -> None:
    ana = world.person()
    made = world.services.api_tokens.provision(calls.operator("test"), user_id=ana.id)
    assert world.client(made.secret)(CURRENT).id == ana.personal_organization_id
    assert made.secret not in f"{made!r} {made}"
