"""MemberService and AuditService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Value
from support.desk import NOW, Desk, Somebody
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER

from tenantry.policy.v1 import policy_pb2
from tenantry.v1 import audit_event_pb2, member_pb2, member_service_pb2, role_pb2
from tenantry_server.wire import timestamp

AT = timestamp(NOW)
NULL = Value(null_value=NULL_VALUE)


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


@pytest.fixture
def bo(desk: Desk) -> Somebody:
    """Somebody to add."""
    return desk.person("bo")


@pytest.fixture
def member(ana: Somebody, bo: Somebody, acme: Any) -> Any:
    """Bo, added with a role."""
    return ana(
        "MemberService.AddMember",
        organization_id=acme.id,
        user_id=bo.id,
        role=MEMBER,
        assigned_role_ids=[AUDITOR],
    )


def test_add_answers_with_the_whole_member(ana: Somebody, bo: Somebody, acme: Any, member: Any) -> None:
    auditor = ana("RoleService.GetRole", organization_id=acme.id, role_id=AUDITOR)
    assert member == member_pb2.Member(
        organization_id=acme.id,
        user_id=bo.id,
        email=bo.email,
        name="Bo",
        role=member_pb2.MEMBER_ROLE_MEMBER,
        assigned_roles=[auditor],
        revision=2,
        etag="r2",
        create_time=AT,
        update_time=AT,
    )


def test_get_answers_with_what_was_added(ana: Somebody, acme: Any, member: Any) -> None:
    assert ana("MemberService.GetMember", organization_id=acme.id, user_id=member.user_id) == member


def test_list_answers_by_pages(ana: Somebody, acme: Any, member: Any) -> None:
    first = ana("MemberService.ListMembers", organization_id=acme.id, page_size=1)
    second = ana("MemberService.ListMembers", organization_id=acme.id, page_token=first.next_page_token)
    assert [listed.user_id for listed in first.members] == [ana.id]
    assert second == member_service_pb2.ListMembersResponse(members=[member])


def test_update_access_replaces_standing_and_roles(ana: Somebody, acme: Any, member: Any) -> None:
    updated = ana(
        "MemberService.UpdateMemberAccess",
        organization_id=acme.id,
        user_id=member.user_id,
        role=OWNER,
        assigned_role_ids=[DEVELOPER],
    )
    assert updated.role == member_pb2.MEMBER_ROLE_OWNER
    assert [role.name for role in updated.assigned_roles] == ["Developer"]
    assert (updated.revision, updated.etag) == (3, "r3")


def test_update_access_without_roles_takes_them_all(ana: Somebody, acme: Any, member: Any) -> None:
    updated = ana("MemberService.UpdateMemberAccess", organization_id=acme.id, user_id=member.user_id, role=MEMBER)
    assert updated.assigned_roles == []


def test_remove_answers_with_the_revision(ana: Somebody, acme: Any, member: Any) -> None:
    removed = ana("MemberService.RemoveMember", organization_id=acme.id, user_id=member.user_id)
    assert removed == member_service_pb2.RemoveMemberResponse(revision=3)


def test_audit_events_tell_who_did_what_and_when(desk: Desk, ana: Somebody, acme: Any, member: Any) -> None:
    first = ana("AuditService.ListAuditEvents", organization_id=acme.id, page_size=1)
    (event,) = first.events
    assert event == audit_event_pb2.AuditEvent(
        organization_id=acme.id,
        revision=2,
        time=AT,
        actor=audit_event_pb2.AuditActor(
            kind=policy_pb2.PRINCIPAL_KIND_USER, id=ana.id, credential_id=event.actor.credential_id
        ),
        action="member.add",
        target=audit_event_pb2.AuditTarget(type="member", id=member.user_id),
        changes=[
            audit_event_pb2.AuditChange(field="role", before=NULL, after=Value(string_value="member")),
            audit_event_pb2.AuditChange(
                field="assigned_roles",
                before=NULL,
                after=Value(list_value=ListValue(values=[Value(string_value=AUDITOR)])),
            ),
        ],
        call_id=event.call_id,
    )
    assert event.actor.credential_id
    assert len(event.call_id) == 26
    rest = ana("AuditService.ListAuditEvents", organization_id=acme.id, page_token=first.next_page_token)
    assert [other.action for other in rest.events] == ["organization.create"]
    assert rest.next_page_token == ""


def test_audit_events_tell_programs_and_operators_from_people(desk: Desk, ana: Somebody, acme: Any) -> None:
    robot = desk.program(acme)
    robot("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Other")
    events = ana("AuditService.ListAuditEvents", organization_id=acme.id).events
    by_robot, by_operator, by_ana = (event.actor for event in events)
    assert (by_robot.kind, by_robot.id) == (policy_pb2.PRINCIPAL_KIND_ORGANIZATION, acme.id)
    assert by_operator == audit_event_pb2.AuditActor(kind=policy_pb2.PRINCIPAL_KIND_PLATFORM)
    assert (by_ana.kind, by_ana.id) == (policy_pb2.PRINCIPAL_KIND_USER, ana.id)


def test_an_assigned_role_is_told_as_the_role_service_tells_it(ana: Somebody, acme: Any, member: Any) -> None:
    assert isinstance(member.assigned_roles[0], role_pb2.Role)
    assert member.assigned_roles[0] == ana("RoleService.GetRole", organization_id=acme.id, role_id=AUDITOR)
