"""Negative controls: with a rule about tokens taken out, the breach that it prevents succeeds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.tokens import MINE, OURS, PLATFORM, is_good, mine, ours, platforms
from support.world import OWNER, World

from tenantry_server.domain import tokens
from tenantry_server.services import api_tokens, own_tokens, platform_tokens
from tenantry_server.services.api_tokens import ApiTokens
from tenantry_server.services.own_tokens import OwnTokens
from tenantry_server.store.people import ApiToken
from tenantry_server.store.queries import api_tokens as statements
from tenantry_server.store.statements import value

HOUR = timedelta(hours=1)
READ = "OrganizationService.GetOrganization"


@pytest.fixture
def own_world(deploy_own: Callable[..., World]) -> World:
    """A server for the test alone, whose data is not sound afterwards."""
    return deploy_own()


def allow(*arguments: Any, **named: Any) -> None:
    """A rule that lets everything pass."""


@pytest.mark.parametrize(
    "service", [own_tokens, api_tokens, platform_tokens], ids=lambda module: module.__name__.split(".")[-1]
)
def test_without_the_rule_a_narrow_token_makes_one_that_can_do_everything(
    world: World, monkeypatch: pytest.MonkeyPatch, service: Any
) -> None:
    monkeypatch.setattr(service, "ensure_may_grant", allow)
    ana = world.person()
    acme = world.organization(ana)
    if service is platform_tokens:
        made = platforms(world, world.platform("platform-token:create"))
    elif service is api_tokens:
        made = ours(world, mine(world, ana.rpc, "api-token:create").rpc, acme)
    else:
        made = mine(world, mine(world, ana.rpc, "api-token:create").rpc)
    assert made.token.unrestricted
    assert is_good(made.rpc)


def test_without_the_rules_a_token_that_ends_makes_and_gets_what_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = world.person()
    ending, lasting = mine(world, ana.rpc, expire_time=world.clock.now() + HOUR), mine(world, ana.rpc)
    monkeypatch.setattr(tokens, "ensure_ends_before", lambda principal, expire_time, now: expire_time)
    monkeypatch.setattr(tokens, "ensure_not_outlived_by", allow)
    got = [mine(world, ending.rpc).secret, ending.rpc(MINE.format("Rotate"), api_token_id=lasting.id).secret]
    with world.at(world.clock.now() + HOUR):
        assert [is_good(world.client(secret)) for secret in got] == [True, True]


def test_without_the_rule_an_organization_gets_a_secret_that_acts_for_a_person(
    own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = own_world
    ana, bo = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(bo)
    world.join(acme, ana, bo)
    made = mine(world, bo.rpc)
    monkeypatch.setattr(api_tokens, "ensure_of_organization", allow)
    stolen = ana.rpc(OURS.format("Rotate"), organization_id=acme.id, api_token_id=made.id).secret
    assert world.client(stolen)(READ, organization_id=birch.id).id == birch.id


def test_without_the_rules_tokens_of_others_are_read_and_rotated(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = own_world
    ana, eve = world.person(), world.person()
    birch = world.organization(eve)
    made, program = mine(world, ana.rpc), ours(world, ana.rpc, world.organization(ana))
    monkeypatch.setattr(ApiTokens, "_reaches", lambda self, token, organization_id: True)
    monkeypatch.setattr(OwnTokens, "_is_own", lambda self, call, token: True)
    key = {"organization_id": birch.id, "api_token_id": program.id}
    assert eve.rpc(OURS.format("Get"), **key).api_token.name == program.token.name
    assert is_good(world.client(eve.rpc(MINE.format("Rotate"), api_token_id=made.id).secret))


def test_without_the_rule_a_tenants_token_is_rotated_by_the_platform(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = own_world
    made = mine(world, world.person().rpc)
    monkeypatch.setattr(platform_tokens, "_of_platform", lambda token, api_token_id: token)
    stolen = world.platform()(PLATFORM.format("Rotate"), api_token_id=made.id).secret
    assert is_good(world.client(stolen))


def test_without_the_rule_a_bound_token_comes_back_with_its_owner(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    made = mine(world, bo.rpc, bound_to=acme)
    nothing = value(lambda: ApiToken.delete().where(ApiToken.id == "").returning(ApiToken.id))
    monkeypatch.setattr(statements, "END_BOUND", nothing)
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    world.join(acme, ana, bo, role=OWNER)
    assert made.rpc(READ, organization_id=acme.id)


def test_without_the_rule_a_platform_token_is_told_which_organizations_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = world.organization(world.person())
    monkeypatch.setattr(own_tokens, "PrincipalKind", type("NoKind", (), {"PLATFORM": object()}))
    told = world.platform()("ApiTokenService.GetCurrentApiToken", organization_id=acme.id)
    assert told.access.organization_id == acme.id
