"""Update masks: what is changed is what the mask names, or, without one, what the request carries (AIP-134)."""

from typing import Any

import pytest
from grpc import StatusCode
from support.rpc import Refused
from support.world import AUDITOR, OWNER, Person, World

UPDATE_ORGANIZATION = "OrganizationService.UpdateOrganization"
UPDATE_SETTINGS = "OrganizationService.UpdateOrganizationSettings"
UPDATE_ROLE, UPDATE_INVITATION = "RoleService.UpdateRole", "InvitationService.UpdateInvitation"


def mask(*paths: str) -> dict[str, list[str]]:
    return {"paths": list(paths)}


def with_role(world: World) -> tuple[Person, Any, Any, dict[str, str]]:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:read")
    return ana, acme, role, {"organization_id": acme.id, "role_id": role.id}


def with_invitation(world: World) -> tuple[Person, Any, Any, dict[str, str]]:
    ana = world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, "guest@example.com", AUDITOR)
    return ana, acme, offer, {"organization_id": acme.id, "invitation_id": offer.id}


def ensure_wrong_mask(refusal: Refused, field: str) -> None:
    assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": field})
    assert refusal.violations == {field: "UPDATE_MASK"}


def test_without_a_mask_what_is_present_is_changed(world: World) -> None:
    ana, _, role, key = with_role(world)
    renamed = ana.rpc(UPDATE_ROLE, **key, name="New")
    assert (renamed.name, renamed.description, renamed.permissions) == ("New", role.description, role.permissions)
    described = ana.rpc(UPDATE_ROLE, **key, description="What for", update_mask=mask())
    assert (described.name, described.description) == ("New", "What for")
    emptied = ana.rpc(UPDATE_ROLE, **key, description="")
    assert (emptied.name, emptied.description) == ("New", "")


def test_change_of_nothing_is_a_change_without_fields(world: World) -> None:
    ana, acme, role, key = with_role(world)
    after = ana.rpc(UPDATE_ROLE, **key)
    assert (after.name, after.permissions, after.revision) == (role.name, role.permissions, role.revision + 1)
    event = world.events(acme, ana)[0]
    assert (event.action, event.revision, list(event.changes)) == ("role.update", after.revision, [])


def test_what_the_mask_does_not_name_is_left_alone(world: World) -> None:
    ana, _, role, key = with_role(world)
    after = ana.rpc(
        UPDATE_ROLE, **key, name="New", description="Other", permissions=["volume:read"], update_mask=mask("description")
    )
    assert (after.name, after.description, after.permissions) == (role.name, "Other", role.permissions)


def test_what_the_mask_does_not_name_is_not_judged_either(world: World) -> None:
    ana, _, _, key = with_invitation(world)
    after = ana.rpc(UPDATE_INVITATION, **key, role=OWNER, expire_time={"seconds": 1}, update_mask=mask("role"))
    assert after.role == 1


def test_field_that_is_named_twice_is_changed_once(world: World) -> None:
    ana, _, _, key = with_role(world)
    after = ana.rpc(UPDATE_ROLE, **key, name="New", update_mask=mask("name", "name", "name"))
    assert (after.name, after.revision) == ("New", world.revision(after.organization_id))


def test_asterisk_stands_for_all_fields(world: World) -> None:
    ana, acme, _, key = with_role(world)
    after = ana.rpc(UPDATE_ROLE, **key, name="New", description="Other", permissions=["volume:read"], update_mask=mask("*"))
    assert (after.name, after.description, list(after.permissions)) == ("New", "Other", ["volume:read"])
    renamed = ana.rpc(UPDATE_ORGANIZATION, organization_id=acme.id, name="New", update_mask=mask("*"))
    assert renamed.name == "New"


def test_list_that_is_named_and_absent_is_emptied(world: World) -> None:
    ana, _, _, key = with_invitation(world)
    after = ana.rpc(UPDATE_INVITATION, **key, update_mask=mask("assigned_role_ids"))
    assert list(after.assigned_roles) == []
    ana, _, _, key = with_role(world)
    assert list(ana.rpc(UPDATE_ROLE, **key, update_mask=mask("permissions")).permissions) == []


@pytest.mark.parametrize("named", [mask("name"), mask("description"), mask("name", "permissions"), mask("*")])
def test_field_of_a_role_that_is_named_and_absent_is_refused(world: World, named: dict[str, list[str]]) -> None:
    ana, acme, _, key = with_role(world)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(UPDATE_ROLE, **key, update_mask=named)
    ensure_wrong_mask(refusal, "name" if named["paths"] != ["description"] else "description")


@pytest.mark.parametrize("field", ["role", "expire_time"])
def test_field_of_an_invitation_that_is_named_and_absent_is_refused(world: World, field: str) -> None:
    ana, acme, _, key = with_invitation(world)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(UPDATE_INVITATION, **key, assigned_role_ids=[], update_mask=mask(field))
    ensure_wrong_mask(refusal, field)


@pytest.mark.parametrize("field", ["limited_network_egress", "experimental_config"])
def test_setting_that_is_named_and_absent_is_refused(world: World, field: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(UPDATE_SETTINGS, organization_id=acme.id, update_mask=mask(field))
    ensure_wrong_mask(refusal, field)


def test_setting_that_is_present_and_false_is_changed(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    ana.rpc(UPDATE_SETTINGS, organization_id=acme.id, limited_network_egress=True, experimental_config={"a": 1})
    named = mask("limited_network_egress")
    after = ana.rpc(
        UPDATE_SETTINGS, organization_id=acme.id, limited_network_egress=False, experimental_config={}, update_mask=named
    )
    assert not after.settings.limited_network_egress
    assert dict(after.settings.experimental_config) == {"a": 1}
    emptied = ana.rpc(UPDATE_SETTINGS, organization_id=acme.id, experimental_config={})
    assert dict(emptied.settings.experimental_config) == {}


@pytest.mark.parametrize(
    "path",
    [
        *("id", "organization_id", "system", "revision", "etag", "request_id", "update_mask"),
        *("permissions.0", "Name", "", "name,description", "x" * 100_000),
    ],
)
def test_mask_names_fields_that_can_be_changed_alone(world: World, path: str) -> None:
    ana, acme, _, key = with_role(world)
    whole = {"name": "New", "description": "Other", "permissions": ["volume:read"]}
    with world.unchanged(acme):
        ensure_wrong_mask(ana.rpc.refusal(UPDATE_ROLE, **key, **whole, update_mask=mask(path)), "update_mask")
        ensure_wrong_mask(ana.rpc.refusal(UPDATE_ROLE, **key, **whole, update_mask=mask("name", path)), "update_mask")


def test_asterisk_stands_alone(world: World) -> None:
    ana, acme, _, key = with_role(world)
    with world.unchanged(acme):
        ensure_wrong_mask(ana.rpc.refusal(UPDATE_ROLE, **key, name="New", update_mask=mask("*", "name")), "update_mask")


def test_nothing_but_the_declared_fields_can_be_changed(world: World) -> None:
    """A6: slug, owner and state stay, whatever a mask says."""
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        for path in ("slug", "personal", "state", "creator_user_id", "settings", "default_region_id"):
            refusal = ana.rpc.refusal(UPDATE_ORGANIZATION, organization_id=acme.id, name="New", update_mask=mask(path))
            ensure_wrong_mask(refusal, "update_mask")
