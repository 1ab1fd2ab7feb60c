"""Tokens that reach an organization: its own, and its members', which it sees and ends but neither changes nor rotates."""

from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.tokens import (
    CURRENT,
    INVALID_CREDENTIAL,
    MINE,
    OURS,
    beyond,
    inaccessible,
    invalid,
    is_good,
    mine,
    ours,
    own_id,
    platforms,
    unknown,
)
from support.world import OWNER, Person, World

from tenantry_server.domain import ids

CREATE, GET, LIST = OURS.format("Create"), OURS.format("Get"), "ApiTokenService.ListApiTokens"
UPDATE, ROTATE, REVOKE = (OURS.format(verb) for verb in ("Update", "Rotate", "Revoke"))
READ, ROLE = "OrganizationService.GetOrganization", "RoleService.CreateRole"
OF_ONE = [(GET, {}), (UPDATE, {"name": "New"}), (ROTATE, {}), (REVOKE, {})]
YEAR = timedelta(days=365)
each_of_one = pytest.mark.parametrize(("method", "fields"), OF_ONE, ids=[method for method, _ in OF_ONE])


def of_person(token_id: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.PERMISSION_DENIED, "TOKEN_OF_PERSON", {"api_token_id": token_id}


def listed(client: Any, organization: Any) -> list[str]:
    return [token.id for token in client(LIST, organization_id=organization.id).api_tokens]


def own_ids(*people: Person) -> list[str]:
    """The tokens that people call with, in the order in which an organization lists them."""
    return [own_id(person.rpc) for person in sorted(people, key=lambda person: person.id)]


def test_organizations_token_is_as_it_was_asked_for(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    made = ours(world, ana.rpc, acme, "role:create", "sandbox:read", name="CI", description="What for")
    token = made.token
    assert (token.kind, token.name, token.description) == (2, "CI", "What for")
    assert (token.user_id, token.organization_id, token.creator_id) == ("", acme.id, ana.id)
    assert (token.unrestricted, list(token.granted_permissions)) == (False, ["role:create", "sandbox:read"])
    assert (token.hint, token.revision) == (made.secret[:12], world.revision(acme.id))
    answer = ana.rpc(GET, organization_id=acme.id, api_token_id=token.id)
    assert answer.api_token == token
    assert list(answer.access.permissions) == ["role:create", "sandbox:read"]
    role = made.rpc(ROLE, organization_id=acme.id, name="Ops", permissions=["sandbox:read"])
    assert role.name == "Ops"


def test_organizations_token_outlives_its_makers_removal_and_demotion(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    made = ours(world, bo.rpc, acme)
    update = {"organization_id": acme.id, "user_id": bo.id, "role": "MEMBER_ROLE_MEMBER"}
    for act, fields in (("MemberService.UpdateMemberAccess", update), ("MemberService.RemoveMember", {"user_id": bo.id})):
        ana.rpc(act, **{"organization_id": acme.id, **fields})
        assert made.rpc(ROLE, organization_id=acme.id, name="Ops", permissions=["billing:write"])
        assert ana.rpc(GET, organization_id=acme.id, api_token_id=made.id).access.withheld == []
    assert ana.rpc(GET, organization_id=acme.id, api_token_id=made.id).api_token.creator_id == bo.id


def test_only_who_holds_it_makes_a_token_of_it(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, "api-token:create", "sandbox:write")
    everything = world.services.store.catalog.all
    held = {*world.services.store.catalog.implicit, "api-token:create", "sandbox:write"}
    key = {"organization_id": acme.id, "name": "x"}
    with world.unchanged(acme):
        more = mia.rpc.refusal(CREATE, **key, permissions=["sandbox:write", "sandbox:delete", "billing:read"])
        all_ = mia.rpc.refusal(CREATE, **key, unrestricted=True)
    assert more.seen == beyond("billing:read", "sandbox:delete")
    assert all_.seen == beyond(*sorted(everything - held))
    assert ours(world, mia.rpc, acme, "sandbox:write").token.creator_id == mia.id


def test_only_who_holds_it_changes_rotates_or_prolongs_a_token_of_it(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, *(f"api-token:{verb}" for verb in ("create", "update", "delete")), "sandbox:write")
    narrow, broad = ours(world, ana.rpc, acme, "sandbox:write"), ours(world, ana.rpc, acme, "billing:read")
    key = {"organization_id": acme.id, "api_token_id": narrow.id}
    with world.unchanged(acme):
        widened = mia.rpc.refusal(UPDATE, **key, permissions=["billing:read", "sandbox:write"])
        rotated = mia.rpc.refusal(ROTATE, organization_id=acme.id, api_token_id=broad.id)
    assert widened.seen == rotated.seen == beyond("billing:read")
    assert mia.rpc(ROTATE, **key).secret
    end = world.clock.now()
    ana.rpc(UPDATE, organization_id=acme.id, api_token_id=broad.id, expire_time=end + YEAR)
    with world.unchanged(acme):
        for longer in ({"expire_time": end + 2 * YEAR}, {"update_mask": {"paths": ["expire_time"]}}):
            refusal = mia.rpc.refusal(UPDATE, organization_id=acme.id, api_token_id=broad.id, **longer)
            assert refusal.seen == beyond("billing:read")
    mia.rpc(REVOKE, organization_id=acme.id, api_token_id=broad.id)  # to end it takes no more than that
    assert not is_good(broad.rpc)


def test_narrowed_token_of_an_owner_makes_no_broader_one(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    narrow = mine(world, ana.rpc, "api-token:create", "sandbox:read")
    program = ours(world, ana.rpc, acme, "api-token:create", "sandbox:read")
    for client in (narrow.rpc, program.rpc):
        with world.unchanged(acme):
            all_ = client.refusal(CREATE, organization_id=acme.id, name="x", unrestricted=True)
            more = client.refusal(CREATE, organization_id=acme.id, name="x", permissions=["sandbox:write"])
        assert (all_.seen, more.seen) == (beyond("*"), beyond("sandbox:write"))
        assert ours(world, client, acme, "sandbox:read").token.organization_id == acme.id


def test_organization_sees_its_own_tokens_and_those_of_its_members_that_reach_it(world: World) -> None:
    ana, bo, eve = world.person(), world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(bo)
    world.join(acme, ana, bo)
    world.join(birch, bo, eve)
    program, bound = ours(world, ana.rpc, acme), mine(world, bo.rpc, bound_to=acme)
    reaching = [*sorted((program.id, bound.id)), *own_ids(ana, bo)]
    operators = platforms(world, world.platform())
    beyond_reach = [ours(world, bo.rpc, birch).id, mine(world, bo.rpc, bound_to=birch).id, own_id(eve.rpc), operators.id]
    assert listed(ana.rpc, acme) == reaching
    for token_id in reaching:
        assert ana.rpc(GET, organization_id=acme.id, api_token_id=token_id).api_token.id == token_id
    for token_id in beyond_reach:
        assert ana.rpc.refusal(GET, organization_id=acme.id, api_token_id=token_id).seen == unknown(token_id)


@each_of_one
def test_token_that_does_not_reach_the_organization_is_like_none(world: World, method: str, fields: dict[str, str]) -> None:
    ana, eve = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(eve)
    operators = platforms(world, world.platform())
    for made in (ours(world, ana.rpc, acme), mine(world, ana.rpc, bound_to=acme), mine(world, ana.rpc), operators):
        random = ids.new()
        with world.unchanged(acme, birch):
            foreign, none = (
                eve.rpc.refusal(method, organization_id=birch.id, api_token_id=token_id, **fields)
                for token_id in (made.id, random)
            )
            outside = eve.rpc.refusal(method, organization_id=acme.id, api_token_id=made.id, **fields)
        assert (foreign.seen, none.seen) == (unknown(made.id), unknown(random))
        assert foreign.message == none.message.replace(random, made.id)
        assert outside.seen == inaccessible(acme.id)
        assert is_good(made.rpc)


def test_persons_token_is_neither_changed_nor_rotated_by_the_organization(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    owns = [mine(world, ana.rpc, bound_to=acme), mine(world, ana.rpc)]  # not even one's own: there are other calls for it
    for made in (mine(world, bo.rpc, bound_to=acme), mine(world, bo.rpc), *owns):
        key = {"organization_id": acme.id, "api_token_id": made.id}
        with world.unchanged(acme):
            for method, fields in ((UPDATE, {"name": "New"}), (ROTATE, {})):
                assert ana.rpc.refusal(method, **key, **fields).seen == of_person(made.id)
        assert is_good(made.rpc)


def test_what_the_organization_revokes_of_its_own_or_bound_to_it_is_gone_at_once(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    for made in (ours(world, ana.rpc, acme), mine(world, bo.rpc, bound_to=acme)):
        assert made.rpc(READ, organization_id=acme.id)
        ana.rpc(REVOKE, organization_id=acme.id, api_token_id=made.id)
        assert made.rpc.refusal(READ, organization_id=acme.id).seen == INVALID_CREDENTIAL
        assert made.id not in listed(ana.rpc, acme)
        assert ana.rpc.refusal(REVOKE, organization_id=acme.id, api_token_id=made.id).seen == unknown(made.id)


def test_members_token_that_the_organization_revokes_is_kept_out_of_it_alone(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(bo)
    world.join(acme, ana, bo)
    made = mine(world, bo.rpc, "organization:read")
    ana.rpc(REVOKE, organization_id=acme.id, api_token_id=made.id)
    for method in (READ, ROLE):
        assert made.rpc.refusal(method, organization_id=acme.id).seen == inaccessible(acme.id)
    assert made.rpc(READ, organization_id=birch.id)
    assert made.id not in listed(ana.rpc, acme)
    for method, fields in OF_ONE:
        refusal = ana.rpc.refusal(method, organization_id=acme.id, api_token_id=made.id, **fields)
        assert refusal.seen == unknown(made.id)
    access = bo.rpc(MINE.format("Get"), api_token_id=made.id, organization_id=acme.id).access
    assert [(item.permission, item.reason) for item in access.withheld] == [("organization:read", 2)]
    assert bo.rpc(READ, organization_id=acme.id)
    assert made.rpc.refusal(CURRENT, organization_id=acme.id).seen == inaccessible(acme.id)


def test_token_that_is_kept_out_stays_out_when_its_owner_comes_back(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    made = mine(world, bo.rpc)
    ana.rpc(REVOKE, organization_id=acme.id, api_token_id=made.id)
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    world.join(acme, ana, bo, role=OWNER)
    assert made.rpc.refusal(READ, organization_id=acme.id).seen == inaccessible(acme.id)
    secret = bo.rpc(MINE.format("Rotate"), api_token_id=made.id).secret
    assert world.client(secret).refusal(READ, organization_id=acme.id).seen == inaccessible(acme.id)


def test_organizations_token_manages_what_reaches_its_organization_alone(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(bo)
    world.join(acme, ana, bo)
    program, elsewhere = ours(world, ana.rpc, acme), ours(world, bo.rpc, birch)
    assert listed(program.rpc, acme) == [program.id, *own_ids(ana, bo)]
    with world.unchanged(birch):
        assert program.rpc.refusal(LIST, organization_id=birch.id).seen == inaccessible(birch.id)
        refusal = program.rpc.refusal(REVOKE, organization_id=acme.id, api_token_id=elsewhere.id)
        assert refusal.seen == unknown(elsewhere.id)
    made = ours(world, program.rpc, acme)
    assert made.token.creator_id == acme.id
    program.rpc(REVOKE, organization_id=acme.id, api_token_id=program.id)
    assert not is_good(program.rpc)
    assert is_good(made.rpc)


def test_organizations_token_has_no_tokens_of_its_own(world: World) -> None:
    ana = world.person()
    program = ours(world, ana.rpc, world.organization(ana))
    refusal = program.rpc.refusal(MINE.format("Create"), name="x", unrestricted=True)
    expected = (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": "organization"})
    assert refusal.seen == expected


def test_permissions_that_a_member_cannot_have_are_named_by_their_places(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    permissions = ["user:read", "sandbox:read", "nothing:such"]
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(CREATE, organization_id=acme.id, name="x", permissions=permissions)
    assert refusal.seen == invalid("permissions[0]", "permissions[2]")
    assert set(refusal.violations.values()) == {"UNKNOWN_PERMISSION"}
