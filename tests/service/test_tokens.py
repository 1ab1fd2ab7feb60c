"""API tokens: which credentials are accepted, until when, and that nothing tells their secrets."""

import hashlib
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.rpc import Client, Refused
from support.sql import Heard
from support.tokens import MINE, OURS, PLATFORM, Made, is_good, mine, ours, platforms
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
    """The text with another letter at an index, counted from its end if it is negative."""
    index %= len(text)
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


@pytest.mark.parametrize("size", [1_000, 16_000])
@pytest.mark.parametrize("start", ["tnt_usr_", "eyJ.a.", ""])
def test_long_nonsense_is_refused(world: World, size: int, start: str) -> None:
    ensure_invalid(world.client((start + "0" * size)[:size]))
    ensure_invalid(world.client(world.person().token + "0" * size))


def test_nonsense_that_no_call_can_carry_harms_nobody(world: World) -> None:
    """The transport refuses it, before the server sees it, and says why."""
    ana = world.person()
    with pytest.raises(Refused) as refused:
        world.client("tnt_usr_" + "0" * (256 << 10))(CURRENT)
    assert refused.value.code == StatusCode.RESOURCE_EXHAUSTED
    assert "received metadata size exceeds hard limit" in refused.value.message
    assert ana.rpc(CURRENT).id == ana.personal_organization_id


Maker = Callable[[World], tuple[Made, Made]]


def _persons(world: World) -> tuple[Made, Made]:
    """A token, and the same one rotated."""
    ana = world.person()
    made = mine(world, ana.rpc)
    return made, _rotated(world, ana.rpc, MINE, api_token_id=made.id)


def _organizations(world: World) -> tuple[Made, Made]:
    ana = world.person()
    acme = world.organization(ana)
    made = ours(world, ana.rpc, acme)
    return made, _rotated(world, ana.rpc, OURS, api_token_id=made.id, organization_id=acme.id)


def _platforms(world: World) -> tuple[Made, Made]:
    client = world.platform()
    made = platforms(world, client)
    return made, _rotated(world, client, PLATFORM, api_token_id=made.id)


def _rotated(world: World, client: Client, service: str, **fields: str) -> Made:
    answer = client(service.format("Rotate"), **fields, overlap=timedelta(hours=1))
    return Made(answer.api_token, answer.secret, world.client(answer.secret))


every_kind = pytest.mark.parametrize(("kind", "make"), [("usr", _persons), ("org", _organizations), ("plt", _platforms)])


@every_kind
def test_secret_has_the_form_that_scanners_look_for_and_a_good_checksum(world: World, kind: str, make: Maker) -> None:
    for made in make(world):
        assert re.fullmatch(r"tnt_(usr|org|plt)_[0-9A-Za-z]{49}", made.secret)
        assert made.secret.startswith(f"tnt_{kind}_")
        assert made.secret.endswith(checksum(made.secret[:-6]))
        assert made.token.hint == made.secret[:12]
        assert is_good(made.rpc)


@every_kind
def test_only_the_digest_of_a_secret_is_kept(world: World, kind: str, make: Maker) -> None:
    first, second = make(world)
    kept = repr(raw.snapshot(world.deployment.url))
    for made in (first, second):
        assert hashlib.sha256(made.secret.encode()).hexdigest() in kept
        assert made.secret[12:] not in kept
        assert made.secret[8:-6] not in kept


@every_kind
def test_right_beginning_with_a_wrong_rest_is_refused_like_anything_else(world: World, kind: str, make: Maker) -> None:
    """The look-up is by digest: nothing is compared character by character, so nothing can be guessed by its time."""
    made, _ = make(world)
    strangers = mint(TokenKind(kind))
    heard = []
    for kept in (12, 30, 49, len(made.secret) - 7):
        body = swapped(made.secret[: kept + 1] + strangers[kept + 1 : -6], kept)
        with Heard(world.deployment.database) as statements:
            ensure_invalid(world.client(body + checksum(body)))
        heard.append(selects(statements))
    with Heard(world.deployment.database) as statements:
        ensure_invalid(world.client(strangers))
    assert heard == [selects(statements)] * 4
    (select,) = heard[0]
    assert re.search(r'WHERE \("\w+"\."digest" = (\?|%s)\)$', select)


def selects(heard: Heard) -> list[str]:
    """What was read; the server writes when tokens were last used whenever it likes."""
    return [sql for sql in heard.statements if sql.startswith("SELECT")]


def checksum(body: str) -> str:
    """The CRC-32 in base62, as the documentation says."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = zlib.crc32(body.encode())
    return "".join(digits[number // 62**place % 62] for place in reversed(range(6)))


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
