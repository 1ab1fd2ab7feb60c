"""The published Python client of Daytona, 0.190.0, as a conformance client: it raises where an answer has another form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pytest
from daytona_api_client import (
    CreateOrganization,
    CreateOrganizationInvitation,
    CreateOrganizationRole,
    Organization,
    OrganizationInvitation,
    OrganizationRole,
    OrganizationSandboxDefaultLimitedNetworkEgress,
    OrganizationsApi,
    OrganizationUser,
    UpdateOrganizationDefaultRegion,
    UpdateOrganizationInvitation,
    UpdateOrganizationMemberAccess,
    UpdateOrganizationRole,
)
from daytona_api_client.exceptions import (
    ApiException,
    BadRequestException,
    ConflictException,
    ForbiddenException,
    NotFoundException,
    UnauthorizedException,
)
from e2e.clients import connecting
from e2e.scene import DEVELOPER, UNKNOWN, Scene
from support.gateway import Front
from support.world import Person

from tenantry_server.domain.ids import to_uuid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Connect = Callable[[Person | str], Any]


@pytest.fixture
def connect(gateway: Front) -> Iterator[Connect]:
    """The organizations of the gateway, for people or tokens."""
    with connecting(gateway) as connected:
        yield lambda caller: OrganizationsApi(connected(caller))


def test_it_is_the_version_that_the_document_belongs_to() -> None:
    assert version("daytona-api-client") == "0.190.0"


def test_an_organization_lives_its_whole_life(scene: Scene, connect: Connect) -> None:
    owner = connect(scene.owner)
    made = owner.create_organization(CreateOrganization(name="My Organization", default_region_id="us"))
    assert isinstance(made, Organization)
    assert (made.name, made.created_by, made.default_region_id) == ("My Organization", to_uuid(scene.owner.id), "us")
    assert (made.personal, made.suspended, made.sandbox_limited_network_egress) == (False, False, False)
    assert (made.suspended_at, made.suspended_until, made.suspension_reason) == (EPOCH, EPOCH, "")
    assert (made.max_cpu_per_sandbox, made.max_memory_per_sandbox, made.max_disk_per_sandbox) == (4, 8, 10)
    assert made.experimental_config == {}
    assert made.created_at == made.updated_at > datetime(2020, 1, 1, tzinfo=UTC)

    assert owner.get_organization(made.id) == made
    assert [each.id for each in owner.list_organizations()][-1] == made.id
    assert all(isinstance(each, Organization) for each in owner.list_organizations())

    assert owner.set_organization_default_region(made.id, UpdateOrganizationDefaultRegion(default_region_id="eu")) is None
    egress = OrganizationSandboxDefaultLimitedNetworkEgress(sandbox_default_limited_network_egress=True)
    assert owner.update_sandbox_default_limited_network_egress(made.id, egress) is None
    config = {"otel": {"endpoint": "http://otel-collector:4317", "headers": {"api-key": "XXX"}}}
    assert owner.update_experimental_config(made.id, config) is None
    changed = owner.get_organization(made.id)
    assert (changed.default_region_id, changed.sandbox_limited_network_egress) == ("eu", True)
    assert changed.experimental_config["otel"]["headers"] == {"api-key": "******"}
    assert owner.update_experimental_config(made.id) is None
    assert owner.get_organization(made.id).experimental_config == {}

    assert owner.delete_organization(made.id) is None
    with pytest.raises(ForbiddenException):
        owner.get_organization(made.id)


def test_roles_are_made_changed_and_deleted(scene: Scene, connect: Connect) -> None:
    owner, here = connect(scene.owner), scene.uuid(scene.organization)
    wanted: dict[str, Any] = {"name": "Maintainer", "description": "Can manage all resources"}
    made = owner.create_organization_role(here, CreateOrganizationRole(**wanted, permissions=["write:sandboxes"]))
    assert isinstance(made, OrganizationRole)
    assert (made.name, made.permissions, made.is_global) == ("Maintainer", ["write:sandboxes"], False)
    body = UpdateOrganizationRole(**wanted, permissions=["write:sandboxes", "delete:sandboxes"])
    changed = owner.update_organization_role(here, made.id, body)
    assert sorted(changed.permissions) == ["delete:sandboxes", "write:sandboxes"]
    listed = owner.list_organization_roles(here)
    assert listed[-1] == changed
    assert [each.name for each in listed if each.id == DEVELOPER and each.is_global] == ["Developer"]
    assert owner.delete_organization_role(here, made.id) is None
    assert changed not in owner.list_organization_roles(here)


def test_people_are_invited_join_change_and_go(scene: Scene, connect: Connect) -> None:
    owner, guest, here = connect(scene.owner), connect(scene.stranger), scene.uuid(scene.organization)
    email, user = scene.stranger.email, scene.uuid(scene.stranger)

    def invite() -> OrganizationInvitation:
        wanted = CreateOrganizationInvitation(email=email, role="member", assigned_role_ids=[DEVELOPER])
        made = owner.create_organization_invitation(here, wanted)
        assert isinstance(made, OrganizationInvitation)
        assert (made.email, made.role, made.status, made.invited_by) == (email, "member", "pending", scene.owner.email)
        return made

    # cancelled
    first = invite()
    expiry = datetime(2030, 1, 1, tzinfo=UTC)
    wanted = UpdateOrganizationInvitation(role="owner", assigned_role_ids=[], expires_at=expiry)
    changed = owner.update_organization_invitation(here, first.id, wanted)
    assert (changed.role, changed.expires_at, changed.assigned_roles) == ("owner", expiry, [])
    assert owner.list_organization_invitations(here) == [changed]
    assert owner.cancel_organization_invitation(here, first.id) is None
    # declined
    second = invite()
    assert guest.list_organization_invitations_for_authenticated_user() == [second]
    assert guest.get_organization_invitations_count_for_authenticated_user() == 1
    assert guest.decline_organization_invitation(second.id) is None
    assert guest.get_organization_invitations_count_for_authenticated_user() == 0
    # accepted, and left
    accepted = guest.accept_organization_invitation(invite().id)
    assert isinstance(accepted, OrganizationInvitation)
    assert (accepted.status, accepted.assigned_roles[0].name) == ("accepted", "Developer")
    everybody = guest.list_organization_members(here)
    assert all(isinstance(each, OrganizationUser) for each in everybody)
    assert [(each.user_id, each.role) for each in everybody] == [(to_uuid(scene.owner.id), "owner"), (user, "member")]
    assert guest.leave_organization(here) is None
    # accepted, changed, and removed
    assert guest.accept_organization_invitation(invite().id).status == "accepted"
    access = UpdateOrganizationMemberAccess(role="owner", assigned_role_ids=[])
    member = owner.update_access_for_organization_member(here, user, access)
    assert isinstance(member, OrganizationUser)
    assert (member.user_id, member.email, member.role, member.assigned_roles) == (user, email, "owner", [])
    assert owner.delete_organization_member(here, user) is None
    assert [each.user_id for each in owner.list_organization_members(here)] == [to_uuid(scene.owner.id)]


def test_refusals_are_the_clients_own_exceptions_and_can_be_read(scene: Scene, connect: Connect) -> None:
    owner, member, stranger = connect(scene.owner), connect(scene.member), connect(scene.stranger)
    nobody, here = connect("garbage"), scene.uuid(scene.organization)
    role = CreateOrganizationRole(name="x", description="", permissions=["write:sandboxes"])
    offer = CreateOrganizationInvitation(email=scene.member.email, role="member", assigned_role_ids=[])
    nowhere = UpdateOrganizationDefaultRegion(default_region_id="mars")
    unknown = "defaultRegionId is not a known region"
    denied = f"no access to organization {here}, or it does not exist"
    cases: list[tuple[Callable[[], Any], type[ApiException], str]] = [
        (nobody.list_organizations, UnauthorizedException, "the credential is not valid"),
        (lambda: stranger.get_organization(here), ForbiddenException, denied),
        (lambda: member.create_organization_role(here, role), ForbiddenException, "permission missing: role:create"),
        (lambda: owner.delete_organization_role(here, UNKNOWN), NotFoundException, f"role {UNKNOWN} not found"),
        (lambda: owner.delete_organization_member(here, "auth0|x"), NotFoundException, "member auth0|x not found"),
        (lambda: member.accept_organization_invitation(UNKNOWN), NotFoundException, f"invitation {UNKNOWN} not found"),
        (lambda: owner.create_organization_invitation(here, offer), ConflictException, "already a member"),
        (lambda: owner.set_organization_default_region(here, nowhere), BadRequestException, unknown),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind) as caught:
            call()
        assert json.loads(caught.value.body or "")["message"] == message
