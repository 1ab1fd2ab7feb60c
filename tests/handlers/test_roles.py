"""RoleService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from support.deployment import CATALOG
from support.desk import NOW, Desk, Somebody
from support.world import AUDITOR, MEMBER

from tenantry.v1 import role_pb2, role_service_pb2
from tenantry_server.domain.errors import InvalidRequest, RoleAssigned
from tenantry_server.wire import timestamp

AT = timestamp(NOW)


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


@pytest.fixture
def role(ana: Somebody, acme: Any) -> Any:
    """A role of it."""
    return ana(
        "RoleService.CreateRole",
        organization_id=acme.id,
        name="Operator",
        description="Operates.",
        permissions=["sandbox:write", "runner:read"],
    )


def test_create_answers_with_the_whole_role(acme: Any, role: Any) -> None:
    assert role == role_pb2.Role(
        id=role.id,
        organization_id=acme.id,
        name="Operator",
        description="Operates.",
        permissions=["runner:read", "sandbox:write"],
        assignable=True,
        revision=2,
        etag="r2",
        create_time=AT,
        update_time=AT,
    )


def test_get_answers_with_a_custom_role(ana: Somebody, acme: Any, role: Any) -> None:
    assert ana("RoleService.GetRole", organization_id=acme.id, role_id=role.id) == role


def test_get_answers_with_a_system_role_which_has_no_organization_and_no_times(ana: Somebody, acme: Any) -> None:
    assert ana("RoleService.GetRole", organization_id=acme.id, role_id=AUDITOR) == role_pb2.Role(
        id=AUDITOR,
        name="Auditor",
        description="Grants access to audit logs in the organization",
        permissions=["audit-log:read"],
        system=True,
        assignable=True,
        etag="r0",
    )


def test_list_answers_by_pages_the_system_roles_first(ana: Somebody, acme: Any, role: Any) -> None:
    first = ana("RoleService.ListRoles", organization_id=acme.id, page_size=15)
    second = ana("RoleService.ListRoles", organization_id=acme.id, page_token=first.next_page_token)
    assert all(listed.system for listed in first.roles)
    assert [listed.name for listed in first.roles if not listed.assignable] == ["Owner"]
    assert second == role_service_pb2.ListRolesResponse(roles=[role])


@pytest.mark.parametrize(
    ("given", "name", "description", "permissions"),
    [
        ({"name": "Other"}, "Other", "Operates.", ["runner:read", "sandbox:write"]),
        ({"description": ""}, "Operator", "", ["runner:read", "sandbox:write"]),
        ({"permissions": ["sandbox:write"]}, "Operator", "Operates.", ["sandbox:write"]),
        ({"name": "Other", "description": "D", "update_mask": FieldMask(paths=["name"])}, "Other", "Operates.", None),
        ({"update_mask": FieldMask(paths=["permissions"])}, "Operator", "Operates.", []),
        ({}, "Operator", "Operates.", None),
    ],
)
def test_update_changes_what_the_mask_or_the_request_names(
    ana: Somebody, acme: Any, role: Any, given: dict[str, Any], name: str, description: str, permissions: list[str] | None
) -> None:
    updated = ana("RoleService.UpdateRole", organization_id=acme.id, role_id=role.id, **given)
    expected = role_pb2.Role(
        id=role.id,
        organization_id=acme.id,
        name=name,
        description=description,
        permissions=role.permissions if permissions is None else permissions,
        assignable=True,
        revision=3,
        etag="r3",
        create_time=AT,
        update_time=AT,
    )
    assert updated == expected


def test_update_refuses_a_mask_that_names_what_is_absent(ana: Somebody, acme: Any, role: Any) -> None:
    with pytest.raises(InvalidRequest):
        ana(
            "RoleService.UpdateRole",
            organization_id=acme.id,
            role_id=role.id,
            update_mask=FieldMask(paths=["description"]),
        )


def test_delete_says_who_lost_the_role(desk: Desk, ana: Somebody, acme: Any, role: Any) -> None:
    bo = desk.person("bo")
    given = {"organization_id": acme.id, "role": MEMBER, "assigned_role_ids": [role.id]}
    ana("MemberService.AddMember", user_id=bo.id, **given)
    invited = ana("InvitationService.CreateInvitation", email="cy@example.com", **given)
    with pytest.raises(RoleAssigned):
        ana("RoleService.DeleteRole", organization_id=acme.id, role_id=role.id)
    deleted = ana("RoleService.DeleteRole", organization_id=acme.id, role_id=role.id, unassign=True)
    assert deleted == role_service_pb2.DeleteRoleResponse(
        revision=5, unassigned_user_ids=[bo.id], unassigned_invitation_ids=[invited.id]
    )


def test_permissions_are_listed_by_pages_with_what_they_are(ana: Somebody) -> None:
    first = ana("RoleService.ListPermissions", page_size=1)
    rest = ana("RoleService.ListPermissions", page_token=first.next_page_token)
    assert first.permissions == [role_pb2.Permission(name="api-token:create", description="Create API tokens")]
    flags = {found.name: (found.owner_only, found.implicit) for found in rest.permissions}
    assert (flags["organization:delete"], flags["organization:read"]) == ((True, False), (False, True))
    assert (len(rest.permissions), rest.next_page_token) == (len(CATALOG.all) - 1, "")
