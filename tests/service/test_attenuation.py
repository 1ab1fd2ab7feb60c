"""What a token can do: what it was granted, of what its owner holds now, in an active organization; nothing is remembered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.rpc import Client
from support.tokens import CURRENT, MINE, OURS, Made, corrupt, inaccessible, mine, missing, ours
from support.world import AUDITOR, MEMBER, OWNER, Person, World

from tenantry.v1 import api_token_pb2
from tenantry_server.domain.organizations import OrganizationState

AUDIT, MEMBERS = "AuditService.ListAuditEvents", "MemberService.ListMembers"
ACCESS, REMOVE = "MemberService.UpdateMemberAccess", "MemberService.RemoveMember"
GRANTED = ("audit-log:read", "billing:read", "member:read")
EXPIRED, EXCLUDED, STRANGER, SUSPENDED, DELETED, NOT_HELD, UNKNOWN = range(1, 8)


class Stage:
    """An owner, and a member with a role, with a bound and an unbound token of three permissions."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ana, self.bo = world.person(), world.person()
        self.acme = world.organization(self.ana)
        self.role = world.role(self.acme, self.ana, "audit-log:read", "billing:read")
        world.join(self.acme, self.ana, self.bo, self.role.id)
        self.unbound = mine(world, self.bo.rpc, *GRANTED)
        self.bound = mine(world, self.bo.rpc, *GRANTED, bound_to=self.acme)

    @property
    def key(self) -> dict[str, str]:
        return {"organization_id": self.acme.id}

    def give(self, *role_ids: str, role: str = MEMBER) -> None:
        self.ana.rpc(ACCESS, **self.key, user_id=self.bo.id, role=role, assigned_role_ids=role_ids)

    def told(self, made: Made) -> tuple[list[str], dict[str, int]]:
        """What the organization, its owner and the token itself are told of a token, which must be the same."""
        answers = [
            self.ana.rpc(OURS.format("Get"), **self.key, api_token_id=made.id).access,
            self.bo.rpc(MINE.format("Get"), **self.key, api_token_id=made.id).access,
            made.rpc(CURRENT, **self.key).access,
        ]
        assert answers == answers[:1] * 3
        return read(answers[0])

    def ensure(self, effective: list[str], withheld: dict[str, int]) -> None:
        """What both tokens can do, as is told, and as calls show."""
        for made in (self.unbound, self.bound):
            assert self.told(made) == (effective, withheld)
            for method, permission in ((AUDIT, "audit-log:read"), (MEMBERS, "member:read")):
                if permission in effective:
                    assert made.rpc(method, **self.key)
                else:
                    assert made.rpc.refusal(method, **self.key).seen == missing(permission)


def read(access: Any) -> tuple[list[str], dict[str, int]]:
    return list(access.permissions), {item.permission: item.reason for item in access.withheld}


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


def test_token_can_do_what_it_was_granted_of_what_its_owner_holds(stage: Stage) -> None:
    stage.ensure(list(GRANTED), {})
    assert stage.unbound.rpc.refusal("RoleService.ListRoles", **stage.key).seen == missing("role:read")


def test_token_shrinks_and_grows_with_its_owners_access(stage: Stage) -> None:
    stage.give()
    stage.ensure(["member:read"], {"audit-log:read": NOT_HELD, "billing:read": NOT_HELD})
    stage.give(AUDITOR)
    stage.ensure(["audit-log:read", "member:read"], {"billing:read": NOT_HELD})
    stage.give(role=OWNER)
    stage.ensure(list(GRANTED), {})
    stage.give(stage.role.id)
    stage.ensure(list(GRANTED), {})


def test_token_shrinks_and_grows_with_its_owners_role(stage: Stage) -> None:
    role = {**stage.key, "role_id": stage.role.id}
    stage.ana.rpc("RoleService.UpdateRole", **role, permissions=["billing:read"])
    stage.ensure(["billing:read", "member:read"], {"audit-log:read": NOT_HELD})
    stage.ana.rpc("RoleService.UpdateRole", **role, permissions=["audit-log:read", "billing:read", "sandbox:write"])
    stage.ensure(list(GRANTED), {})
    stage.ana.rpc("RoleService.DeleteRole", **role, unassign=True)
    stage.ensure(["member:read"], {"audit-log:read": NOT_HELD, "billing:read": NOT_HELD})


def test_owners_token_shrinks_when_the_owner_is_demoted(world: World, stage: Stage) -> None:
    stage.give(role=OWNER)
    everything = mine(world, stage.bo.rpc, bound_to=stage.acme)
    assert stage.told(everything) == (sorted(world.services.store.catalog.all), {})
    stage.give()
    catalog = world.services.store.catalog
    effective, withheld = stage.told(everything)
    assert effective == sorted(catalog.implicit)
    assert withheld == dict.fromkeys(sorted(catalog.all - catalog.implicit), NOT_HELD)
    assert everything.rpc.refusal(AUDIT, **stage.key).seen == missing("audit-log:read")


@pytest.mark.parametrize("state", [OrganizationState.SUSPENDED, OrganizationState.DELETED])
def test_no_token_can_do_anything_while_the_organization_is_not_active(
    world: World, stage: Stage, state: OrganizationState
) -> None:
    program = ours(world, stage.ana.rpc, stage.acme, *GRANTED)
    suspended = state is OrganizationState.SUSPENDED
    if suspended:
        world.set_state(stage.acme.id, state)
    else:
        stage.ana.rpc("OrganizationService.DeleteOrganization", **stage.key)
    seen = (StatusCode.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED", stage.key) if suspended else inaccessible(stage.acme.id)
    for made in (stage.unbound, stage.bound, program):
        assert read(made.rpc(CURRENT, **stage.key).access) == ([], dict.fromkeys(GRANTED, SUSPENDED if suspended else DELETED))
        assert [made.rpc.refusal(method, **stage.key).seen for method in (AUDIT, MEMBERS)] == [seen, seen]
    if suspended:
        world.set_state(stage.acme.id, OrganizationState.ACTIVE)
    else:
        stage.ana.rpc("OrganizationService.UndeleteOrganization", **stage.key)
    stage.ensure(list(GRANTED), {})
    assert program.rpc(AUDIT, **stage.key).events


def test_expired_token_is_said_to_do_nothing_and_does_nothing(world: World, stage: Stage) -> None:
    end = world.clock.now() + timedelta(hours=1)
    made = mine(world, stage.bo.rpc, *GRANTED, expire_time=end)
    with world.at(end):
        for answer in (
            stage.ana.rpc(OURS.format("Get"), **stage.key, api_token_id=made.id),
            stage.bo.rpc(MINE.format("Get"), **stage.key, api_token_id=made.id),
        ):
            assert read(answer.access) == ([], dict.fromkeys(GRANTED, EXPIRED))
        assert made.rpc.refusal(AUDIT, **stage.key).seen == (StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIAL", {})


def _asked(stage: Stage, made: Made) -> Any:
    return stage.bo.rpc(MINE.format("Get"), **stage.key, api_token_id=made.id).access


def _expire(world: World, stage: Stage) -> Any:
    corrupt(world, stage.bound.id, "expire_time", 1)
    return _asked(stage, stage.bound)


def _exclude(world: World, stage: Stage) -> Any:
    stage.ana.rpc(OURS.format("Revoke"), **stage.key, api_token_id=stage.unbound.id)
    return _asked(stage, stage.unbound)


def _estrange(world: World, stage: Stage) -> Any:
    """Loses the membership that a bound token goes with, as no call could."""
    with raw.connect(world.deployment.url) as connection:
        for table in ("membership_roles", "memberships"):
            connection.execute(f"DELETE FROM {table} WHERE user_id = ? AND organization_id = ?", (stage.bo.id, stage.acme.id))
    access = stage.bo.rpc(MINE.format("Get"), api_token_id=stage.bound.id).access
    stage.bo.rpc(MINE.format("Revoke"), api_token_id=stage.unbound.id)
    corrupt(world, stage.bound.id, "organization_id", stage.bo.personal_organization_id)
    return access


def _suspend(world: World, stage: Stage) -> Any:
    world.set_state(stage.acme.id, OrganizationState.SUSPENDED)
    return _asked(stage, stage.bound)


def _delete(world: World, stage: Stage) -> Any:
    stage.ana.rpc("OrganizationService.DeleteOrganization", **stage.key)
    return _asked(stage, stage.bound)


def _demote(world: World, stage: Stage) -> Any:
    stage.give()
    return _asked(stage, stage.bound)


def _forget(world: World, stage: Stage) -> Any:
    corrupt(world, stage.bound.id, "permissions", "gone:away member:read")
    access = _asked(stage, stage.bound)
    assert list(access.permissions) == ["member:read"]
    corrupt(world, stage.bound.id, "permissions", "member:read")
    return access


CAUSES = {
    api_token_pb2.WITHHOLDING_REASON_TOKEN_EXPIRED: _expire,
    api_token_pb2.WITHHOLDING_REASON_EXCLUDED: _exclude,
    api_token_pb2.WITHHOLDING_REASON_NOT_A_MEMBER: _estrange,
    api_token_pb2.WITHHOLDING_REASON_ORGANIZATION_SUSPENDED: _suspend,
    api_token_pb2.WITHHOLDING_REASON_ORGANIZATION_DELETED: _delete,
    api_token_pb2.WITHHOLDING_REASON_NOT_HELD_BY_OWNER: _demote,
    api_token_pb2.WITHHOLDING_REASON_UNKNOWN_PERMISSION: _forget,
}


@pytest.mark.parametrize("reason", api_token_pb2.WithholdingReason.values()[1:], ids=api_token_pb2.WithholdingReason.Name)
def test_what_takes_a_permission_is_told_whatever_it_is(world: World, stage: Stage, reason: Any) -> None:
    withheld = CAUSES[reason](world, stage).withheld
    assert withheld
    assert {item.reason for item in withheld} == {reason}
    assert world.breaches() == []  # what was done behind the API's back is undone


def test_token_bound_elsewhere_can_do_nothing_here(world: World, stage: Stage) -> None:
    birch = world.organization(stage.bo)
    elsewhere = mine(world, stage.bo.rpc, "member:read", bound_to=birch)
    assert read(_asked(stage, elsewhere)) == ([], {"member:read": STRANGER})
    assert elsewhere.rpc.refusal(MEMBERS, **stage.key).seen == inaccessible(stage.acme.id)


def test_platforms_token_can_do_nothing_in_an_organization_whether_it_exists_or_not(world: World, stage: Stage) -> None:
    client: Client = world.platform()
    for organization_id in (stage.acme.id, "0" * 25 + "1"):
        assert client.refusal(CURRENT, organization_id=organization_id).seen == inaccessible(organization_id)
        refusal = client.refusal(MEMBERS, organization_id=organization_id)
        assert (refusal.code, refusal.reason) == (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED")
    assert not client(CURRENT).HasField("access")


def test_what_is_told_is_of_the_persons_own_organizations(world: World, stage: Stage) -> None:
    eve: Person = world.person()
    own = mine(world, eve.rpc, "member:read")
    assert eve.rpc.refusal(MINE.format("Get"), **stage.key, api_token_id=own.id).seen == inaccessible(stage.acme.id)
    stage.ana.rpc(REMOVE, **stage.key, user_id=stage.bo.id)
    refusal = stage.bo.rpc.refusal(MINE.format("Get"), **stage.key, api_token_id=stage.unbound.id)
    assert refusal.seen == inaccessible(stage.acme.id)
