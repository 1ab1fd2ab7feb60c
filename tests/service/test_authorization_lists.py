"""Lists of who may do what: page by page, each in agreement with single questions."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode
from support.asking import EFFECTIVE, MEMBERS, ORGANIZATIONS, check, effective, every, members_with, organizations_with, refusal
from support.interleave import at_once
from support.world import AUDITOR, DEVELOPER, OWNER, World

from tenantry_server.domain.organizations import OrganizationState

READ, WRITE, DELETE, PAY, RULE = "sandbox:read", "sandbox:write", "sandbox:delete", "billing:read", "organization:delete"
BAD_TOKEN = refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields="page_token")


def test_all_permissions_of_somebody_are_those_that_are_answered_one_by_one(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER, AUDITOR)
    narrow = world.client(world.token(bo, permissions=[READ, DELETE, "audit-log:read"]))
    catalog = sorted(world.services.store.catalog.all)
    for client, subject in ((ana.rpc, {}), (bo.rpc, {}), (narrow, {}), (ana.rpc, {"subject": {"user_id": bo.id}})):
        held = [name for name in catalog if check(client, acme.id, name, **subject)]
        for size in (0, 1, 2, 7, 1000):
            assert every(client, EFFECTIVE, "permissions", page_size=size, organization_id=acme.id, **subject) == held
        page = client(EFFECTIVE, organization_id=acme.id, **subject)
        assert page.revision == world.revision(acme.id)


def test_members_with_a_permission_are_those_who_hold_it(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    payer = world.role(acme, ana, PAY, "sandbox:read")
    people = [ana, world.member(acme, ana, role=OWNER), *(world.member(acme, ana) for _ in range(3))]
    people += [world.member(acme, ana, *roles) for roles in ([DEVELOPER], [payer.id], [DEVELOPER, payer.id], [AUDITOR])]
    people += [world.member(acme, ana, DEVELOPER, payer.id, role=OWNER)]
    world.person()
    for permission in (READ, WRITE, PAY, "audit-log:read", RULE, "secret:purge", "sandbox:fly", "user:read"):
        holders = sorted(person.id for person in people if check(ana.rpc, acme.id, permission, subject={"user_id": person.id}))
        for size in (0, 1, 2, 3):
            assert members_with(ana.rpc, acme.id, permission, page_size=size) == holders


def test_a_permission_is_not_another_whose_name_it_is_part_of(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "project:update", "target:read")
    bo = world.member(acme, ana, role.id)
    for permission in ("project:update", "target:read"):
        assert members_with(ana.rpc, acme.id, permission) == sorted([ana.id, bo.id])
        assert organizations_with(bo.rpc, permission) == sorted([acme.id, bo.personal_organization_id])
    for permission in ("project:read", "target:update", "target:create"):
        assert members_with(ana.rpc, acme.id, permission) == [ana.id]
        assert organizations_with(bo.rpc, permission) == [bo.personal_organization_id]


def test_roles_of_another_organization_grant_nothing_here(world: World) -> None:
    ana, eve = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(eve)
    bo = world.member(acme, ana)
    world.join(birch, eve, bo, world.role(birch, eve, PAY).id)
    assert members_with(ana.rpc, acme.id, PAY) == [ana.id]
    assert organizations_with(bo.rpc, PAY) == sorted([birch.id, bo.personal_organization_id])


def test_organizations_that_grant_somebody_a_permission_are_those_in_which_they_hold_it(world: World) -> None:
    ana = world.person()
    many = [world.organization(ana) for _ in range(5)]
    bo = world.person()
    for organization, roles in zip(many, ([], [DEVELOPER], [world.role(many[2], ana, PAY).id], [AUDITOR], []), strict=True):
        world.join(organization, ana, bo, *roles)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=many[4].id)
    service = world.platform("authorization:check")
    everywhere = [organization.id for organization in many] + [bo.personal_organization_id]
    tokens = [bo.token, world.token(bo, permissions=[WRITE, "audit-log:read"]), world.token(bo, organization_id=many[1].id)]
    for permission in (READ, WRITE, PAY, "audit-log:read", RULE, "sandbox:fly"):
        for token in tokens:
            client = world.client(token)
            held = sorted(here for here in everywhere if check(client, here, permission))
            for size in (0, 1, 2):
                assert organizations_with(client, permission, page_size=size) == held
            assert organizations_with(service, permission, subject={"credential": token}) == held
        held = sorted(here for here in everywhere if check(service, here, permission, subject={"user_id": bo.id}))
        assert organizations_with(service, permission, subject={"user_id": bo.id}, page_size=2) == held


def test_an_organization_that_is_suspended_or_keeps_the_token_out_is_not_listed(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    bo = world.person()
    for organization in (acme, birch):
        world.join(organization, ana, bo)
    token_id = bo.rpc("ApiTokenService.GetCurrentApiToken").api_token.id
    ana.rpc("ApiTokenService.RevokeApiToken", organization_id=acme.id, api_token_id=token_id)
    other = world.client(world.token(bo))
    assert organizations_with(bo.rpc, READ) == sorted([birch.id, bo.personal_organization_id])
    assert organizations_with(other, READ) == sorted([acme.id, birch.id, bo.personal_organization_id])
    world.set_state(birch.id, OrganizationState.SUSPENDED)
    assert organizations_with(bo.rpc, READ) == [bo.personal_organization_id]


def test_members_are_listed_to_who_may_read_them_in_an_active_organization(world: World) -> None:
    ana, stranger = world.person(), world.person()
    acme = world.organization(ana)
    blind = world.client(world.token(ana, permissions=[WRITE]))
    asked = {"organization_id": acme.id, "permission": READ}
    missing = refusal(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", permissions="member:read")
    unseen = refusal(StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", organization_id=acme.id)
    assert blind.refusal(MEMBERS, **asked).seen == missing
    assert stranger.rpc.refusal(MEMBERS, **asked).seen == unseen
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    suspended = refusal(StatusCode.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED", organization_id=acme.id)
    assert ana.rpc.refusal(MEMBERS, **asked).seen == suspended


def test_a_page_token_is_good_for_its_own_list_alone(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    one: dict[str, Any] = {"page_size": 1}

    def first(method: str, **request: Any) -> str:
        return str(ana.rpc(method, **one, **request).next_page_token)

    permissions = first(EFFECTIVE, organization_id=acme.id)
    members = first(MEMBERS, organization_id=acme.id, permission=READ)
    organizations = first(ORGANIZATIONS, permission=READ)
    for method, request in (
        (EFFECTIVE, {"organization_id": birch.id, "page_token": permissions}),
        (EFFECTIVE, {"organization_id": acme.id, "subject": {"user_id": bo.id}, "page_token": permissions}),
        (EFFECTIVE, {"organization_id": acme.id, "page_token": members}),
        (MEMBERS, {"organization_id": acme.id, "permission": WRITE, "page_token": members}),
        (MEMBERS, {"organization_id": birch.id, "permission": READ, "page_token": members}),
        (ORGANIZATIONS, {"permission": WRITE, "page_token": organizations}),
        (ORGANIZATIONS, {"permission": READ, "subject": {"user_id": ana.id}, "page_token": organizations}),
    ):
        assert ana.rpc.refusal(method, **one, **request).seen == BAD_TOKEN
    stolen = bo.rpc.refusal(MEMBERS, organization_id=acme.id, permission=READ, page_token=members)
    assert stolen.seen == BAD_TOKEN


@pytest.mark.parametrize("size", [-1, 1001])
def test_a_page_has_a_size(world: World, size: int) -> None:
    ana = world.person()
    for method, request in (
        (EFFECTIVE, {"organization_id": ana.personal_organization_id}),
        (MEMBERS, {"organization_id": ana.personal_organization_id, "permission": READ}),
        (ORGANIZATIONS, {"permission": READ}),
    ):
        refused = ana.rpc.refusal(method, page_size=size, **request)
        assert refused.seen == refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields="page_size")


def test_lists_and_questions_at_once_do_not_mix(world: World) -> None:
    ana, eve = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(eve)
    payers = [world.member(acme, ana, world.role(acme, ana, PAY).id).id for _ in range(3)]

    def look_up() -> None:
        for _ in range(15):
            assert members_with(ana.rpc, acme.id, PAY, page_size=1) == sorted([ana.id, *payers])
            assert organizations_with(ana.rpc, PAY) == sorted([acme.id, ana.personal_organization_id])

    def ask() -> None:
        for _ in range(60):
            assert check(ana.rpc, acme.id, PAY)
            assert not check(ana.rpc, birch.id, PAY)
            assert not check(eve.rpc, acme.id, PAY)

    def list_hers() -> None:
        for _ in range(15):
            assert members_with(eve.rpc, birch.id, PAY) == [eve.id]
            assert effective(eve.rpc, acme.id) == []

    assert at_once(look_up, ask, list_hers, ask) == [None] * 4
