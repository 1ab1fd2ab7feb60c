"""UserService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from support.clock import MovableClock
from support.desk import NOW, Desk, Somebody
from support.world import AUDITOR, MEMBER

from tenantry.policy.v1 import policy_pb2
from tenantry.v1 import member_pb2, user_pb2, user_service_pb2
from tenantry_server.domain.errors import InvalidRequest, SuccessorMissing
from tenantry_server.wire import timestamp

AT = timestamp(NOW)
DELETED = user_pb2.USER_STATE_DELETED


@pytest.fixture
def operator(desk: Desk) -> Somebody:
    """Who may do everything that the platform does."""
    return desk.operator()


@pytest.fixture
def bo(operator: Somebody) -> Any:
    """A user whom the operator made."""
    return operator(
        "UserService.CreateUser",
        email="Bo@Example.com",
        email_verified=True,
        name="Bo",
        identity={"issuer": "https://login.example", "subject": "bo-1"},
    )


def test_create_answers_with_the_whole_user(bo: Any) -> None:
    assert bo == user_pb2.User(
        id=bo.id,
        email="bo@example.com",
        email_verified=True,
        name="Bo",
        state=user_pb2.USER_STATE_ACTIVE,
        personal_organization_id=bo.personal_organization_id,
        identities=[user_pb2.Identity(issuer="https://login.example", subject="bo-1")],
        revision=bo.revision,
        etag=f"r{bo.revision}",
        create_time=AT,
        update_time=AT,
    )
    assert len(bo.personal_organization_id) == 26


def test_create_without_an_identity_makes_none(operator: Somebody) -> None:
    made = operator("UserService.CreateUser", email="cy@example.com", name="Cy")
    assert (made.identities, made.email_verified) == ([], False)


def test_get_and_find_answer_with_what_was_created(operator: Somebody, bo: Any) -> None:
    found = operator("UserService.GetUser", user_id=bo.id)
    assert found == operator("UserService.FindUserByEmail", email="BO@example.com") == bo


def test_list_answers_by_pages_and_with_the_deleted_when_asked(operator: Somebody, bo: Any) -> None:
    cy = operator("UserService.CreateUser", email="cy@example.com", name="Cy")
    first = operator("UserService.ListUsers", page_size=1)
    second = operator("UserService.ListUsers", page_token=first.next_page_token)
    assert [*first.users, *second.users] == sorted([bo, cy], key=lambda user: str(user.id))
    assert (len(first.users), second.next_page_token) == (1, "")
    operator("UserService.DeleteUser", user_id=cy.id)
    assert operator("UserService.ListUsers").users == [bo]
    assert [user.id for user in operator("UserService.ListUsers", show_deleted=True).users] == sorted([bo.id, cy.id])


@pytest.mark.parametrize(
    ("given", "email", "verified", "name"),
    [
        ({"name": "Bob"}, "bo@example.com", True, "Bob"),
        ({"email": "BOB@example.com"}, "bob@example.com", False, "Bo"),
        ({"email": "bob@example.com", "email_verified": True}, "bob@example.com", True, "Bo"),
        ({"email_verified": False}, "bo@example.com", False, "Bo"),
        ({"email": "x@example.com", "name": "Bob", "update_mask": FieldMask(paths=["name"])}, "bo@example.com", True, "Bob"),
    ],
)
def test_update_changes_what_the_mask_or_the_request_names(
    operator: Somebody, bo: Any, clock: MovableClock, given: dict[str, Any], email: str, verified: bool, name: str
) -> None:
    clock.stopped = NOW + timedelta(seconds=5)
    updated = operator("UserService.UpdateUser", user_id=bo.id, **given)
    assert (updated.email, updated.email_verified, updated.name) == (email, verified, name)
    assert (updated.revision, updated.identities) == (bo.revision + 1, bo.identities)
    assert (updated.create_time, updated.update_time) == (AT, timestamp(NOW + timedelta(seconds=5)))


@pytest.mark.parametrize("path", ["state", "identities", "nothing"])
def test_update_refuses_a_mask_that_names_something_else(operator: Somebody, bo: Any, path: str) -> None:
    with pytest.raises(InvalidRequest):
        operator("UserService.UpdateUser", user_id=bo.id, name="Bob", update_mask=FieldMask(paths=[path]))


def test_delete_answers_with_the_state_and_hands_on_what_successors_get(desk: Desk, operator: Somebody, ana: Somebody) -> None:
    acme = ana("OrganizationService.CreateOrganization", name="Acme")
    heir = desk.person("heir")
    with pytest.raises(SuccessorMissing) as refusal:
        operator("UserService.DeleteUser", user_id=ana.id)
    assert refusal.value.metadata == {"organization_ids": acme.id}
    named = [{"organization_id": acme.id, "user_id": heir.id}]
    deleted = operator("UserService.DeleteUser", user_id=ana.id, successors=named)
    assert (deleted.state, deleted.delete_time, deleted.personal_organization_id) == (DELETED, AT, "")
    member = heir("MemberService.GetMember", organization_id=acme.id, user_id=heir.id)
    assert member.role == member_pb2.MEMBER_ROLE_OWNER


def test_erase_leaves_a_user_without_name_and_address(operator: Somebody, bo: Any) -> None:
    operator("UserService.DeleteUser", user_id=bo.id)
    erased = operator("UserService.EraseUser", user_id=bo.id)
    assert (erased.id, erased.state, erased.email, erased.name) == (bo.id, user_pb2.USER_STATE_ERASED, "", "")


def test_export_hands_out_all_that_is_kept(desk: Desk, operator: Somebody, ana: Somebody) -> None:
    acme = ana("OrganizationService.CreateOrganization", name="Acme")
    cy = desk.person("cy")
    given = {"organization_id": acme.id, "role": MEMBER, "assigned_role_ids": [AUDITOR]}
    member = ana("MemberService.AddMember", user_id=cy.id, **given)
    other = ana("OrganizationService.CreateOrganization", name="Other")
    invited = ana("InvitationService.CreateInvitation", organization_id=other.id, email=cy.email, role=MEMBER)
    export = operator("UserService.ExportUser", user_id=cy.id)
    assert export.user == operator("UserService.GetUser", user_id=cy.id)
    assert [found for found in export.memberships if found.organization_id == acme.id] == [member]
    assert {found.organization_id for found in export.memberships} == {acme.id, export.user.personal_organization_id}
    assert export.invitations == [invited]
    assert list(export.api_tokens) == list(cy("ApiTokenService.ListMyApiTokens").api_tokens)


def test_the_caller_is_a_person_with_organizations_within_reach(ana: Somebody) -> None:
    acme = ana("OrganizationService.CreateOrganization", name="Acme")
    who = ana("UserService.GetCurrentUser")
    assert (who.principal_kind, who.user.id, who.user.email) == (policy_pb2.PRINCIPAL_KIND_USER, ana.id, ana.email)
    assert (who.unrestricted, who.permissions) == (True, [])
    assert {found.organization.id for found in who.organizations} == {acme.id, who.user.personal_organization_id}
    assert {found.role for found in who.organizations} == {member_pb2.MEMBER_ROLE_OWNER}
    assert next(found.organization for found in who.organizations if found.organization.id == acme.id) == acme


def test_the_caller_is_an_organization_or_the_platform(desk: Desk, ana: Somebody) -> None:
    acme = ana("OrganizationService.CreateOrganization", name="Acme")
    who = desk.program(acme)("UserService.GetCurrentUser")
    assert who == user_service_pb2.GetCurrentUserResponse(
        principal_kind=policy_pb2.PRINCIPAL_KIND_ORGANIZATION,
        organizations=[
            user_service_pb2.GetCurrentUserResponse.AccessibleOrganization(organization=who.organizations[0].organization)
        ],
        unrestricted=True,
    )
    assert who.organizations[0].organization.id == acme.id
    assert desk.operator("user:update", "user:read")("UserService.GetCurrentUser") == user_service_pb2.GetCurrentUserResponse(
        principal_kind=policy_pb2.PRINCIPAL_KIND_PLATFORM, permissions=["user:read", "user:update"]
    )
