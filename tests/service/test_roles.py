"""Roles: what they may consist of and be called, and who may change them."""

from typing import Any

import pytest
from grpc import StatusCode
from support.deployment import CATALOG
from support.rpc import Refused
from support.world import AUDITOR, DEVELOPER, SANDBOXES_ADMIN, Person, World

from tenantry_server.domain import ids

CREATE, UPDATE, DELETE = "RoleService.CreateRole", "RoleService.UpdateRole", "RoleService.DeleteRole"
GET, LIST = "RoleService.GetRole", "RoleService.ListRoles"


def may_read_audit(person: Person, organization: Any) -> bool:
    """Whether somebody holds audit-log:read, seen by what it does."""
    try:
        person.rpc("AuditService.ListAuditEvents", organization_id=organization.id)
    except Refused as refusal:
        if refusal.seen != (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "audit-log:read"}):
            raise
        return False
    return True


def test_role_is_created_as_asked(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = ana.rpc(
        CREATE,
        organization_id=acme.id,
        name="Ops",
        description="Runs things",
        permissions=["sandbox:write", "audit-log:read"],
    )
    assert (role.organization_id, role.name, role.description) == (acme.id, "Ops", "Runs things")
    assert list(role.permissions) == ["audit-log:read", "sandbox:write"]
    assert (role.system, role.assignable, role.revision) == (False, True, acme.revision + 1)
    assert ana.rpc(GET, organization_id=acme.id, role_id=role.id) == role


def test_names_need_not_be_unique(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    assert world.role(acme, ana, "sandbox:read").id != world.role(acme, ana, "sandbox:read").id


def test_roles_consist_of_grantable_permissions_of_the_catalog(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:read")
    wrong = ["sandbox:read", "no:such", "organization:delete", "organization:transfer"]
    with world.unchanged(acme):
        made = ana.rpc.refusal(CREATE, organization_id=acme.id, name="Ops", permissions=wrong)
        changed = ana.rpc.refusal(UPDATE, organization_id=acme.id, role_id=role.id, permissions=wrong)
    fields = {"fields": "permissions[1],permissions[2],permissions[3]"}
    assert made.seen == changed.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields)
    rules = ["UNKNOWN_PERMISSION", "OWNER_ONLY_PERMISSION", "OWNER_ONLY_PERMISSION"]
    assert list(made.violations.values()) == list(changed.violations.values()) == rules


def test_nobody_creates_a_role_of_what_they_do_not_hold(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, "role:create", "sandbox:write")
    with world.unchanged(acme):
        refusal = mia.rpc.refusal(
            CREATE, organization_id=acme.id, name="Ops", permissions=["volume:write", "sandbox:write", "billing:read"]
        )
    beyond = {"permissions": "billing:read,volume:write"}
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", beyond)
    granted = ["role:create", "sandbox:read", "sandbox:write"]
    assert list(world.role(acme, mia, *granted).permissions) == granted


def test_nobody_adds_to_a_role_what_they_do_not_hold(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia, role = world.member_with(acme, ana, "role:update"), world.role(acme, ana, "sandbox:write")
    with world.unchanged(acme):
        refusal = mia.rpc.refusal(
            UPDATE, organization_id=acme.id, role_id=role.id, permissions=["sandbox:write", "billing:read"]
        )
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "billing:read"})


def test_what_a_role_grants_already_can_be_kept_and_taken_by_others(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia, role = world.member_with(acme, ana, "role:update"), world.role(acme, ana, "sandbox:write", "volume:write")
    kept = mia.rpc(UPDATE, organization_id=acme.id, role_id=role.id, permissions=["sandbox:write", "role:update"])
    assert list(kept.permissions) == ["role:update", "sandbox:write"]
    with world.unchanged(acme):
        refusal = mia.rpc.refusal(UPDATE, organization_id=acme.id, role_id=role.id, permissions=["volume:write"])
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "volume:write"})


@pytest.mark.parametrize("whose", ["owner", "owner, bound", "organization"])
def test_narrowed_token_makes_and_widens_roles_within_its_bounds(world: World, whose: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:write")
    person, bound = (None if whose == "organization" else ana), ("" if whose == "owner" else acme.id)
    permissions = ["role:create", "role:update", "sandbox:write"]
    narrow = world.client(world.token(person, organization_id=bound, permissions=permissions))
    wanted = ["sandbox:read", "sandbox:write", "volume:read"]
    with world.unchanged(acme):
        made = narrow.refusal(CREATE, organization_id=acme.id, name="Ops", permissions=wanted)
        widened = narrow.refusal(UPDATE, organization_id=acme.id, role_id=role.id, permissions=wanted)
    beyond = (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "sandbox:read,volume:read"})
    assert made.seen == widened.seen == beyond
    assert narrow(CREATE, organization_id=acme.id, name="Ops", permissions=permissions)


@pytest.mark.parametrize(
    "fields",
    [{"permissions": ["role:update", "role:delete"]}, {"permissions": ["role:update", "audit-log:read"]}, {"name": "New"}],
)
def test_nobody_changes_a_role_that_they_have(world: World, fields: dict[str, Any]) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "role:update", "role:delete")
    mia = world.member(acme, ana, role.id, SANDBOXES_ADMIN)
    bound = world.client(world.token(mia, organization_id=acme.id))
    with world.unchanged(acme):
        for client in (mia.rpc, bound):
            refusal = client.refusal(UPDATE, organization_id=acme.id, role_id=role.id, **fields)
            assert refusal.seen == (StatusCode.PERMISSION_DENIED, "OWN_ACCESS", {})


def test_nobody_deletes_a_role_that_they_have(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "role:update", "role:delete")
    mia = world.member(acme, ana, role.id)
    with world.unchanged(acme):
        for unassign in (False, True):
            refusal = mia.rpc.refusal(DELETE, organization_id=acme.id, role_id=role.id, unassign=unassign)
            assert refusal.seen == (StatusCode.PERMISSION_DENIED, "OWN_ACCESS", {})


def test_owner_changes_and_deletes_a_role_that_they_have(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:write")
    bo = world.member(acme, ana, role.id, role="MEMBER_ROLE_OWNER")
    changed = bo.rpc(UPDATE, organization_id=acme.id, role_id=role.id, permissions=["volume:write"])
    assert list(changed.permissions) == ["volume:write"]
    deletion = bo.rpc(DELETE, organization_id=acme.id, role_id=role.id, unassign=True)
    assert list(deletion.unassigned_user_ids) == [bo.id]


def test_change_of_a_role_reaches_who_has_it_at_once(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:write")
    mia = world.member(acme, ana, role.id)
    assert not may_read_audit(mia, acme)
    ana.rpc(UPDATE, organization_id=acme.id, role_id=role.id, permissions=["audit-log:read"])
    assert may_read_audit(mia, acme)
    ana.rpc(UPDATE, organization_id=acme.id, role_id=role.id, permissions=["sandbox:write"])
    assert not may_read_audit(mia, acme)


def test_system_roles_cannot_be_changed_or_deleted(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    program = world.client(world.token(organization_id=acme.id))
    with world.unchanged(acme):
        for role_id in CATALOG.roles:
            changed = ana.rpc.refusal(UPDATE, organization_id=acme.id, role_id=role_id, name="Ours")
            deleted = program.refusal(DELETE, organization_id=acme.id, role_id=ids.to_uuid(role_id), unassign=True)
            expected = (StatusCode.FAILED_PRECONDITION, "SYSTEM_ROLE", {"role_id": role_id})
            assert changed.seen == deleted.seen == expected


@pytest.mark.parametrize(
    "name",
    [
        "owner",
        "Owner",
        " OWNER ",
        "owners",
        "оwner",
        "0wner",
        "ｏｗｎｅｒ",
        "o w n e r",
        "Οwner",
        "ownеr",
        "ow\u200bner",
        "Öwner",
        "o-w_n.e r!",
    ],
)
def test_names_that_look_like_owner_are_refused(world: World, name: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:read")
    with world.unchanged(acme):
        made = ana.rpc.refusal(CREATE, organization_id=acme.id, name=name, permissions=["sandbox:read"])
        renamed = ana.rpc.refusal(UPDATE, organization_id=acme.id, role_id=role.id, name=name)
    assert made.seen == renamed.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "name"})
    assert made.violations == renamed.violations == {"name": "OWNER_LOOK_ALIKE"}


def test_names_that_only_contain_owner_are_fine(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    for name in ("Co-owner", "Product owner", "Downer"):
        assert world.role(acme, ana, "sandbox:read", name=name).name == name


def test_listing_shows_system_roles_first_and_none_of_others(world: World) -> None:
    ana, eve = world.person(), world.person()
    acme = world.organization(ana)
    world.role(world.organization(eve), eve, "sandbox:read")
    own = [world.role(acme, ana, "sandbox:read").id for _ in range(3)]
    listed = ana.rpc(LIST, organization_id=acme.id).roles
    assert [role.id for role in listed] == [*sorted(CATALOG.roles), *sorted(own)]
    assert [role.system for role in listed] == [True] * len(CATALOG.roles) + [False] * 3


def test_catalog_of_permissions_is_read_with_any_credential(world: World) -> None:
    ana = world.person()
    narrow = world.client(world.token(ana, organization_id=ana.personal_organization_id, permissions=["sandbox:read"]))
    permissions = narrow("RoleService.ListPermissions", page_size=1000).permissions
    assert [permission.name for permission in permissions] == sorted(CATALOG.all)
    assert {permission.name for permission in permissions if permission.owner_only} == CATALOG.owner_only
    assert {permission.name for permission in permissions if permission.implicit} == CATALOG.implicit


def test_plain_members_change_no_roles(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia, role = world.member(acme, ana, DEVELOPER, AUDITOR), world.role(acme, ana, "sandbox:read")
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        (CREATE, "role:create", {"name": "Ops", "permissions": ["sandbox:read"]}),
        (UPDATE, "role:update", {"role_id": role.id, "permissions": ["sandbox:read"]}),
        (DELETE, "role:delete", {"role_id": role.id}),
    ]
    with world.unchanged(acme):
        for method, permission, fields in attempts:
            refusal = mia.rpc.refusal(method, organization_id=acme.id, **fields)
            assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": permission})
