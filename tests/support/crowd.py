"""An organization with so many of everything, and somebody with so many organizations, invitations and tokens."""

from __future__ import annotations

from google.protobuf.descriptor import MethodDescriptor

from tenantry_server.domain import call as calls

from .descriptors import is_platform
from .requests import Objects
from .rpc import Client
from .stage import ENDPOINTS
from .world import DEVELOPER, OWNER, World, fresh

KEY = "Key"


class Crowd:
    """`size` members, roles, invitations, organizations and tokens of every kind; everybody has a system role and, all of them,
    the first role; every member has a token of their own, and one that is bound.
    """

    def __init__(self, world: World, size: int) -> None:
        self.world, self.size = world, size
        self.owner = world.person("owner")
        self.organization = world.organization(self.owner)
        roles = [world.role(self.organization, self.owner, "sandbox:read") for _ in range(size)]
        self.members = [world.member(self.organization, self.owner, DEVELOPER, roles[0].id) for _ in range(size)]
        invitations = [
            world.invite(self.organization, self.owner, f"guest-{member.email}", DEVELOPER, roles[0].id)
            for member in self.members
        ]
        world.member(self.organization, self.owner, role=OWNER)
        for _ in range(size):
            world.organization(self.owner)
        world.export_telemetry(self.organization, self.owner)
        self._named = {
            "organization_id": self.organization.id,
            "role_id": roles[0].id,
            "member_id": self.members[0].id,
            "invitation_id": invitations[0].id,
        }
        self.objects = Objects(**self._named, **self._offers(), **self._tokens(), **self._users(), **self._resources())

    def actor(self, method: MethodDescriptor) -> Client:
        """Who may ask for it."""
        return self.operator if is_platform(method) else self.owner.rpc

    def _offers(self) -> dict[str, str]:
        """Invitations to the owner, each of another host."""
        hosts = [self.world.person("host") for _ in range(self.size)]
        offers = [self.world.invite(self.world.organization(host), host, self.owner.email, DEVELOPER) for host in hosts]
        return {"stranger_id": hosts[0].id, "own_invitation_id": offers[0].id}

    def _tokens(self) -> dict[str, str]:
        """Of the organization, of the owner in it and of members, and of the platform."""
        provision, here = self.world.services.api_tokens.provision, self.organization.id
        owned = [provision(calls.operator("test"), organization_id=here) for _ in range(self.size)]
        own = [provision(calls.operator("test"), user_id=self.owner.id, organization_id=here) for _ in range(self.size)]
        for person in (self.owner, *self.members):
            provision(calls.operator("test"), user_id=person.id, organization_id=here, name=KEY)
        platform = [self.world.services.platform_tokens.provision(calls.operator("test")) for _ in range(self.size)]
        self.operator = self.world.client(platform[0].secret)
        ids = {"api_token_id": owned[0].id, "own_token_id": own[0].id, "platform_token_id": platform[1].id}
        return {**ids, "key_name": KEY}

    def _resources(self) -> dict[str, str]:
        """Custom regions, quotas, and leases of which some are committed."""
        here = {"organization_id": self.organization.id}
        places = {f"{name}_url": "https://a.example" for name in ENDPOINTS}
        platform_region = self.operator("RegionService.CreatePlatformRegion", id=fresh("region"), type="REGION_TYPE_SHARED")
        regions = [
            self.owner.rpc("RegionService.CreateRegion", name=fresh("Region"), **places, **here) for _ in range(self.size)
        ]
        key = {"region_id": regions[0].id, "endpoint": "REGION_ENDPOINT_PROXY"}
        held = self.owner.rpc("RegionService.RotateRegionKey", **key, **here)
        for name in ("container", "windows"):
            limits = [{"metric": "cpu", "limit": 1000}]
            self.operator("QuotaService.CreateRegionQuota", region_id="us", resource_class=name, limits=limits, **here)
        leases = [
            self.operator(
                "QuotaService.Reserve",
                region_id="us",
                resource_type="sandbox",
                resource_id=fresh("sandbox"),
                amounts=[{"metric": "cpu", "amount": 1}],
                **here,
            )
            for _ in range(2 * self.size)
        ]
        for lease in leases[self.size :]:
            self.operator("QuotaService.Commit", lease_id=lease.id, resource_token=f"token-of-{lease.id}", **here)
        named = {"region_id": regions[0].id, "region_key": held.key, "platform_region_id": platform_region.id}
        held_by = {"resource_id": leases[-1].resource_id, "resource_token": f"token-of-{leases[-1].id}"}
        return {**named, **held_by, "lease_id": leases[0].id}

    def _users(self) -> dict[str, str]:
        """Somebody to change and delete, and somebody who is deleted."""
        user, deleted = self.world.person("user"), self.world.person("deleted")
        left = self.world.organization(user)
        self.operator("UserService.DeleteUser", user_id=deleted.id)
        return {"user_id": user.id, "user_email": user.email, "left_id": left.id, "deleted_user_id": deleted.id}
