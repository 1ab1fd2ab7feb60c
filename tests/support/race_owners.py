"""Races between owners, after which one must be left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenantry_server.store.queries import members

from .race import Act, Code, Race, Refusal, Scene
from .raw import count
from .world import MEMBER, OWNER, Person, World


def _owners(world: World, organization: Any) -> str:
    owners = count(world.deployment.database, "memberships", organization_id=organization.id, role="owner")
    return "" if owners else "no owner is left"


def lost_rights(organization: Any, permission: str) -> tuple[Refusal, ...]:
    return (
        (Code.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": organization.id}),
        (Code.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": permission}),
    )


def leaves(organization: Any, who: Person) -> Act:
    last = (Code.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": organization.id})
    return Act(lambda: who.rpc("OrganizationService.LeaveOrganization", organization_id=organization.id), (last,))


def removes(organization: Any, who: Person, whom: Person) -> Act:
    return Act(
        lambda: who.rpc("MemberService.RemoveMember", organization_id=organization.id, user_id=whom.id),
        lost_rights(organization, "member:delete"),
    )


def demotes(organization: Any, who: Person, whom: Person, *role_ids: str) -> Act:
    return Act(
        lambda: who.rpc(
            "MemberService.UpdateMemberAccess",
            organization_id=organization.id,
            user_id=whom.id,
            role=MEMBER,
            assigned_role_ids=role_ids,
        ),
        lost_rights(organization, "member:update"),
    )


def transfers(organization: Any, who: Person, whom: Person) -> Act:
    gone = (Code.NOT_FOUND, "MEMBER_NOT_FOUND", {"user_id": whom.id})
    return Act(
        lambda: who.rpc("OrganizationService.TransferOwnership", organization_id=organization.id, user_id=whom.id),
        (*lost_rights(organization, "organization:transfer"), gone),
    )


_ENDS: dict[str, Callable[[Any, Person, Person], Act]] = {
    "leaves": lambda organization, who, other: leaves(organization, who),
    "is removed": lambda organization, who, other: removes(organization, other, who),
    "is demoted": lambda organization, who, other: demotes(organization, other, who),
}


def _two_owners(first: str, second: str) -> Race:
    def stage(world: World, crowd: int) -> Scene:
        ana, bo = world.person("ana"), world.person("bo")
        organization = world.organization(ana)
        world.join(organization, ana, bo, role=OWNER)
        acts = [_ENDS[first](organization, ana, bo), _ENDS[second](organization, bo, ana)]
        return Scene(acts, wrong=lambda results: _owners(world, organization), organization_id=organization.id)

    return Race(f"one owner {first} while the other {second}", stage, (members.UPDATE, members.DELETE))


def _transfer_against(end: str) -> Race:
    def stage(world: World, crowd: int) -> Scene:
        ana, bo = world.person("ana"), world.person("bo")
        organization = world.organization(ana)
        world.join(organization, ana, bo)
        other = removes(organization, ana, bo) if end == "is removed" else leaves(organization, bo)
        # Who leaves after the transfer is the last owner; who is removed by then is removed by a plain member.
        return Scene(
            [transfers(organization, ana, bo), other],
            wrong=lambda results: _owners(world, organization),
            organization_id=organization.id,
        )

    return Race(f"the ownership is transferred to a member who {end}", stage, (members.UPDATE, members.DELETE))


def _two_transfers(world: World, crowd: int) -> Scene:
    ana, bo, cy = world.person("ana"), world.person("bo"), world.person("cy")
    organization = world.organization(ana)
    for heir in (bo, cy):
        world.join(organization, ana, heir)
    return Scene(
        [transfers(organization, ana, bo), transfers(organization, ana, cy)],
        wrong=lambda results: _owners(world, organization),
        organization_id=organization.id,
    )


RACES = (
    *(_two_owners(first, second) for index, first in enumerate(_ENDS) for second in list(_ENDS)[index:]),
    _transfer_against("is removed"),
    _transfer_against("leaves"),
    Race("the ownership is transferred to two members", _two_transfers, (members.UPDATE,)),
)
