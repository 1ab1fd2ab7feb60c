"""An organization with so many of everything, and somebody with so many organizations and invitations."""

from __future__ import annotations

from .requests import Objects
from .world import DEVELOPER, OWNER, World


class Crowd:
    """`size` members, roles, invitations and organizations; everybody has a system role and, all of them, the first role."""

    def __init__(self, world: World, size: int) -> None:
        self.owner = world.person("owner")
        self.organization = world.organization(self.owner)
        roles = [world.role(self.organization, self.owner, "sandbox:read") for _ in range(size)]
        members = [world.member(self.organization, self.owner, DEVELOPER, roles[0].id) for _ in range(size)]
        invitations = [
            world.invite(self.organization, self.owner, f"guest-{member.email}", DEVELOPER, roles[0].id) for member in members
        ]
        world.member(self.organization, self.owner, role=OWNER)
        for _ in range(size):
            world.organization(self.owner)
        hosts = [world.person("host") for _ in range(size)]
        offers = []
        for host in hosts:
            elsewhere = world.organization(host)
            offers.append(world.invite(elsewhere, host, self.owner.email, DEVELOPER))
        self.objects = Objects(
            organization_id=self.organization.id,
            role_id=roles[0].id,
            member_id=members[0].id,
            invitation_id=invitations[0].id,
            stranger_id=hosts[0].id,
            own_invitation_id=offers[0].id,
        )
