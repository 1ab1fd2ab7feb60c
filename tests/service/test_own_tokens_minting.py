"""What a person's credential can make of itself: never a token that can do more, reaches further or lasts longer."""

from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.tokens import CURRENT, MINE, OURS, beyond, corrupt, inaccessible, invalid, is_good, mine, missing, ours
from support.world import MILLISECOND, World

from tenantry_server.domain.organizations import OrganizationState

CREATE, GET = MINE.format("Create"), MINE.format("Get")
UPDATE, ROTATE = MINE.format("Update"), MINE.format("Rotate")
MANAGING = ("api-token:create", "api-token:read", "api-token:update", "api-token:delete")
HOUR = timedelta(hours=1)


def granted(world: World, person: Any, token_id: str) -> list[str]:
    token = person.rpc(GET, api_token_id=token_id).api_token
    return ["*"] if token.unrestricted else list(token.granted_permissions)


@pytest.mark.parametrize("bound", [False, True])
def test_narrow_token_makes_none_that_can_do_more(world: World, *, bound: bool) -> None:
    ana = world.person()
    acme = world.organization(ana) if bound else None
    narrow = mine(world, ana.rpc, *MANAGING, "sandbox:read", bound_to=acme)
    fields = {"name": "x", **({"organization_id": acme.id} if acme else {})}
    everything = narrow.rpc.refusal(CREATE, **fields, unrestricted=True)
    more = narrow.rpc.refusal(CREATE, **fields, permissions=["sandbox:write", "sandbox:read", "billing:read"])
    assert everything.seen == beyond("*")
    assert more.seen == beyond("billing:read", "sandbox:write")
    assert granted(world, ana, mine(world, narrow.rpc, "sandbox:read", bound_to=acme).id) == ["sandbox:read"]


@pytest.mark.parametrize("bound", [False, True])
def test_narrow_token_changes_none_into_one_that_can_do_more(world: World, *, bound: bool) -> None:
    ana = world.person()
    acme = world.organization(ana) if bound else None
    narrow = mine(world, ana.rpc, *MANAGING, "sandbox:read", bound_to=acme)
    other = mine(world, ana.rpc, "sandbox:read", bound_to=acme)
    for token_id in (other.id, narrow.id):
        before = granted(world, ana, token_id)
        everything = narrow.rpc.refusal(UPDATE, api_token_id=token_id, unrestricted=True)
        more = narrow.rpc.refusal(UPDATE, api_token_id=token_id, permissions=["sandbox:read", "billing:read"])
        assert (everything.seen, more.seen) == (beyond("*"), beyond("billing:read"))
        assert granted(world, ana, token_id) == before


@pytest.mark.parametrize("bound", [False, True])
def test_narrow_token_gets_no_secret_of_one_that_can_do_more(world: World, *, bound: bool) -> None:
    ana = world.person()
    acme = world.organization(ana) if bound else None
    narrow = mine(world, ana.rpc, *MANAGING, "sandbox:read", bound_to=acme)
    everything = mine(world, ana.rpc, bound_to=acme)
    more = mine(world, ana.rpc, "sandbox:read", "sandbox:write", bound_to=acme)
    as_much = mine(world, ana.rpc, "sandbox:read", bound_to=acme)
    assert narrow.rpc.refusal(ROTATE, api_token_id=everything.id).seen == beyond("*")
    assert narrow.rpc.refusal(ROTATE, api_token_id=more.id).seen == beyond("sandbox:write")
    assert is_good(everything.rpc)
    assert is_good(more.rpc)
    assert narrow.rpc(ROTATE, api_token_id=as_much.id).secret


def test_narrow_token_keeps_none_that_can_do_more_alive_for_longer(world: World) -> None:
    ana = world.person()
    narrow = mine(world, ana.rpc, *MANAGING)
    broad = mine(world, ana.rpc, "sandbox:write", expire_time=world.clock.now() + HOUR)
    later = {"expire_time": world.clock.now() + 2 * HOUR}
    with world.at(world.clock.now() + HOUR):
        assert not is_good(broad.rpc)
        for fields in (later, {"update_mask": {"paths": ["expire_time"]}}):
            refusal = narrow.rpc.refusal(UPDATE, api_token_id=broad.id, **fields)
            assert refusal.seen == beyond("sandbox:write")
        assert not is_good(broad.rpc)
        assert ana.rpc(UPDATE, api_token_id=broad.id, **later)
        assert is_good(broad.rpc)
    sooner = narrow.rpc(UPDATE, api_token_id=broad.id, expire_time=broad.token.expire_time)
    assert sooner.api_token.expire_time == broad.token.expire_time


def test_token_that_ends_makes_none_that_outlives_it(world: World) -> None:
    ana = world.person()
    end = world.clock.now() + HOUR
    ending = mine(world, ana.rpc, expire_time=end)
    refusal = ending.rpc.refusal(CREATE, name="x", unrestricted=True, expire_time=end + MILLISECOND)
    assert refusal.seen == invalid("expire_time")
    assert refusal.violations == {"expire_time": "EXPIRE_TIME"}
    assert mine(world, ending.rpc).token.expire_time == ending.token.expire_time
    assert mine(world, ending.rpc, expire_time=end).token.expire_time == ending.token.expire_time
    sooner = mine(world, ending.rpc, expire_time=end - MILLISECOND).token.expire_time
    assert sooner.ToMilliseconds() == ending.token.expire_time.ToMilliseconds() - 1


def test_token_that_ends_lets_none_outlive_it_by_a_change(world: World) -> None:
    ana = world.person()
    end = world.clock.now() + HOUR
    ending = mine(world, ana.rpc, expire_time=end)
    other = mine(world, ana.rpc, expire_time=end - HOUR / 2)
    for token_id in (other.id, ending.id):
        refusal = ending.rpc.refusal(UPDATE, api_token_id=token_id, expire_time=end + MILLISECOND)
        assert refusal.seen == invalid("expire_time")
        cleared = ending.rpc(UPDATE, api_token_id=token_id, update_mask={"paths": ["expire_time"]})
        assert cleared.api_token.expire_time == ending.token.expire_time


def test_token_that_ends_makes_none_that_outlives_it_do_more(world: World) -> None:
    ana = world.person()
    ending = mine(world, ana.rpc, expire_time=world.clock.now() + HOUR)
    lasting = mine(world, ana.rpc, "sandbox:read", "sandbox:write")
    for wider in ({"unrestricted": True}, {"permissions": ["sandbox:read", "billing:read"]}):
        refusal = ending.rpc.refusal(UPDATE, api_token_id=lasting.id, **wider)
        assert refusal.seen == invalid("api_token_id")
        assert refusal.violations == {"api_token_id": "EXPIRE_TIME"}
    assert ending.rpc(UPDATE, api_token_id=lasting.id, permissions=["sandbox:read"], name="Less").api_token.name == "Less"


def test_token_that_ends_gets_no_secret_of_one_that_outlives_it(world: World) -> None:
    ana = world.person()
    end = world.clock.now() + HOUR
    ending, lasting = mine(world, ana.rpc, expire_time=end), mine(world, ana.rpc)
    later = mine(world, ana.rpc, expire_time=end + MILLISECOND)
    for outliving in (lasting, later):
        refusal = ending.rpc.refusal(ROTATE, api_token_id=outliving.id)
        assert refusal.seen == invalid("api_token_id")
        assert refusal.violations == {"api_token_id": "EXPIRE_TIME"}
        assert is_good(outliving.rpc)
    assert ending.rpc(ROTATE, api_token_id=ending.id).api_token.expire_time == ending.token.expire_time


def test_bound_token_is_granted_what_its_owner_holds_there_at_most(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member_with(acme, ana, "sandbox:write")
    fields = {"name": "x", "organization_id": acme.id}
    with world.unchanged(acme):
        refusal = bo.rpc.refusal(CREATE, **fields, permissions=["sandbox:write", "sandbox:delete", "billing:read"])
    assert refusal.seen == beyond("billing:read", "sandbox:delete")
    made = mine(world, bo.rpc, "sandbox:write", bound_to=acme)
    with world.unchanged(acme):
        refusal = bo.rpc.refusal(UPDATE, api_token_id=made.id, permissions=["sandbox:write", "sandbox:delete"])
    assert refusal.seen == beyond("sandbox:delete")
    everything = mine(world, bo.rpc, bound_to=acme)
    assert list(everything.rpc(CURRENT).access.permissions) == sorted({"sandbox:write", *world.services.store.catalog.implicit})


@pytest.mark.parametrize("state", [OrganizationState.SUSPENDED, OrganizationState.DELETED])
def test_nothing_is_granted_in_an_organization_that_is_not_active(world: World, state: OrganizationState) -> None:
    ana = world.person()
    acme = world.organization(ana)
    made = mine(world, ana.rpc, "sandbox:read", bound_to=acme)
    if state is OrganizationState.SUSPENDED:
        world.set_state(acme.id, state)
        expected = (StatusCode.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED", {"organization_id": acme.id})
    else:
        ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
        expected = inaccessible(acme.id)
    with world.unchanged(acme):
        create = ana.rpc.refusal(CREATE, organization_id=acme.id, name="x", unrestricted=True)
        widen = ana.rpc.refusal(UPDATE, api_token_id=made.id, permissions=["sandbox:read", "sandbox:write"])
    assert create.seen == widen.seen == expected


@pytest.mark.parametrize("method", [CREATE, UPDATE])
def test_permissions_that_there_are_not_are_named_by_their_places(world: World, method: str) -> None:
    ana = world.person()
    token = {} if method == CREATE else {"api_token_id": mine(world, ana.rpc, "sandbox:read").id}
    permissions = ["user:read", "sandbox:read", "nothing:such", "platform-token:create"]
    refusal = ana.rpc.refusal(method, name="x", permissions=permissions, **token)
    assert refusal.seen == invalid("permissions[0]", "permissions[2]", "permissions[3]")
    assert set(refusal.violations.values()) == {"UNKNOWN_PERMISSION"}


def test_token_says_what_it_narrows_to_or_that_it_narrows_nothing(world: World) -> None:
    ana = world.person()
    both = ana.rpc.refusal(CREATE, name="x", unrestricted=True, permissions=["sandbox:read"])
    neither = ana.rpc.refusal(CREATE, name="x")
    assert both.seen == neither.seen == invalid("permissions")
    assert (both.violations, neither.violations) == ({"permissions": "UNRESTRICTED"}, {"permissions": "NO_PERMISSION"})
    made = mine(world, ana.rpc, "sandbox:read")
    for fields in ({"unrestricted": False}, {"update_mask": {"paths": ["permissions"]}}):
        assert ana.rpc.refusal(UPDATE, api_token_id=made.id, **fields).seen == invalid("permissions")
    twice = ana.rpc.refusal(CREATE, name="x", permissions=["sandbox:read", "sandbox:read"])
    assert (twice.seen, twice.violations) == (invalid("permissions"), {"permissions": "REPEATED_TOKEN_PERMISSIONS"})


def test_token_with_a_permission_that_there_is_no_more_can_be_rotated_by_who_is_not_narrowed(world: World) -> None:
    ana = world.person()
    old, narrow = mine(world, ana.rpc, "sandbox:read"), mine(world, ana.rpc, *MANAGING, "sandbox:read")
    corrupt(world, old.id, "permissions", "gone:away sandbox:read")
    assert narrow.rpc.refusal(ROTATE, api_token_id=old.id).seen == beyond("gone:away")
    assert ana.rpc(ROTATE, api_token_id=old.id).secret
    corrupt(world, old.id, "permissions", "sandbox:read")


def test_personal_token_manages_the_organizations_tokens_by_permission_alone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member_with(acme, ana, "sandbox:write")
    made = ours(world, ana.rpc, acme, "sandbox:read")
    one = {"organization_id": acme.id, "api_token_id": made.id}
    calls = [
        (OURS.format("Create"), {"organization_id": acme.id, "name": "x", "permissions": ["sandbox:read"]}, MANAGING[:1]),
        (OURS.format("Get"), one, MANAGING[1:2]),
        ("ApiTokenService.ListApiTokens", {"organization_id": acme.id}, MANAGING[1:2]),
        (OURS.format("Update"), {**one, "name": "New"}, MANAGING[2:3]),
        (OURS.format("Rotate"), one, (MANAGING[0], MANAGING[3])),
        (OURS.format("Revoke"), one, MANAGING[3:]),
    ]
    narrow = mine(world, ana.rpc, "sandbox:read", "sandbox:write")
    with world.unchanged(acme):
        for method, fields, needed in calls:
            for client in (bo.rpc, narrow.rpc, mine(world, bo.rpc).rpc):
                assert client.refusal(method, **fields).seen == missing(*needed)
