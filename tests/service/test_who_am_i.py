"""Who the caller is, and what is within reach: for each kind of credential what it stands for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode
from support.interleave import Background, Stop
from support.operators import delete_user, read_user
from support.rpc import Client
from support.sign_in import Office
from support.tokens import INVALID_CREDENTIAL
from support.world import AUDITOR, OWNER, World

from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.store.queries import users

pytest_plugins = ("support.sign_in",)

CURRENT = "UserService.GetCurrentUser"
USER, USER_IN_ORGANIZATION, ORGANIZATION, PLATFORM = 1, 2, 3, 4
NO_ROLE, AS_OWNER, AS_MEMBER = 0, 1, 2


def reach(client: Client) -> dict[str, int]:
    """The standing in each organization within reach, by id."""
    found = client(CURRENT).organizations
    assert [one.organization.id for one in found] == sorted(one.organization.id for one in found)
    return {one.organization.id: one.role for one in found}


def narrowed(client: Client) -> tuple[bool, list[str]]:
    answer = client(CURRENT)
    return answer.unrestricted, list(answer.permissions)


def test_a_person_reaches_all_their_organizations(world: World) -> None:
    ana, bo = world.person("ana"), world.person("bo")
    own, his, suspended, deleted = (world.organization(who) for who in (ana, bo, ana, ana))
    world.join(his, bo, ana, AUDITOR)
    world.set_state(suspended.id, OrganizationState.SUSPENDED)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=deleted.id)
    answer = ana.rpc(CURRENT)
    assert (answer.principal_kind, answer.unrestricted, list(answer.permissions)) == (USER, True, [])
    assert answer.user == read_user(world.platform(), ana)
    expected = {own.id: AS_OWNER, his.id: AS_MEMBER, suspended.id: AS_OWNER, ana.personal_organization_id: AS_OWNER}
    assert reach(ana.rpc) == expected
    (here,) = [one.organization for one in answer.organizations if one.organization.id == own.id]
    assert here == ana.rpc("OrganizationService.GetOrganization", organization_id=own.id)


def test_a_narrow_token_tells_what_it_narrows_to(world: World) -> None:
    ana = world.person("ana")
    client = world.client(world.token(ana, permissions=["sandbox:read", "member:read"]))
    assert narrowed(client) == (False, ["member:read", "sandbox:read"])
    assert reach(client) == {ana.personal_organization_id: AS_OWNER}


def test_a_bound_token_of_a_person_reaches_the_one_organization(world: World) -> None:
    ana, bo = world.person("ana"), world.person("bo")
    acme = world.organization(bo)
    world.join(acme, bo, ana)
    client = world.client(world.token(ana, organization_id=acme.id))
    answer = client(CURRENT)
    assert (answer.principal_kind, answer.user.id) == (USER_IN_ORGANIZATION, ana.id)
    assert reach(client) == {acme.id: AS_MEMBER}
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    assert reach(client) == {acme.id: AS_MEMBER}
    world.set_state(acme.id, OrganizationState.ACTIVE)
    bo.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    assert reach(client) == {}
    bo.rpc("OrganizationService.UndeleteOrganization", organization_id=acme.id)
    bo.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=ana.id)
    assert client.refusal(CURRENT).seen == INVALID_CREDENTIAL


def test_an_organizations_own_token_is_nobody(world: World) -> None:
    ana = world.person("ana")
    acme = world.organization(ana)
    client = world.client(world.token(organization_id=acme.id, permissions=["member:read"]))
    answer = client(CURRENT)
    assert (answer.principal_kind, answer.HasField("user")) == (ORGANIZATION, False)
    assert reach(client) == {acme.id: NO_ROLE}
    assert narrowed(client) == (False, ["member:read"])
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    assert reach(client) == {}


@pytest.mark.parametrize("permissions", [(), ("user:read", "user:create")])
def test_the_platform_is_nobody_and_reaches_no_organization(world: World, permissions: tuple[str, ...]) -> None:
    client = world.platform(*permissions)
    answer = client(CURRENT)
    assert (answer.principal_kind, answer.HasField("user")) == (PLATFORM, False)
    assert reach(client) == {}
    assert narrowed(client) == (not permissions, sorted(permissions))


def test_who_signed_in_is_a_person_like_others(office: Office) -> None:
    ana, bo = office.stranger().person(), office.person("bo")
    acme = office.organization(bo)
    office.join(acme, bo, ana, role=OWNER)
    answer = ana.rpc(CURRENT)
    assert (answer.principal_kind, answer.user.id) == (USER, ana.id)
    assert narrowed(ana.rpc) == (True, [])
    assert reach(ana.rpc) == {acme.id: AS_OWNER, ana.personal_organization_id: AS_OWNER}
    assert reach(office.client(office.token(ana))) == reach(ana.rpc)


def test_nothing_is_told_of_organizations_that_are_not_within_reach(world: World) -> None:
    ana, bo = world.person("ana"), world.person("bo")
    secret = world.organization(bo, "Secret")
    world.invite(secret, bo, ana.email)
    for client in (ana.rpc, world.platform(), world.client(world.token(organization_id=ana.personal_organization_id))):
        answer: Any = client(CURRENT)
        assert secret.id not in str(answer)
        assert "Secret" not in str(answer)


@pytest.mark.parametrize("token", ["", "tnt_usr_nobody", "a.b.c"])
def test_nobody_is_nobody(world: World, token: str) -> None:
    refusal = world.client(token).refusal(CURRENT)
    assert refusal.seen == (INVALID_CREDENTIAL if token else (StatusCode.UNAUTHENTICATED, "MISSING_CREDENTIAL", {}))


def test_who_is_deleted_while_asking_is_nobody(world: World) -> None:
    ana, client = world.person("ana"), world.platform()
    with Stop(world.deployment.database, users.GET) as stop:
        asking = Background(lambda: ana.rpc(CURRENT))
        stop.wait()
        delete_user(client, ana)
        stop.go()
        assert asking.result().seen == INVALID_CREDENTIAL
