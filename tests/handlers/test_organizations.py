"""OrganizationService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from support.clock import MovableClock
from support.desk import NOW, Desk, Somebody
from support.world import AUDITOR, MEMBER, OWNER

from tenantry.v1 import member_pb2, organization_pb2, organization_service_pb2
from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.wire import timestamp

AT = timestamp(NOW)


def settings(config: dict[str, Any], *, limited_network_egress: bool = False) -> organization_pb2.OrganizationSettings:
    """Settings as a message."""
    message = organization_pb2.OrganizationSettings(limited_network_egress=limited_network_egress)
    message.experimental_config.SetInParent()
    message.experimental_config.update(config)
    return message


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme", default_region_id="eu")


def test_create_answers_with_the_whole_organization(ana: Somebody, acme: Any) -> None:
    assert acme == organization_pb2.Organization(
        id=acme.id,
        name="Acme",
        slug="acme",
        state=organization_pb2.ORGANIZATION_STATE_ACTIVE,
        default_region_id="eu",
        settings=settings({}),
        creator_user_id=ana.id,
        revision=1,
        etag="r1",
        create_time=AT,
        update_time=AT,
        cleanup_grace_hours=24,
    )


def test_create_without_a_region_sets_none(ana: Somebody) -> None:
    assert ana("OrganizationService.CreateOrganization", name="Acme").default_region_id == ""


def test_get_answers_with_what_was_created(ana: Somebody, acme: Any) -> None:
    assert ana("OrganizationService.GetOrganization", organization_id=acme.id) == acme


def test_list_answers_by_pages(ana: Somebody, acme: Any) -> None:
    first = ana("OrganizationService.ListOrganizations", page_size=1)
    second = ana("OrganizationService.ListOrganizations", page_size=1, page_token=first.next_page_token)
    assert [organization.personal for organization in (*first.organizations, *second.organizations)] == [True, False]
    assert second == organization_service_pb2.ListOrganizationsResponse(organizations=[acme])


def test_current_is_the_personal_one_or_that_of_the_token(desk: Desk, ana: Somebody, acme: Any) -> None:
    assert ana("OrganizationService.GetCurrentOrganization").personal
    found = desk.program(acme)("OrganizationService.GetCurrentOrganization")
    assert found == ana("OrganizationService.GetOrganization", organization_id=acme.id)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"name": "Other"}, "Other"),
        ({"name": "Other", "update_mask": FieldMask(paths=["name"])}, "Other"),
        ({"name": "Other", "update_mask": FieldMask(paths=["*"])}, "Other"),
        ({}, "Acme"),
    ],
)
def test_update_changes_what_the_mask_or_the_request_names(ana: Somebody, acme: Any, given: dict[str, Any], name: str) -> None:
    updated = ana("OrganizationService.UpdateOrganization", organization_id=acme.id, **given)
    assert (updated.name, updated.slug, updated.revision, updated.etag) == (name, "acme", 2, "r2")


def test_update_refuses_a_mask_that_names_something_else(ana: Somebody, acme: Any) -> None:
    with pytest.raises(InvalidRequest):
        ana("OrganizationService.UpdateOrganization", organization_id=acme.id, update_mask=FieldMask(paths=["slug"]))


def test_delete_and_undelete_answer_with_state_and_times(ana: Somebody, acme: Any) -> None:
    deleted = ana("OrganizationService.DeleteOrganization", organization_id=acme.id)
    assert deleted.state == organization_pb2.ORGANIZATION_STATE_DELETED
    assert deleted.delete_time == AT
    assert deleted.purge_time == timestamp(NOW + timedelta(days=30))
    back = ana("OrganizationService.UndeleteOrganization", organization_id=acme.id)
    assert back.state == organization_pb2.ORGANIZATION_STATE_ACTIVE
    assert not back.HasField("delete_time")
    assert not back.HasField("purge_time")


def test_leave_answers_with_the_revision(desk: Desk, ana: Somebody, acme: Any) -> None:
    bo = desk.person("bo")
    ana("MemberService.AddMember", organization_id=acme.id, user_id=bo.id, role=MEMBER)
    left = bo("OrganizationService.LeaveOrganization", organization_id=acme.id)
    assert left == organization_service_pb2.LeaveOrganizationResponse(revision=3)


def test_transfer_answers_with_the_new_owner_and_leaves_the_caller_the_named_roles(
    desk: Desk, ana: Somebody, acme: Any
) -> None:
    bo = desk.person("bo")
    ana("MemberService.AddMember", organization_id=acme.id, user_id=bo.id, role=MEMBER)
    heir = ana("OrganizationService.TransferOwnership", organization_id=acme.id, user_id=bo.id, assigned_role_ids=[AUDITOR])
    assert (heir.user_id, heir.role, heir.revision) == (bo.id, member_pb2.MEMBER_ROLE_OWNER, 3)
    former = bo("MemberService.GetMember", organization_id=acme.id, user_id=ana.id)
    assert former.role == member_pb2.MEMBER_ROLE_MEMBER
    assert [role.id for role in former.assigned_roles] == [AUDITOR]


def test_set_default_region(ana: Somebody, acme: Any) -> None:
    changed = ana("OrganizationService.SetDefaultRegion", organization_id=acme.id, default_region_id="us")
    assert (changed.default_region_id, changed.revision) == ("us", 2)


def test_update_settings_takes_one_setting_and_leaves_the_other(ana: Somebody, acme: Any) -> None:
    name = "OrganizationService.UpdateOrganizationSettings"
    config = {"a": 1, "b": [True, None, {"c": 2.5}]}
    changed = ana(name, organization_id=acme.id, experimental_config=config)
    assert changed.settings == settings(config)
    changed = ana(name, organization_id=acme.id, limited_network_egress=True)
    assert changed.settings == settings(config, limited_network_egress=True)
    mask = FieldMask(paths=["limited_network_egress"])
    changed = ana(name, organization_id=acme.id, limited_network_egress=False, experimental_config={}, update_mask=mask)
    assert changed.settings == settings(config)


def test_update_settings_shows_secrets_masked(ana: Somebody, acme: Any) -> None:
    changed = ana(
        "OrganizationService.UpdateOrganizationSettings",
        organization_id=acme.id,
        experimental_config={"otel": {"headers": {"api-key": "hunter2"}}},
    )
    assert dict(changed.settings.experimental_config["otel"]["headers"]) == {"api-key": "******"}


def test_times_tell_when(ana: Somebody, acme: Any, clock: MovableClock) -> None:
    clock.stopped = NOW + timedelta(seconds=5)
    updated = ana("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Other")
    assert (updated.create_time, updated.update_time) == (AT, timestamp(NOW + timedelta(seconds=5)))


def test_owners_by_their_standing_can_be_several(desk: Desk, ana: Somebody, acme: Any) -> None:
    bo = desk.person("bo")
    added = ana("MemberService.AddMember", organization_id=acme.id, user_id=bo.id, role=OWNER)
    assert added.role == member_pb2.MEMBER_ROLE_OWNER
