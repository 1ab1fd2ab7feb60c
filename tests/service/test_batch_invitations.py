"""Batches of invitations: every item is answered for itself, in its place."""

from typing import Any

import google.rpc.status_pb2 as status_pb2
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from support.rpc import Refused, read_details
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER, Person, World

from tenantry_server.domain import ids

BATCH, CREATE = "InvitationService.BatchCreateInvitations", "InvitationService.CreateInvitation"


def item(email: str, *role_ids: str, role: str = MEMBER, **more: Any) -> dict[str, Any]:
    return {"email": email, "role": role, "assigned_role_ids": role_ids, **more}


def guests(*numbers: int) -> list[dict[str, Any]]:
    return [item(f"guest{number}@example.com") for number in numbers]


def send(person: Person, organization: Any, items: list[dict[str, Any]], **more: Any) -> list[Any]:
    """The answer to each item: its invitation, or its refusal."""
    answer = person.rpc(BATCH, organization_id=organization.id, items=items, **more)
    return [result.invitation if result.HasField("invitation") else refused(result.error) for result in answer.results]


def refused(status: status_pb2.Status) -> Refused:
    codes: dict[int, StatusCode] = {code.value[0]: code for code in StatusCode}
    return read_details(Refused(codes[status.code], status.message), status)


def test_each_item_becomes_an_invitation_of_its_own(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    made = send(ana, acme, [item("a@example.com", AUDITOR), item("B@Example.com", role=OWNER)])
    assert [(offer.email, offer.role, offer.revision) for offer in made] == [
        ("a@example.com", 2, acme.revision + 1),
        ("b@example.com", 1, acme.revision + 2),
    ]
    assert list(ana.rpc("InvitationService.ListInvitations", organization_id=acme.id).invitations) == sorted(
        made, key=lambda offer: str(offer.id)
    )
    targets = [event.target.id for event in world.events(acme, ana)[:2]]
    assert targets == [made[1].id, made[0].id]
    assert world.breaches() == []


def test_refused_items_do_not_hinder_the_others(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo)
    mia = world.member_with(acme, ana, "invitation:create")
    before = world.revision(acme.id)
    answers = send(
        mia,
        acme,
        [
            item("first@example.com"),
            item("FIRST@example.com"),
            item(bo.email),
            item("no@address@example.com"),
            item("second@example.com", AUDITOR),
            item("second@example.com", role=OWNER),
            item("second@example.com", ids.new()),
            item("second@example.com", expire_time=Timestamp(seconds=1)),
            item("last@example.com"),
        ],
    )
    invalid = (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [answer.seen for answer in answers[1:5]] == [
        (StatusCode.ALREADY_EXISTS, "INVITATION_PENDING", {"email": "first@example.com"}),
        (StatusCode.ALREADY_EXISTS, "ALREADY_MEMBER", {"email": bo.email}),
        (*invalid, {"fields": "email"}),
        (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "audit-log:read"}),
    ]
    assert (answers[5].code, answers[5].reason) == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN")
    assert answers[6].seen == (*invalid, {"fields": "assigned_role_ids[0]"})
    assert answers[7].seen == (*invalid, {"fields": "expire_time"})
    assert [answers[0].email, answers[-1].email] == ["first@example.com", "last@example.com"]
    assert world.revision(acme.id) == before + 2


def test_items_are_refused_as_single_invitations_are(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    world.invite(acme, ana, "guest@example.com")
    mia = world.member_with(acme, ana, "invitation:create")
    wrong = [item("guest@example.com"), item("a@b@c"), item("x@example.com", AUDITOR), item("x@example.com", ids.new())]
    with world.unchanged(acme):
        answers = send(mia, acme, wrong)
        for answer, fields in zip(answers, wrong, strict=True):
            single = mia.rpc.refusal(CREATE, organization_id=acme.id, **fields)
            assert (answer.seen, answer.message, answer.details) == (single.seen, single.message, single.details)


@pytest.mark.parametrize("count", [0, 101])
def test_batch_has_1_to_100_items(world: World, count: int) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(BATCH, organization_id=acme.id, items=guests(*range(count)))
    assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "items"})


def test_batch_of_100_is_answered_whole(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    made = send(ana, acme, guests(*range(100)))
    assert [offer.email for offer in made] == [f"guest{number}@example.com" for number in range(100)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (item("nobody"), "items[1].email"),
        ({"email": "a@example.com"}, "items[1].role"),
        (item("a@example.com", "not an id"), "items[1].assigned_role_ids[0]"),
        (item("a@example.com", AUDITOR, AUDITOR), "items[1].assigned_role_ids"),
        (item("a@example.com", expire_time=Timestamp(seconds=2**60)), "items[1].expire_time"),
    ],
)
def test_malformed_batch_is_refused_whole(world: World, wrong: dict[str, Any], field: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(BATCH, organization_id=acme.id, items=[*guests(1), wrong, *guests(2)])
    assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": field})


def test_batch_needs_the_permission(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member(acme, ana, DEVELOPER)
    with world.unchanged(acme):
        refusal = mia.rpc.refusal(BATCH, organization_id=acme.id, items=guests(1))
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "invitation:create"})


def test_personal_organization_takes_no_item(world: World) -> None:
    ana = world.person()
    personal = ana.rpc("OrganizationService.GetCurrentOrganization")
    with world.unchanged(personal):
        answers = send(ana, personal, guests(1, 2))
    expected = (StatusCode.FAILED_PRECONDITION, "PERSONAL_ORGANIZATION", {"organization_id": personal.id})
    assert [answer.seen for answer in answers] == [expected] * 2


def test_trying_out_makes_nothing(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        tried = send(ana, acme, [*guests(1), item("a@b@c")], validate_only=True)
    assert (tried[0].email, tried[0].state) == ("guest1@example.com", 1)
    assert tried[1].violations == {"email": "EMAIL"}
    assert send(ana, acme, guests(1))[0].state == 1


def test_repeated_batch_answers_the_same_again(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    made = send(ana, acme, guests(1, 2), request_id="batch-1")
    ana.rpc("InvitationService.CancelInvitation", organization_id=acme.id, invitation_id=made[0].id)
    with world.unchanged(acme):
        assert send(ana, acme, guests(1, 2), request_id="batch-1") == made


def test_repeated_batch_tries_again_what_was_refused(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    blocking = world.invite(acme, ana, "guest2@example.com")
    first = send(ana, acme, guests(1, 2), request_id="batch-1")
    assert first[1].reason == "INVITATION_PENDING"
    ana.rpc("InvitationService.CancelInvitation", organization_id=acme.id, invitation_id=blocking.id)
    again = send(ana, acme, guests(1, 2), request_id="batch-1")
    assert again[0] == first[0]
    assert (again[1].email, again[1].state) == ("guest2@example.com", 1)


def test_repeated_batch_answers_also_who_may_not_invite_any_more(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, "invitation:create")
    made = send(mia, acme, guests(1, 2), request_id="batch-1")
    ana.rpc("MemberService.UpdateMemberAccess", organization_id=acme.id, user_id=mia.id, role=MEMBER)
    with world.unchanged(acme):
        assert send(mia, acme, guests(1, 2), request_id="batch-1") == made


def test_other_batch_under_the_same_request_id_is_refused(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    send(ana, acme, guests(1, 2), request_id="batch-1")
    with world.unchanged(acme):
        answers = send(ana, acme, guests(1, 3), request_id="batch-1")
    expected = (StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": "batch-1"})
    assert [answer.seen for answer in answers] == [expected] * 2


def test_request_ids_of_batches_and_of_single_changes_do_not_meet(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    single = ana.rpc(CREATE, organization_id=acme.id, **item("single@example.com"), request_id="batch-1/0")
    (made,) = send(ana, acme, guests(1), request_id="batch-1")
    assert (single.email, made.email) == ("single@example.com", "guest1@example.com")
