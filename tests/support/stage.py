"""An organization with one of everything that requests can name, in one of its three states; and who may ask for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from tenantry_server.domain import call as calls
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.tokens import ApiToken

from .descriptors import access_of, is_metered, is_platform, label, reference_of
from .requests import Objects, build
from .rpc import Client, Refused
from .world import OWNER, World, fresh

# What the stage's role and tokens grant: what every member holds, so that whoever may grant anything may grant this.
HARMLESS = "sandbox:read"
KEY = "Key"
ENDPOINTS = ("proxy", "ssh_gateway", "snapshot_manager")
# Changes that are told in two trails, by an event each: of a user who leaves the organization that they alone own, and of
# one who is removed from the trail that is theirs, and then from the platform's, by a change each.
_TOLD_TWICE = {"UserService.DeleteUser", "UserService.EraseUser"}


class Stage:
    """One owner who acts, another who stays behind, a member, a role, an invitation, tokens; a stranger; an invitation to the
    owner; an operator, and users for operators to act upon.
    """

    def __init__(self, world: World, state: OrganizationState = OrganizationState.ACTIVE) -> None:
        self.world = world
        self.state = state
        self.owner = world.person("owner")
        self.organization = world.organization(self.owner)
        self.other_owner = world.member(self.organization, self.owner, role=OWNER)
        self.member = world.member(self.organization, self.owner)
        self.role = world.role(self.organization, self.owner, HARMLESS)
        self.invitation = world.invite(self.organization, self.owner, f"invited-{self.member.email}")
        self.stranger = world.person("stranger")
        self.elsewhere = world.organization(self.stranger, "Elsewhere")
        self.own_invitation = world.invite(self.elsewhere, self.stranger, self.owner.email)
        world.export_telemetry(self.organization, self.owner)
        self._make_tokens()
        self._make_users()
        self._make_region()
        self._enter(state)

    def _make_tokens(self) -> None:
        provision, here = self.world.services.api_tokens.provision, self.organization.id
        owned = {"organization_id": here, "permissions": [HARMLESS]}
        self.api_token = provision(calls.operator("test"), **owned)
        self.own_token = provision(calls.operator("test"), user_id=self.owner.id, name=KEY, **owned)
        self.members_token = provision(calls.operator("test"), user_id=self.member.id, name=KEY, **owned)
        made = self.world.services.platform_tokens.provision(calls.operator("test"), permissions=["user:read"])
        self.platform_token: ApiToken = made
        self.operator_token = self.world.platform_token()
        self.operator = self.world.client(self.operator_token)

    def _make_users(self) -> None:
        self.user = self.world.person("user")
        self.left = self.world.organization(self.user, "Left")
        self.deleted_user = self.world.person("deleted")
        self.operator("UserService.DeleteUser", user_id=self.deleted_user.id)

    def _make_region(self) -> None:
        """A custom region, one of the platform, a quota in another, a lease that is reserved there and a committed one."""
        self.platform_region = self.operator(
            "RegionService.CreatePlatformRegion", id=fresh("region"), type="REGION_TYPE_SHARED"
        )
        here = {"organization_id": self.organization.id}
        places = {f"{name}_url": f"https://{name.replace('_', '-')}.example" for name in ENDPOINTS}
        self.region = self.owner.rpc("RegionService.CreateRegion", name=fresh("Region"), **places, **here)
        self.operator("QuotaService.CreateRegionQuota", region_id="us", limits=[{"metric": "cpu", "limit": 1000}], **here)
        self.reserved, self.committed = (
            self.operator(
                "QuotaService.Reserve",
                region_id="us",
                resource_type="sandbox",
                resource_id=fresh("sandbox"),
                amounts=[{"metric": "cpu", "amount": 2}],
                **here,
            )
            for _ in range(2)
        )
        self.resource_token = fresh("resource-token-")
        self.operator("QuotaService.Commit", lease_id=self.committed.id, resource_token=self.resource_token, **here)
        key = {"region_id": self.region.id, "endpoint": "REGION_ENDPOINT_PROXY"}
        self.region_key = self.owner.rpc("RegionService.RotateRegionKey", **key, **here).key

    @property
    def objects(self) -> Objects:
        """What requests name here."""
        return Objects(
            organization_id=self.organization.id,
            role_id=self.role.id,
            member_id=self.member.id,
            invitation_id=self.invitation.id,
            api_token_id=self.api_token.id,
            stranger_id=self.stranger.id,
            own_invitation_id=self.own_invitation.id,
            own_token_id=self.own_token.id,
            key_name=KEY,
            user_id=self.user.id,
            user_email=self.user.email,
            left_id=self.left.id,
            deleted_user_id=self.deleted_user.id,
            platform_token_id=self.platform_token.id,
            region_id=self.region.id,
            region_key=self.region_key,
            platform_region_id=self.platform_region.id,
            lease_id=self.reserved.id,
            resource_id=self.committed.resource_id,
            resource_token=self.resource_token,
        )

    def actor(self, method: MethodDescriptor) -> Client:
        """Who may ask for it: the operator for what is the platform's, the owner for all else."""
        return self.operator if is_platform(method) else self.owner.rpc

    def request(self, method: MethodDescriptor, **options: Any) -> Any:
        """A good request of a method, about this stage."""
        return build(method, self.objects, **options)

    def etag_for(self, method: MethodDescriptor) -> str:
        """The present etag of what this method changes: of the one object that its request names, or of the organization."""
        get, read, here = self.owner.rpc, self.operator, {"organization_id": self.organization.id}
        named = next((field for field in method.input_type.fields if field.name.endswith("_id") and _is_object(field)), None)
        if "platform_region_id" in method.input_type.fields_by_name:
            return str(self.platform_region.etag)
        if named is None and "resource_class" in method.input_type.fields_by_name:
            return str(read("QuotaService.GetRegionQuota", region_id="us", **here).etag)
        if named is None:
            return str(get("OrganizationService.GetOrganization", **here).etag)
        value = getattr(self.request(method), named.name)
        found: dict[str, Callable[[], Any]] = {
            self.role.id: lambda: get("RoleService.GetRole", role_id=value, **here),
            self.member.id: lambda: get("MemberService.GetMember", user_id=value, **here),
            self.invitation.id: lambda: get("InvitationService.GetInvitation", invitation_id=value, **here),
            self.api_token.id: lambda: get("ApiTokenService.GetApiToken", api_token_id=value, **here).api_token,
            self.own_token.id: lambda: get("ApiTokenService.GetMyApiToken", api_token_id=value).api_token,
            self.platform_token.id: lambda: read("PlatformTokenService.GetPlatformToken", api_token_id=value).api_token,
            self.user.id: lambda: read("UserService.GetUser", user_id=value),
            self.region.id: lambda: get("RegionService.GetRegion", region_id=value, **here),
        }
        return str(found[value]().etag)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The organization is active for a while, to change who is in it."""
        self._leave(self.state)
        yield
        self._enter(self.state)

    def _enter(self, state: OrganizationState) -> None:
        if state is OrganizationState.SUSPENDED:
            self.world.set_state(self.organization.id, state)
        if state is OrganizationState.DELETED:
            self.owner.rpc("OrganizationService.DeleteOrganization", organization_id=self.organization.id)

    def _leave(self, state: OrganizationState) -> None:
        if state is OrganizationState.SUSPENDED:
            self.world.set_state(self.organization.id, OrganizationState.ACTIVE)
        if state is OrganizationState.DELETED:
            self.owner.rpc("OrganizationService.UndeleteOrganization", organization_id=self.organization.id)


def state_for(method: MethodDescriptor) -> OrganizationState:
    """The state in which a change is possible: what works on deleted organizations is there to bring them back."""
    return OrganizationState.DELETED if access_of(method).allow_deleted else OrganizationState.ACTIVE


def _is_object(field: FieldDescriptor) -> bool:
    """Whether an id names what changes: an object of the organization, or what belongs to the caller or the operator."""
    return bool(reference_of(field)) or field.name in ("user_id", "api_token_id")


def events_of(method: MethodDescriptor) -> int:
    """How many events a change has: one for each organization, or the platform, that it is a change of."""
    if is_metered(method):
        return 0
    return 2 if label(method) in _TOLD_TWICE else 1


def outcome(client: Client, method: MethodDescriptor, request: Any, **options: Any) -> Any:
    """The answer, or the refusal as a value."""
    try:
        return client.send(method.full_name, request, **options)
    except Refused as refusal:
        return refusal
