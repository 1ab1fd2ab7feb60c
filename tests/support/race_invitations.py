"""Races for an invitation, of which one must win."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tenantry_server.store.queries import invitations, members

from .interleave import Place
from .race import Act, Code, Race, Refusal, Scene, not_one
from .raw import count, values
from .world import DEVELOPER, SANDBOXES_ADMIN, Person, World, fresh


@dataclass
class Invited:
    """Somebody who is invited to an organization."""

    owner: Person
    guest: Person
    organization: Any
    invitation: Any
    world: World = field(repr=False)

    def on_their_side(self, method: str, *states: str) -> Act:
        """Accepts or declines; may be refused when the invitation is in one of the states."""
        return Act(
            lambda: self.guest.rpc(f"InvitationService.{method}", invitation_id=self.invitation.id), self._too_late(*states)
        )

    def on_ours(self, method: str, *states: str, **more: Any) -> Act:
        """Cancels or updates; may be refused when the invitation is in one of the states."""
        organization_id, invitation_id = self.organization.id, self.invitation.id
        return Act(
            lambda: self.owner.rpc(
                f"InvitationService.{method}", organization_id=organization_id, invitation_id=invitation_id, **more
            ),
            self._too_late(*states),
        )

    def _too_late(self, *states: str) -> tuple[Refusal, ...]:
        key = {"invitation_id": self.invitation.id}
        return tuple((Code.FAILED_PRECONDITION, "INVITATION_NOT_PENDING", {**key, "state": state}) for state in states)

    def wrong(self, results: list[Any]) -> str:
        """The guest is a member if and only if the invitation is accepted, and then with the roles that it offers."""
        key = {"organization_id": self.organization.id}
        state = values(self.world.deployment.database, "invitations", "state", id=self.invitation.id, **key)
        joined = count(self.world.deployment.database, "memberships", user_id=self.guest.id, **key)
        if (state == ["accepted"]) != (joined == 1):
            return f"the invitation is {state}, with {joined} memberships"
        offered = values(self.world.deployment.database, "invitation_roles", "role_id", invitation_id=self.invitation.id, **key)
        held = values(self.world.deployment.database, "membership_roles", "role_id", user_id=self.guest.id, **key)
        return f"offered {offered}, held {held}" if joined and offered != held else ""

    def scene(self, *acts: Act, wins: tuple[int, ...] = (1,)) -> Scene:
        """A scene that this must hold of."""
        return Scene(list(acts), wins, self.wrong, self.organization.id)


def invited(world: World, *role_ids: str) -> Invited:
    """Somebody new who is invited to an organization of somebody new."""
    owner, guest = world.person("owner"), world.person("guest")
    organization = world.organization(owner)
    return Invited(owner, guest, organization, world.invite(organization, owner, guest.email, *role_ids), world)


def _accepts(world: World, crowd: int) -> Scene:
    party = invited(world)
    return party.scene(*[party.on_their_side("AcceptInvitation", "accepted") for _ in range(crowd)])


def _accept_or(method: str, state: str, *, theirs: bool) -> Callable[[World, int], Scene]:
    def stage(world: World, crowd: int) -> Scene:
        party = invited(world)
        other = party.on_their_side(method, "accepted") if theirs else party.on_ours(method, "accepted")
        return party.scene(party.on_their_side("AcceptInvitation", state), other)

    return stage


def _accept_or_update(world: World, crowd: int) -> Scene:
    party = invited(world, DEVELOPER)
    fields: dict[str, Any] = {"assigned_role_ids": [SANDBOXES_ADMIN], "update_mask": {"paths": ["assigned_role_ids"]}}
    return party.scene(
        party.on_their_side("AcceptInvitation"), party.on_ours("UpdateInvitation", "accepted", **fields), wins=(1, 2)
    )


def _accept_or_add(world: World, crowd: int) -> Scene:
    party = invited(world)
    member = (Code.ALREADY_EXISTS, "ALREADY_MEMBER", {"user_id": party.guest.id})
    accept = party.on_their_side("AcceptInvitation", "cancelled")
    add = Act(lambda: world.join(party.organization, party.owner, party.guest), (member,))
    wrong = not_one(world, "memberships", organization_id=party.organization.id, user_id=party.guest.id)
    return Scene([accept, add], wrong=wrong, organization_id=party.organization.id)


def _same_address(world: World, crowd: int) -> Scene:
    owner = world.person("owner")
    organization = world.organization(owner)
    address = f"{fresh('guest')}@example.com"
    pending = (Code.ALREADY_EXISTS, "INVITATION_PENDING", {"email": address})
    spellings = (address, address.upper())

    def act(number: int) -> Act:
        return Act(lambda: world.invite(organization, owner, spellings[number % 2]), (pending,))

    wrong = not_one(world, "invitations", organization_id=organization.id, email=address, state="pending")
    return Scene([act(number) for number in range(crowd)], wrong=wrong, organization_id=organization.id)


_JOINING: tuple[Place, ...] = (members.INSERT, invitations.UPDATE)

RACES = (
    Race("an invitation is accepted many times", _accepts, (members.INSERT,), 20, constraints=("memberships",), rounds=10),
    Race("an invitation is accepted and cancelled", _accept_or("CancelInvitation", "cancelled", theirs=False), _JOINING),
    Race("an invitation is accepted and declined", _accept_or("DeclineInvitation", "declined", theirs=True), _JOINING),
    Race("an invitation is accepted and updated", _accept_or_update, (members.INSERT, invitations.UNOFFER)),
    Race("a member is added and accepts", _accept_or_add, (members.INSERT,), constraints=("memberships",)),
    Race("an address is invited many times", _same_address, (invitations.INSERT,), 8, constraints=("invitations",), rounds=10),
)
