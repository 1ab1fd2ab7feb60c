"""A person's own tokens: made, found, changed and ended by the person alone, and by nobody who is not them."""

from typing import Any

import pytest
from grpc import StatusCode
from support.rpc import request_of
from support.tokens import CURRENT, INVALID_CREDENTIAL, MINE, inaccessible, invalid, is_good, mine, missing, own_id, unknown
from support.world import OWNER, World

from tenantry_server.domain import ids
from tenantry_server.domain.tokens import HINT_LENGTH

CREATE, GET, LIST = MINE.format("Create"), MINE.format("Get"), "ApiTokenService.ListMyApiTokens"
UPDATE, ROTATE, REVOKE = (MINE.format(verb) for verb in ("Update", "Rotate", "Revoke"))
READ = "OrganizationService.GetOrganization"
OF_ONE = [(GET, {}), (UPDATE, {"name": "New"}), (ROTATE, {}), (REVOKE, {})]


def listed(client: Any, **fields: Any) -> list[str]:
    return [token.id for token in client(LIST, **fields).api_tokens]


def test_token_is_as_it_was_asked_for(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    start = world.clock.now()
    made = mine(world, ana.rpc, "sandbox:read", "member:read", bound_to=acme, name="CI", description="What for")
    token = made.token
    assert (token.kind, token.name, token.description) == (1, "CI", "What for")
    assert (token.user_id, token.organization_id, token.creator_id) == (ana.id, acme.id, ana.id)
    assert (token.unrestricted, list(token.granted_permissions)) == (False, ["member:read", "sandbox:read"])
    assert token.hint == made.secret[:HINT_LENGTH]
    assert not token.HasField("expire_time")
    assert not token.HasField("last_used_time")
    assert not token.HasField("overlap_end_time")
    assert token.revision == world.revision(acme.id)
    assert token.create_time == token.update_time
    assert token.create_time.ToMilliseconds() >= int(start.timestamp() * 1000)
    assert ana.rpc(GET, api_token_id=token.id).api_token == token
    assert made.rpc("MemberService.ListMembers", organization_id=acme.id).members


def test_token_that_narrows_nothing_reaches_every_organization_of_its_person(world: World) -> None:
    ana = world.person()
    made = mine(world, ana.rpc)
    later = world.organization(ana)
    assert (made.token.unrestricted, list(made.token.granted_permissions)) == (True, [])
    assert made.token.organization_id == ""
    assert made.rpc("OrganizationService.DeleteOrganization", organization_id=later.id).state == 3
    answer = ana.rpc(GET, api_token_id=made.id)
    assert (answer.api_token.id, answer.HasField("access")) == (made.id, False)


def test_secret_is_in_no_answer_but_the_first(world: World) -> None:
    ana = world.person()
    made = mine(world, ana.rpc)
    answers = [ana.rpc(GET, api_token_id=made.id), ana.rpc(LIST), ana.rpc(UPDATE, api_token_id=made.id, name="New")]
    answers += [made.rpc(CURRENT)]
    assert made.secret[HINT_LENGTH:] not in str(answers)
    assert all("secret" not in answer.DESCRIPTOR.fields_by_name for answer in answers)


@pytest.mark.parametrize(("method", "fields"), OF_ONE, ids=lambda value: value if isinstance(value, str) else "")
def test_token_of_another_person_is_like_none(world: World, method: str, fields: dict[str, str]) -> None:
    ana, eve = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, eve, role=OWNER)
    of_acme = world.client(world.token(organization_id=acme.id))
    for theirs in (mine(world, ana.rpc).id, mine(world, ana.rpc, bound_to=acme).id, own_id(ana.rpc), own_id(of_acme)):
        other = ids.new()
        foreign, none = (eve.rpc.refusal(method, api_token_id=token_id, **fields) for token_id in (theirs, other))
        assert foreign.seen == unknown(theirs)
        assert none.seen == unknown(other)
        assert foreign.message == none.message.replace(other, theirs)
        assert theirs not in listed(eve.rpc)


def test_request_names_no_owner_but_the_caller(world: World) -> None:
    for method in (CREATE, UPDATE, "ApiTokenService.CreateApiToken", "PlatformTokenService.CreatePlatformToken"):
        fields = set(request_of(method).DESCRIPTOR.fields_by_name)
        assert not fields & {"user_id", "owner", "owner_id", "creator_id", "kind"}
    nobody = world.client()
    refusal = nobody.refusal(CREATE, name="mine", unrestricted=True)
    assert refusal.seen == (StatusCode.UNAUTHENTICATED, "MISSING_CREDENTIAL", {})


def test_list_has_all_of_the_persons_tokens_and_no_others(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    mine(world, bo.rpc)
    made = [mine(world, ana.rpc).id, mine(world, ana.rpc, bound_to=acme).id]
    assert listed(ana.rpc) == sorted([own_id(ana.rpc), *made])


def test_bound_token_sees_and_changes_what_is_bound_to_the_same_organization_alone(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    unbound, elsewhere = mine(world, ana.rpc), mine(world, ana.rpc, bound_to=birch)
    bound, beside = mine(world, ana.rpc, bound_to=acme), mine(world, ana.rpc, bound_to=acme)
    assert listed(bound.rpc) == sorted([bound.id, beside.id])
    for out_of_reach in (unbound, elsewhere):
        for method, fields in OF_ONE:
            refusal = bound.rpc.refusal(method, api_token_id=out_of_reach.id, **fields)
            assert refusal.seen == unknown(out_of_reach.id)
    assert bound.rpc(UPDATE, api_token_id=beside.id, name="New").api_token.name == "New"
    assert bound.rpc(GET, api_token_id=beside.id).access.organization_id == acme.id
    bound.rpc(REVOKE, api_token_id=beside.id)
    assert not is_good(beside.rpc)


def test_bound_token_makes_tokens_for_its_organization_alone(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    bound = mine(world, ana.rpc, bound_to=acme)
    assert mine(world, bound.rpc).token.organization_id == acme.id
    assert mine(world, bound.rpc, bound_to=acme).token.organization_id == acme.id
    with world.unchanged(acme, birch):
        refusal = bound.rpc.refusal(CREATE, organization_id=birch.id, name="x", unrestricted=True)
    assert refusal.seen == inaccessible(birch.id)


@pytest.mark.parametrize("spelling", ["ulid", "uuid"])
def test_organization_of_others_is_like_none(world: World, spelling: str) -> None:
    ana, eve = world.person(), world.person()
    acme = world.organization(ana)
    spell = ids.to_uuid if spelling == "uuid" else str.lower
    token = own_id(eve.rpc)
    with world.unchanged(acme):
        for sent in (spell(acme.id), spell(ids.new())):
            create = eve.rpc.refusal(CREATE, organization_id=sent, name="x", unrestricted=True)
            get = eve.rpc.refusal(GET, organization_id=sent, api_token_id=token)
            current = eve.rpc.refusal(CURRENT, organization_id=sent)
            assert create.seen == get.seen == current.seen == inaccessible(sent)


def test_token_is_bound_under_either_spelling_of_the_organization(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    answer = ana.rpc(CREATE, organization_id=ids.to_uuid(acme.id), name="x", unrestricted=True)
    assert answer.api_token.organization_id == acme.id
    assert ana.rpc(GET, api_token_id=ids.to_uuid(answer.api_token.id)).api_token == answer.api_token


def test_what_is_revoked_is_gone_at_once(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    for made in (mine(world, ana.rpc), mine(world, ana.rpc, bound_to=acme)):
        assert made.rpc(READ, organization_id=acme.id)
        ana.rpc(REVOKE, api_token_id=made.id)
        assert made.rpc.refusal(READ, organization_id=acme.id).seen == INVALID_CREDENTIAL
        assert ana.rpc.refusal(GET, api_token_id=made.id).seen == unknown(made.id)
        assert ana.rpc.refusal(REVOKE, api_token_id=made.id).seen == unknown(made.id)
        assert made.id not in listed(ana.rpc)


def test_token_can_revoke_itself(world: World) -> None:
    ana = world.person()
    made = mine(world, ana.rpc, "api-token:delete")
    made.rpc(REVOKE, api_token_id=made.id)
    assert not is_good(made.rpc)


@pytest.mark.parametrize(
    ("method", "fields", "needed"),
    [
        (CREATE, {"name": "x", "permissions": ["sandbox:read"]}, ["api-token:create"]),
        (GET, {"api_token_id": ids.NIL}, ["api-token:read"]),
        (LIST, {}, ["api-token:read"]),
        (UPDATE, {"api_token_id": ids.NIL, "name": "New"}, ["api-token:update"]),
        (ROTATE, {"api_token_id": ids.NIL}, ["api-token:create", "api-token:delete"]),
        (REVOKE, {"api_token_id": ids.NIL}, ["api-token:delete"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("bound", [False, True])
def test_narrowed_token_manages_tokens_by_permission(
    world: World, method: str, fields: dict[str, Any], needed: list[str], *, bound: bool
) -> None:
    ana = world.person()
    acme = world.organization(ana) if bound else None
    narrow = mine(world, ana.rpc, "sandbox:read", bound_to=acme)
    assert narrow.rpc.refusal(method, **fields).seen == missing(*needed)
    assert narrow.rpc(CURRENT).api_token.id == narrow.id
    enough = mine(world, ana.rpc, "sandbox:read", *needed, bound_to=acme)
    if "api_token_id" in fields:
        assert enough.rpc.refusal(method, **fields).seen == unknown(ids.NIL)
    else:
        assert enough.rpc(method, **fields)


def test_current_token_is_told_where_it_is_bound_or_about_what_it_names(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bound, unbound = mine(world, ana.rpc, "sandbox:read", bound_to=acme), mine(world, ana.rpc, "sandbox:read")
    assert bound.rpc(CURRENT).access.organization_id == acme.id
    assert not unbound.rpc(CURRENT).HasField("access")
    told = unbound.rpc(CURRENT, organization_id=acme.id)
    assert (told.api_token.id, told.access.organization_id) == (unbound.id, acme.id)
    assert list(told.access.permissions) == ["sandbox:read"]
    program = world.client(world.token(organization_id=acme.id))(CURRENT)
    assert (program.api_token.kind, program.access.organization_id) == (2, acme.id)
    assert not program.access.withheld


@pytest.mark.parametrize("method", [method for method, _ in OF_ONE])
def test_id_that_is_none_is_refused(world: World, method: str) -> None:
    ana = world.person()
    refusal = ana.rpc.refusal(method, api_token_id="none")
    assert refusal.seen == invalid("api_token_id")
    assert refusal.violations == {"api_token_id": "STRING_OBJECT_ID"}
