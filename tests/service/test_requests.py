"""Request ids and dry runs: a change happens once, its repetition gets the first answer, and a trial leaves no trace."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.rpc import Client
from support.world import AUDITOR, DEVELOPER, MEMBER, MILLISECOND, OWNER, Person, World, fresh

CREATE_ROLE, CREATE_ORGANIZATION = "RoleService.CreateRole", "OrganizationService.CreateOrganization"
LEAVE, DELETE = "OrganizationService.LeaveOrganization", "OrganizationService.DeleteOrganization"
TRANSFER, ACCEPT = "OrganizationService.TransferOwnership", "InvitationService.AcceptInvitation"
REMOVE, ACCESS = "MemberService.RemoveMember", "MemberService.UpdateMemberAccess"
DAY = timedelta(days=1)
Act = Callable[[str], Any]


def owned(world: World) -> tuple[Person, Any]:
    ana = world.person()
    return ana, world.organization(ana)


def role_of(organization: Any, name: str = "Ops") -> dict[str, Any]:
    return {"organization_id": organization.id, "name": name, "permissions": ["sandbox:read"]}


def reused(request_id: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": request_id}


def leave(world: World, ana: Person, acme: Any) -> Act:
    bo = world.member(acme, ana)
    return lambda key: bo.rpc(LEAVE, organization_id=acme.id, request_id=key)


def remove_oneself(world: World, ana: Person, acme: Any) -> Act:
    bo = world.member(acme, ana, role=OWNER)
    return lambda key: bo.rpc(REMOVE, organization_id=acme.id, user_id=bo.id, request_id=key)


def delete(world: World, ana: Person, acme: Any) -> Act:
    return lambda key: ana.rpc(DELETE, organization_id=acme.id, request_id=key)


def transfer(world: World, ana: Person, acme: Any) -> Act:
    bo = world.member(acme, ana)
    return lambda key: ana.rpc(TRANSFER, organization_id=acme.id, user_id=bo.id, assigned_role_ids=[AUDITOR], request_id=key)


@pytest.mark.parametrize("make", [leave, remove_oneself, delete, transfer])
def test_change_that_costs_the_right_to_it_can_be_repeated(world: World, make: Callable[[World, Person, Any], Act]) -> None:
    ana, acme = owned(world)
    act = make(world, ana, acme)
    first = act("once")
    with world.unchanged(acme):
        assert act("once") == first


def test_change_that_costs_the_credential_cannot_be_repeated_by_it_but_by_another(world: World) -> None:
    ana, acme = owned(world)
    bo = world.member(acme, ana)
    bound = world.client(world.token(bo, organization_id=acme.id))
    first = bound(LEAVE, organization_id=acme.id, request_id="once")
    with world.unchanged(acme):
        refusal = bound.refusal(LEAVE, organization_id=acme.id, request_id="once")
        assert refusal.seen == (StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIAL", {})
        assert bo.rpc(LEAVE, organization_id=acme.id, request_id="once") == first


def test_acceptance_can_be_repeated_when_the_organization_was_deleted(world: World) -> None:
    ana, acme = owned(world)
    guest = world.person()
    offer = world.invite(acme, ana, guest.email, AUDITOR)
    first = guest.rpc(ACCEPT, invitation_id=offer.id, request_id="once")
    ana.rpc(DELETE, organization_id=acme.id)
    with world.unchanged(acme):
        assert guest.rpc(ACCEPT, invitation_id=offer.id, request_id="once") == first


def test_change_by_somebody_who_was_removed_since_can_be_repeated(world: World) -> None:
    ana, acme = owned(world)
    bo = world.member(acme, ana, role=OWNER)
    first = bo.rpc(CREATE_ROLE, **role_of(acme), request_id="once")
    ana.rpc(REMOVE, organization_id=acme.id, user_id=bo.id)
    with world.unchanged(acme):
        assert bo.rpc(CREATE_ROLE, **role_of(acme), request_id="once") == first
        other = bo.rpc.refusal(CREATE_ROLE, **role_of(acme, "Other"), request_id="once")
        stranger = world.person().rpc.refusal(CREATE_ROLE, **role_of(acme), request_id="once")
    expected = (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})
    assert other.seen == stranger.seen == expected


def test_repetition_gets_the_first_answer_whatever_happened_since(world: World) -> None:
    ana, acme = owned(world)
    role = ana.rpc(CREATE_ROLE, **role_of(acme), request_id="role")
    offer = world.invite(acme, ana, "guest@example.com", role.id, request_id="offer")
    ana.rpc("RoleService.UpdateRole", organization_id=acme.id, role_id=role.id, name="New", permissions=["volume:read"])
    with world.at(offer.expire_time.ToDatetime(UTC) - DAY):
        ana.rpc("InvitationService.CancelInvitation", organization_id=acme.id, invitation_id=offer.id)
        ana.rpc("RoleService.DeleteRole", organization_id=acme.id, role_id=role.id)
    with world.unchanged(acme):
        assert ana.rpc(CREATE_ROLE, **role_of(acme), request_id="role") == role
        assert world.invite(acme, ana, "guest@example.com", role.id, request_id="offer") == offer


def test_repetition_shows_an_invitation_as_it_was_though_it_expired_since(world: World) -> None:
    ana, acme = owned(world)
    start = datetime.now(UTC)
    items = [{"email": "other@example.com", "role": MEMBER, "expire_time": start + DAY / 2}]
    batch = {"organization_id": acme.id, "items": items, "request_id": "batch"}
    offer = world.invite(acme, ana, "guest@example.com", expire_time=start + DAY / 2, request_id="offer")
    offers = ana.rpc("InvitationService.BatchCreateInvitations", **batch)
    with world.at(start + DAY - timedelta(hours=1)):
        again = world.invite(acme, ana, "guest@example.com", expire_time=start + DAY / 2, request_id="offer")
        assert again == offer
        assert ana.rpc("InvitationService.BatchCreateInvitations", **batch) == offers


def test_other_request_under_the_same_id_is_refused(world: World) -> None:
    ana, acme = owned(world)
    birch = world.organization(ana)
    ana.rpc(CREATE_ROLE, **role_of(acme), request_id="once")
    with world.unchanged(acme, birch):
        refusals = [
            ana.rpc.refusal(CREATE_ROLE, **role_of(acme, "Other"), request_id="once"),
            ana.rpc.refusal(CREATE_ROLE, **role_of(birch), request_id="once"),
            ana.rpc.refusal(DELETE, organization_id=acme.id, request_id="once"),
            ana.rpc.refusal(CREATE_ORGANIZATION, name="Ops", request_id="once"),
        ]
    assert [refusal.seen for refusal in refusals] == [reused("once")] * 4


def test_request_ids_of_different_callers_do_not_meet(world: World) -> None:
    ana, acme = owned(world)
    bo = world.member(acme, ana, role=OWNER)
    program = world.client(world.token(organization_id=acme.id))
    clients: list[Client] = [ana.rpc, bo.rpc, program]
    roles = [client(CREATE_ROLE, **role_of(acme), request_id="once") for client in clients]
    assert len({role.id for role in roles}) == 3
    with world.unchanged(acme):
        assert [client(CREATE_ROLE, **role_of(acme), request_id="once") for client in clients] == roles


def test_person_is_the_same_caller_by_each_of_their_tokens(world: World) -> None:
    ana, acme = owned(world)
    bound = world.client(world.token(ana, organization_id=acme.id))
    first = ana.rpc(CREATE_ROLE, **role_of(acme), request_id="once")
    with world.unchanged(acme):
        assert bound(CREATE_ROLE, **role_of(acme), request_id="once") == first
        assert bound.refusal(CREATE_ROLE, **role_of(acme, "Other"), request_id="once").seen == reused("once")


def test_request_id_is_remembered_for_a_day(world: World) -> None:
    ana, acme = owned(world)
    first = ana.rpc(CREATE_ROLE, **role_of(acme), request_id="once")
    made = first.create_time.ToDatetime(UTC)
    with world.at(made + DAY - MILLISECOND), world.unchanged(acme):
        assert ana.rpc(CREATE_ROLE, **role_of(acme), request_id="once") == first
        assert ana.rpc.refusal(DELETE, organization_id=acme.id, request_id="once").seen == reused("once")
    with world.at(made + DAY):
        second = ana.rpc(CREATE_ROLE, **role_of(acme), request_id="once")
    assert second.id != first.id
    with world.at(made + DAY + MILLISECOND), world.unchanged(acme):
        assert ana.rpc(CREATE_ROLE, **role_of(acme), request_id="once") == second


def test_who_lost_the_right_is_not_answered_after_a_day(world: World) -> None:
    ana, acme = owned(world)
    bo = world.member(acme, ana)
    bo.rpc(LEAVE, organization_id=acme.id, request_id="once")
    with world.at(datetime.now(UTC) + DAY), world.unchanged(acme):
        refusal = bo.rpc.refusal(LEAVE, organization_id=acme.id, request_id="once")
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})


def test_refused_request_is_not_remembered(world: World) -> None:
    ana, acme = owned(world)
    change = {"organization_id": acme.id, "user_id": world.member(acme, ana).id, "role": MEMBER, "request_id": "once"}
    mia = world.member_with(acme, ana, "member:update")
    with world.unchanged(acme):
        refusal = mia.rpc.refusal(ACCESS, **change, assigned_role_ids=[DEVELOPER])
    assert refusal.reason == "GRANT_EXCEEDS_OWN"
    ana.rpc(ACCESS, organization_id=acme.id, user_id=mia.id, role=OWNER)
    assert mia.rpc(ACCESS, **change, assigned_role_ids=[DEVELOPER]).revision == world.revision(acme.id)


def test_creating_an_organization_can_be_repeated(world: World) -> None:
    ana = world.person()
    first = ana.rpc(CREATE_ORGANIZATION, name="Acme", request_id="once")
    assert ana.rpc(CREATE_ORGANIZATION, name="Acme", request_id="once") == first
    assert len(ana.rpc("OrganizationService.ListOrganizations").organizations) == 2


def test_trial_is_judged_like_the_change_and_leaves_no_trace(world: World) -> None:
    ana, acme = owned(world)
    bo = world.member(acme, ana)
    with world.unchanged(acme):
        tried = ana.rpc(CREATE_ROLE, **role_of(acme), validate_only=True)
        assert (tried.name, tried.revision) == ("Ops", world.revision(acme.id) + 1)
        refusals = [
            ana.rpc.refusal(LEAVE, organization_id=acme.id, validate_only=True),
            ana.rpc.refusal(ACCESS, organization_id=acme.id, user_id=ana.id, role=OWNER, validate_only=True),
            bo.rpc.refusal(CREATE_ROLE, **role_of(acme), validate_only=True),
            ana.rpc.refusal(CREATE_ROLE, **role_of(acme, "Owner"), validate_only=True),
        ]
    assert [refusal.reason for refusal in refusals] == ["LAST_OWNER", "OWN_ACCESS", "PERMISSION_MISSING", "INVALID_REQUEST"]
    assert ana.rpc.refusal("RoleService.GetRole", organization_id=acme.id, role_id=tried.id).reason == "ROLE_NOT_FOUND"


def test_trial_neither_takes_nor_repeats_a_request_id(world: World) -> None:
    ana, acme = owned(world)
    bo = world.member(acme, ana)
    with world.unchanged(acme):
        bo.rpc(LEAVE, organization_id=acme.id, request_id="once", validate_only=True)
    first = bo.rpc(LEAVE, organization_id=acme.id, request_id="once")
    with world.unchanged(acme):
        trial = bo.rpc.refusal(LEAVE, organization_id=acme.id, request_id="once", validate_only=True)
        assert bo.rpc(LEAVE, organization_id=acme.id, request_id="once") == first
    assert trial.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})
    role = ana.rpc(CREATE_ROLE, **role_of(acme), request_id="role")
    with world.unchanged(acme):
        assert ana.rpc(CREATE_ROLE, **role_of(acme), request_id="role", validate_only=True).id != role.id
        assert ana.rpc(CREATE_ROLE, **role_of(acme, "Other"), request_id="role", validate_only=True).name == "Other"


@pytest.mark.parametrize("key", ["x" * 101, "with blank", "é", "a\nb", "a\0b", "a\x7fb"])
def test_request_id_is_of_printable_ascii(world: World, key: str) -> None:
    ana, acme = owned(world)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(CREATE_ROLE, **role_of(acme), request_id=key)
        denied = world.person().rpc.refusal(CREATE_ROLE, **role_of(acme), request_id=key)
    assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "request_id"})
    assert refusal.violations == {"request_id": "STRING_REQUEST_KEY"}
    assert denied.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})


def test_longest_request_id_is_fine(world: World) -> None:
    ana, acme = owned(world)
    key = (fresh("k") + "~!/" * 100)[:100]
    first = ana.rpc(CREATE_ROLE, **role_of(acme), request_id=key)
    assert ana.rpc(CREATE_ROLE, **role_of(acme), request_id=key) == first
