"""Races of who is deleted with everybody else, after which every organization must have an active owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenantry_server.store.queries import members, organizations, users

from .interleave import Place
from .operators import delete_user
from .race import Act, Code, Race, Refusal, Scene
from .race_owners import demotes, leaves, removes, transfers
from .raw import connect
from .rpc import Client
from .world import OWNER, Person, World

_ORPHANS = """
    SELECT o.id FROM organizations o WHERE o.state <> 'deleted' AND NOT EXISTS (
        SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id
        WHERE m.organization_id = o.id AND m.role = 'owner' AND u.state = 'active')
    UNION ALL
    SELECT m.organization_id FROM memberships m
        JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.organization_id
        WHERE u.state <> 'active' AND o.state <> 'deleted'
    UNION ALL
    SELECT t.id FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE u.state <> 'active'"""
_WRONG_SUCCESSOR: Refusal = (Code.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "successors"})

_JOINING: tuple[Place, ...] = (members.INSERT, users.END_TOKENS)
_MEMBERS: tuple[Place, ...] = (members.UPDATE, members.DELETE)


def orphans(world: World) -> str:
    """Organizations without an active owner, and what is left of deleted users."""
    with connect(world.deployment.url) as connection:
        found = connection.execute(_ORPHANS)
    return f"without an active owner, or left behind: {found}" if found else ""


def goes(client: Client, who: Person, *heirs: tuple[Any, Person], refusals: Any = ()) -> Act:
    return Act(lambda: delete_user(client, who, *heirs), refusals)


def last_owner_of(organization: Any) -> Refusal:
    return Code.FAILED_PRECONDITION, "SUCCESSOR_MISSING", {"organization_ids": organization.id}


def no_member(who: Person) -> Refusal:
    return Code.NOT_FOUND, "MEMBER_NOT_FOUND", {"user_id": who.id}


def _gone(who: Person) -> tuple[Refusal, ...]:
    """What somebody who was deleted meanwhile is told: before the change, or inside it."""
    return (Code.UNAUTHENTICATED, "INVALID_CREDENTIAL", {}), (Code.NOT_FOUND, "USER_NOT_FOUND", {"user": who.id})


# What the other of two owners does meanwhile: the act, and how many of the two may succeed.
_OTHERS: dict[str, tuple[Callable[[Any, Person, Person], Act], tuple[int, ...]]] = {
    "the other owner leaves": (lambda organization, ana, bo: leaves(organization, bo), (1,)),
    "the other owner removes them": (lambda organization, ana, bo: removes(organization, bo, ana), (1, 2)),
    "the other owner demotes them": (lambda organization, ana, bo: demotes(organization, bo, ana), (1, 2)),
    "the other owner hands over to them": (lambda organization, ana, bo: transfers(organization, bo, ana), (1,)),
    "they remove the other owner": (lambda organization, ana, bo: removes(organization, ana, bo), (1,)),
    "they demote the other owner": (lambda organization, ana, bo: demotes(organization, ana, bo), (1,)),
}


def _two_owners(what: str) -> Race:
    make, wins = _OTHERS[what]

    def stage(world: World, crowd: int) -> Scene:
        client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
        organization = world.organization(ana)
        world.join(organization, ana, bo, role=OWNER)
        act = make(organization, ana, bo)
        act.refusals += (*_gone(ana), no_member(ana))
        deletion = goes(client, ana, refusals=(last_owner_of(organization),))
        return Scene([deletion, act], wins, lambda results: orphans(world), organization.id)

    return Race(f"an owner is deleted and {what}", stage, _MEMBERS)


def _joins(how: str) -> Callable[[World, int], Scene]:
    def stage(world: World, crowd: int) -> Scene:
        client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
        organization = world.organization(bo)
        if how == "is added":
            add = lambda: world.join(organization, bo, ana, role=OWNER)
        else:
            invitation = world.invite(organization, bo, ana.email, role=OWNER)
            add = lambda: ana.rpc("InvitationService.AcceptInvitation", invitation_id=invitation.id)
        acts = [goes(client, ana), Act(add, _gone(ana))]
        return Scene(acts, (1, 2), lambda results: orphans(world))

    return stage


def _creates(world: World, crowd: int) -> Scene:
    client, ana = world.platform(), world.person("ana")
    too_late: list[Refusal] = []

    def create() -> Any:
        made = world.organization(ana)
        too_late.append(last_owner_of(made))
        return made

    acts = [goes(client, ana, refusals=too_late), Act(create, _gone(ana))]
    return Scene(acts, (1,), lambda results: orphans(world))


def _succeeds(how: str) -> Callable[[World, int], Scene]:
    def stage(world: World, crowd: int) -> Scene:
        client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
        organization = world.organization(ana)
        if how != "somebody new":
            world.join(organization, ana, bo)
        deletion = goes(client, ana, (organization, bo), refusals=(_WRONG_SUCCESSOR,))
        if how == "a member who leaves":
            return Scene([deletion, leaves(organization, bo)], (1, 2), lambda results: orphans(world), organization.id)
        other = goes(client, bo, refusals=(last_owner_of(organization),))
        return Scene([deletion, other], (1,), lambda results: orphans(world))

    return stage


def _each_other(world: World, crowd: int) -> Scene:
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    one, other = world.organization(ana), world.organization(bo)
    too_late = [_WRONG_SUCCESSOR]
    both = (Code.FAILED_PRECONDITION, "SUCCESSOR_MISSING", {"organization_ids": one.id})
    acts = [
        goes(client, ana, (one, bo), refusals=[*too_late, last_owner_of(other)]),
        goes(client, bo, (other, ana), refusals=[*too_late, both]),
    ]
    return Scene(acts, (1,), lambda results: orphans(world))


def _twice(world: World, crowd: int) -> Scene:
    client, ana = world.platform(), world.person("ana")
    gone = (Code.FAILED_PRECONDITION, "USER_DELETED", {"user_id": ana.id})
    return Scene([goes(client, ana, refusals=(gone,))] * 2, (1,), lambda results: orphans(world), ana.personal_organization_id)


def _undeletes(world: World, crowd: int) -> Scene:
    client, ana = world.platform(), world.person("ana")
    organization = world.organization(ana)
    robot = world.client(world.token(organization_id=organization.id))
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=organization.id)
    ownerless = (Code.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": organization.id})
    undelete = Act(lambda: robot("OrganizationService.UndeleteOrganization", organization_id=organization.id), (ownerless,))
    deletion = goes(client, ana, refusals=(last_owner_of(organization),))
    return Scene([deletion, undelete], (1,), lambda results: orphans(world), organization.id)


RACES = (
    *(_two_owners(what) for what in _OTHERS),
    Race("a user is deleted and added elsewhere as an owner", _joins("is added"), _JOINING),
    Race("a user is deleted and accepts an invitation", _joins("accepts"), _JOINING),
    Race("a user is deleted and creates an organization", _creates, (organizations.INSERT, users.END_TOKENS)),
    Race("an owner is deleted and so is the successor, a member", _succeeds("a member"), (members.DELETE,)),
    Race("an owner is deleted and so is the successor, somebody new", _succeeds("somebody new"), _JOINING),
    Race("an owner is deleted and the successor leaves", _succeeds("a member who leaves"), (members.DELETE,)),
    Race("two owners are deleted, each the other's successor", _each_other, (members.INSERT,)),
    Race("a user is deleted twice", _twice, (users.END_TOKENS,)),
    Race(
        "a user is deleted and the organization's own token brings it back",
        _undeletes,
        (users.END_TOKENS, organizations.SET_STATE),
    ),
)
# Whoever comes first, nobody is left without an owner: nothing but the lock keeps what is answered right.
HARMLESS = ("an owner is deleted and the other owner removes them", "an owner is deleted and the other owner demotes them")
