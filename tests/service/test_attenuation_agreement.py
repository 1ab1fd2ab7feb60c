"""What is told of a token is what it can do: in random states, every answer about it is compared with calls that it makes.

One stage is changed at random, many times; after each change every token is asked about and tried.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from support.interleave import outcome
from support.rpc import Client, Refused, request_of
from support.tokens import CURRENT, MINE, OURS, Made, is_good, mine, ours
from support.world import MEMBER, OWNER, World, fresh

from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.principal import Access
from tenantry_server.services import api_tokens
from tenantry_server.store import standings

_STEPS = 20
# Calls that show a permission: each requires this one alone, in an active organization.
SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "member:read": ("MemberService.ListMembers", {}),
    "role:read": ("RoleService.ListRoles", {}),
    "audit-log:read": ("AuditService.ListAuditEvents", {"page_size": 1}),
    "api-token:read": ("ApiTokenService.ListApiTokens", {"page_size": 1}),
    "organization:update": ("OrganizationService.UpdateOrganization", {"name": "New", "validate_only": True}),
    "organization:delete": ("OrganizationService.DeleteOrganization", {"validate_only": True}),
    "role:create": ("RoleService.CreateRole", {"name": "R", "permissions": ["sandbox:read"], "validate_only": True}),
    "invitation:create": (
        "InvitationService.CreateInvitation",
        {"email": "guest@example.com", "role": MEMBER, "validate_only": True},
    ),
}
_GRANTABLE = sorted(set(SHOWN) - {"organization:delete"})
# Refusals of who may not make the call at all; any other comes later.
_DENIED = {"INVALID_CREDENTIAL", "ORGANIZATION_NOT_ACCESSIBLE", "ORGANIZATION_SUSPENDED", "PERMISSION_MISSING"}


def may(client: Client, permission: str, organization_id: str) -> bool:
    """Whether a call shows the permission."""
    method, fields = SHOWN[permission]
    try:
        client.send(method, request_of(method, organization_id=organization_id, **fields))
    except Refused as refusal:
        return refusal.reason not in _DENIED
    return True


class Stage:
    """Two organizations, a member of both, an owner of both, tokens of every kind, and random changes."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        self.states: dict[str, OrganizationState] = {}
        self.ana, self.bo = world.person(), world.person()
        self.places = [world.organization(self.ana), world.organization(self.ana)]
        self.roles = [[world.role(place, self.ana, "sandbox:read").id for _ in range(2)] for place in self.places]
        for place in self.places:
            world.join(place, self.ana, self.bo)
        self.all_of_anas = [mine(world, self.ana.rpc), mine(world, self.ana.rpc, *self.some())]
        self.all_of_bos = [mine(world, self.bo.rpc), mine(world, self.bo.rpc, *self.some())]
        for place in self.places:
            self.all_of_bos.append(mine(world, self.bo.rpc, bound_to=place))
            self.all_of_anas.append(mine(world, self.ana.rpc, *self.some(), bound_to=place))
        self.programs = [ours(world, self.ana.rpc, self.places[0]), ours(world, self.ana.rpc, self.places[1], *self.some())]

    def some(self) -> list[str]:
        return self.random.sample(_GRANTABLE, self.random.randint(1, 4))

    def change(self) -> str:
        """One random change; answers with what it was. One that is refused changes nothing, which is fine too."""
        at = self.random.randrange(2)
        name = self.random.choice(["access", "role", "narrow", "state", "exclude", "expire", "leave", "join", "access", "role"])
        try:
            getattr(self, f"_{name}")(self.places[at], self.roles[at])
        except Refused as refusal:
            return f"{name}: {refusal.reason}"
        return name

    def _access(self, place: Any, roles: list[str]) -> None:
        role = self.random.choice([OWNER, MEMBER, MEMBER])
        chosen = self.random.sample(roles, self.random.randint(0, 2))
        key = {"organization_id": place.id, "user_id": self.bo.id}
        self.ana.rpc("MemberService.UpdateMemberAccess", **key, role=role, assigned_role_ids=chosen)

    def _role(self, place: Any, roles: list[str]) -> None:
        key = {"organization_id": place.id, "role_id": self.random.choice(roles)}
        self.ana.rpc("RoleService.UpdateRole", **key, permissions=self.some())

    def _narrow(self, place: Any, roles: list[str]) -> None:
        made = self.random.choice(self.all_of_bos)
        wanted: dict[str, Any] = {"permissions": self.some()} if self.random.random() < 0.7 else {"unrestricted": True}
        self.bo.rpc(MINE.format("Update"), api_token_id=made.id, **wanted)

    def _state(self, place: Any, roles: list[str]) -> None:
        """Suspends, deletes, or makes active again."""
        before = self.states.get(place.id, OrganizationState.ACTIVE)
        after = self.random.choice(list(OrganizationState))
        if before is OrganizationState.DELETED:
            self.ana.rpc("OrganizationService.UndeleteOrganization", organization_id=place.id)
        self.world.set_state(place.id, OrganizationState.ACTIVE)
        if after is OrganizationState.DELETED:
            self.ana.rpc("OrganizationService.DeleteOrganization", organization_id=place.id)
        else:
            self.world.set_state(place.id, after)
        self.states[place.id] = after

    def _exclude(self, place: Any, roles: list[str]) -> None:
        again = mine(self.world, self.bo.rpc, *self.some())
        self.all_of_bos.append(again)
        self.ana.rpc(OURS.format("Revoke"), organization_id=place.id, api_token_id=again.id)

    def _expire(self, place: Any, roles: list[str]) -> None:
        soon = self.world.clock.now() + timedelta(minutes=10)
        self.all_of_bos.append(mine(self.world, self.bo.rpc, *self.some(), expire_time=soon))
        self.world.clock.advance(timedelta(minutes=5))

    def _leave(self, place: Any, roles: list[str]) -> None:
        self.bo.rpc("OrganizationService.LeaveOrganization", organization_id=place.id)

    def _join(self, place: Any, roles: list[str]) -> None:
        self.world.join(place, self.ana, self.bo, *self.random.sample(roles, 1))

    def disagreements(self, tried: int = 3) -> list[str]:
        """Where what is told is not what can be done, as some calls of each token show."""
        found = []
        for person, tokens in ((self.ana, self.all_of_anas), (self.bo, self.all_of_bos), (None, self.programs)):
            for made in tokens:
                for place in self.places:
                    told = self._told(person, made, place.id)
                    found += [
                        f"{made.id} in {place.id}: {permission} is said {'' if permission in told else 'not '}to be held"
                        for permission in self.random.sample(sorted(SHOWN), tried)
                        if may(made.rpc, permission, place.id) != (permission in told)
                    ]
        return found

    def _told(self, person: Any, made: Made, organization_id: str) -> set[str]:
        """Nobody is told of organizations that are not theirs, and nothing can be done there."""
        client, key = (made.rpc, {}) if person is None else (person.rpc, {"api_token_id": made.id})
        method = CURRENT if person is None else MINE.format("Get")
        answer = outcome(lambda: client(method, organization_id=organization_id, **key))
        if isinstance(answer, Refused):
            assert answer.reason in ("ORGANIZATION_NOT_ACCESSIBLE", "API_TOKEN_NOT_FOUND"), answer
            return set()
        granted, told = answer.api_token, answer.access
        named = {item.permission for item in told.withheld}.union(told.permissions)
        assert named == (self.world.services.store.catalog.all if granted.unrestricted else set(granted.granted_permissions))
        assert len(told.withheld) + len(told.permissions) == len(named)
        return set(told.permissions)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_told_of_a_token_is_what_it_can_do(world: World, seed: int) -> None:
    stage = Stage(world, seed)
    done = []
    for _ in range(_STEPS):
        done.append(stage.change())
        assert stage.disagreements() == [], done
    assert world.breaches() == []


def test_an_answer_that_forgets_the_owner_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: told is what was granted, as if the owner held everything."""
    token_access = standings.token_access

    def boasting(database: Any, catalog: Any, token_id: str, organization: Any, now: Any) -> tuple[Access | None, bool]:
        access, excluded = token_access(database, catalog, token_id, organization, now)
        everything = Access(organization=organization, permissions=catalog.all, holds_everything=True)
        return None if access is None else everything, excluded

    monkeypatch.setattr(api_tokens, "token_access", boasting)
    stage = Stage(world, 0)
    assert any("audit-log:read is said to be held" in found for found in stage.disagreements(len(SHOWN)))


def test_token_that_is_not_good_any_more_can_do_nothing(world: World) -> None:
    ana = world.person()
    made = mine(world, ana.rpc, name=fresh("gone "))
    ana.rpc(MINE.format("Revoke"), api_token_id=made.id)
    assert not is_good(made.rpc)
    assert not any(may(made.rpc, permission, ana.personal_organization_id) for permission in SHOWN)
