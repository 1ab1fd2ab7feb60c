"""The races: each is staged anew for every round.

`tests/service/test_races.py` runs them against the server as it is, `test_race_controls.py` with the protection taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tenantry_server.services.service import Limits
from tenantry_server.store.queries import invitations, members, organizations, roles

from . import race_invitations, race_owners, race_quotas, race_suspensions
from .race import Act, Code, Race, Refusal, Scene, not_one
from .race_owners import demotes, removes
from .raw import count
from .world import DEVELOPER, World, fresh

_FEW_INVITATIONS = Limits(pending_invitations=3, organizations_per_user=1000)
_FEW_ROLES = Limits(roles=3, organizations_per_user=1000)
_FEW_ORGANIZATIONS = Limits(organizations_per_user=3)


def _last_invitation(world: World, crowd: int) -> Scene:
    owner = world.person("owner")
    organization = world.organization(owner)
    maximum = world.services.invitations.limits.pending_invitations
    for _ in range(maximum - 1):
        world.invite(organization, owner, f"{fresh('guest')}@example.com")
    full = (Code.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", {"limit": "pending invitations", "maximum": str(maximum)})
    act = Act(lambda: world.invite(organization, owner, f"{fresh('guest')}@example.com"), (full,))
    return Scene([act] * crowd, organization_id=organization.id)


def _last_role(world: World, crowd: int) -> Scene:
    owner = world.person("owner")
    organization = world.organization(owner)
    maximum = world.services.roles.limits.roles
    for _ in range(maximum - 1):
        world.role(organization, owner, "sandbox:read")
    full = (Code.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", {"limit": "roles", "maximum": str(maximum)})

    def wrong(results: list[Any]) -> str:
        kept = count(world.deployment.database, "roles", organization_id=organization.id)
        return "" if kept == maximum else f"{kept} roles of {maximum}"

    act = Act(lambda: world.role(organization, owner, "sandbox:read"), (full,))
    return Scene([act] * crowd, wrong=wrong, organization_id=organization.id)


def _no_more_organizations(world: World) -> Refusal:
    maximum = world.services.organizations.limits.organizations_per_user
    return (
        Code.RESOURCE_EXHAUSTED,
        "LIMIT_EXCEEDED",
        {"limit": "organizations created by a user", "maximum": str(maximum)},
    )


def _last_organization(world: World, crowd: int) -> Scene:
    owner = world.person("owner")
    for _ in range(world.services.organizations.limits.organizations_per_user - 2):
        world.organization(owner)
    return Scene([Act(lambda: world.organization(owner), (_no_more_organizations(world),))] * crowd)


def _create_or_undelete(world: World, crowd: int) -> Scene:
    owner = world.person("owner")
    first = world.organization(owner)
    owner.rpc("OrganizationService.DeleteOrganization", organization_id=first.id)
    for _ in range(world.services.organizations.limits.organizations_per_user - 2):
        world.organization(owner)
    full = (_no_more_organizations(world),)
    return Scene(
        [
            Act(lambda: world.organization(owner), full),
            Act(lambda: owner.rpc("OrganizationService.UndeleteOrganization", organization_id=first.id), full),
        ]
    )


def _adds(world: World, crowd: int) -> Scene:
    owner, newcomer = world.person("owner"), world.person("newcomer")
    organization = world.organization(owner)
    member = (Code.ALREADY_EXISTS, "ALREADY_MEMBER", {"user_id": newcomer.id})
    act = Act(lambda: world.join(organization, owner, newcomer), (member,))
    wrong = not_one(world, "memberships", organization_id=organization.id, user_id=newcomer.id)
    return Scene([act] * crowd, wrong=wrong, organization_id=organization.id)


def _delete_role_or(use: str) -> Callable[[World, int], Scene]:
    def stage(world: World, crowd: int) -> Scene:
        owner = world.person("owner")
        organization = world.organization(owner)
        member = world.member(organization, owner)
        role = world.role(organization, owner, "sandbox:write")
        used = {"members": str(int(use == "assigned")), "invitations": str(int(use == "offered"))}
        delete = Act(
            lambda: owner.rpc("RoleService.DeleteRole", organization_id=organization.id, role_id=role.id),
            ((Code.FAILED_PRECONDITION, "ROLE_ASSIGNED", {"role_id": role.id, **used}),),
        )
        other = (
            demotes(organization, owner, member, role.id)
            if use == "assigned"
            else Act(lambda: world.invite(organization, owner, f"{fresh('guest')}@example.com", role.id))
        )
        unknown = (Code.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "assigned_role_ids[0]"})

        def wrong(results: list[Any]) -> str:
            table = "membership_roles" if use == "assigned" else "invitation_roles"
            uses = count(world.deployment.database, table, organization_id=organization.id, role_id=role.id)
            exists = count(world.deployment.database, "roles", organization_id=organization.id, id=role.id)
            return "" if exists == uses else f"{exists} roles, {uses} uses"

        return Scene([delete, replace(other, refusals=(unknown,))], wrong=wrong, organization_id=organization.id)

    return stage


def _remove_or_assign(world: World, crowd: int) -> Scene:
    owner = world.person("owner")
    organization = world.organization(owner)
    member = world.member(organization, owner)
    gone = (Code.NOT_FOUND, "MEMBER_NOT_FOUND", {"user_id": member.id})

    def wrong(results: list[Any]) -> str:
        key = {"organization_id": organization.id, "user_id": member.id}
        left = count(world.deployment.database, "membership_roles", **key)
        return f"{left} roles assigned to nobody" if left and not count(world.deployment.database, "memberships", **key) else ""

    assign = replace(demotes(organization, owner, member, DEVELOPER), refusals=(gone,))
    return Scene([removes(organization, owner, member), assign], (1, 2), wrong, organization.id)


RACES = (
    *race_owners.RACES,
    *race_invitations.RACES,
    *race_quotas.RACES,
    *race_suspensions.RACES,
    Race("the last invitation is taken", _last_invitation, (invitations.INSERT,), 50, _FEW_INVITATIONS, rounds=5),
    Race("the last role is taken", _last_role, (roles.INSERT,), 50, _FEW_ROLES, rounds=5),
    Race("the last organization is taken", _last_organization, (organizations.INSERT,), 50, _FEW_ORGANIZATIONS, rounds=5),
    Race(
        "an organization is created and one undeleted",
        _create_or_undelete,
        (organizations.INSERT, organizations.SET_STATE),
        limits=_FEW_ORGANIZATIONS,
    ),
    Race("a member is added many times", _adds, (members.INSERT,), 8, constraints=("memberships",), rounds=10),
    Race(
        "a role is deleted and assigned",
        _delete_role_or("assigned"),
        (roles.UNASSIGN, members.UPDATE),
        constraints=("membership_roles",),
    ),
    Race(
        "a role is deleted and offered",
        _delete_role_or("offered"),
        (roles.UNASSIGN, invitations.INSERT),
        constraints=("invitation_roles",),
    ),
    Race(
        "a member is removed and assigned a role",
        _remove_or_assign,
        (members.DELETE, members.UPDATE),
        constraints=("membership_roles",),
    ),
)
