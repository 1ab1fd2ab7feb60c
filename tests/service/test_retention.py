"""What nobody needs any more goes: entirely, in time, in small steps that can be cut short; and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import peewee
import pytest
from support import raw
from support.breakage import FailingStatement
from support.interleave import Background, Stop, refused
from support.sql import Heard
from support.stage import Stage
from support.world import World

from tenantry_server.domain import call as calls
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.services.retention import Removed, Retention
from tenantry_server.store import purge
from tenantry_server.store.models import TABLES, Lease
from tenantry_server.store.queries import retention as statements
from tenantry_server.store.statements import Slot, changing
from tenantry_server.sweeper import Sweeper

UNDELETE = "OrganizationService.UndeleteOrganization"
WINDOW = timedelta(days=30)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_MOST_STATEMENTS = 60


def sweep(world: World) -> Removed:
    """One pass."""
    return Retention(world.services.store).sweep()


def batches(size: int) -> Any:
    """While entered, a transaction removes about so many rows."""
    return patch.multiple(statements, BATCH=size, OF_ORGANIZATION=statements.of_organization(size))


def left_of(world: World, organization_id: str) -> dict[str, int]:
    """In which tables something still names an organization, and how many rows; what the platform's trail tells aside."""
    found = {}
    for name, rows in raw.snapshot(world.deployment.url).items():
        naming = [row for row in rows if any(organization_id in str(cell) for cell in row)]
        if name == "audit_events":
            naming = [row for row in naming if organization_id in row[:1]]
        if name == "request_records":
            continue
        if naming:
            found[name] = len(naming)
    return found


def deleted(world: World) -> Stage:
    """An organization with one of everything, deleted; its window is over."""
    stage = Stage(world, OrganizationState.DELETED)
    world.clock.advance(WINDOW + _MINUTE)
    return stage


# -- purging ---------------------------------------------------------------------------------------------------------


def test_a_deleted_organization_goes_after_its_window_with_all_it_had(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    stage = Stage(world, OrganizationState.DELETED)
    elsewhere, before = stage.elsewhere.id, left_of(world, stage.elsewhere.id)
    world.clock.advance(WINDOW - _MINUTE)
    assert sweep(world).organizations == 0
    assert {"organizations", "memberships", "roles", "invitations", "api_tokens", "audit_events"} <= set(
        left_of(world, stage.organization.id)
    )
    world.clock.advance(2 * _MINUTE)
    assert sweep(world).organizations == 1
    assert left_of(world, stage.organization.id) == {}
    assert left_of(world, elsewhere) == before
    assert world.breaches() == []
    events = stage.operator("AuditService.ListPlatformAuditEvents").events
    assert (events[0].action, events[0].target.id) == ("organization.purge", stage.organization.id)
    assert sweep(world) == Removed()


def test_every_table_of_an_organization_is_purged() -> None:
    having = {table._meta.table_name for table in TABLES if "organization_id" in table._meta.fields}
    elsewhere = {table._meta.table_name for table in statements.ELSEWHERE}
    assert {*statements.OF_ORGANIZATION, *elsewhere} == having


def test_what_points_at_others_goes_first(engine: str, deploy_own: Callable[..., World]) -> None:
    """With one row a transaction, each step would be refused that leaves a reference that leads nowhere."""
    world = deploy_own()
    stage = deleted(world)
    with batches(1):
        while sweep(world).organizations == 0:
            pass
    assert left_of(world, stage.organization.id) == {}
    assert world.breaches() == []


def test_an_organization_that_was_brought_back_stays(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    stage = Stage(world, OrganizationState.DELETED)
    here = {"organization_id": stage.organization.id}
    world.clock.advance(WINDOW - _MINUTE)
    retention = Retention(world.services.store)
    with Stop(world.deployment.database, "writing") as stop:  # it has found the organization, by a clock that is ahead
        world.clock.advance(2 * _MINUTE)
        purging = Background(retention.sweep)
        stop.wait()
        world.clock.advance(-2 * _MINUTE)
        before = left_of(world, stage.organization.id)
        undeleting = Background(lambda: stage.owner.rpc(UNDELETE, **here))
        assert not refused(undeleting.result())
        world.clock.advance(2 * _MINUTE)
        stop.go()
        assert purging.result().organizations == 0
    after = left_of(world, stage.organization.id)
    assert after == before | {"audit_events": before["audit_events"] + 1}
    assert world.breaches() == []


@pytest.mark.parametrize("batch", [1, 5, 500])
def test_a_purge_that_is_cut_short_anywhere_leaves_all_sound_and_goes_on(batch: int, deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    stage = deleted(world)
    here = {"organization_id": stage.organization.id}
    with batches(batch):
        for which in ("commit", *range(_MOST_STATEMENTS)):
            with FailingStatement(world.deployment.database, which) as failing, suppress(peewee.PeeweeException):
                sweep(world)
            assert world.breaches() == [], f"at {which}"
            if not failing.failed:
                break
    assert left_of(world, stage.organization.id) == {}
    assert stage.owner.rpc.refusal(UNDELETE, **here).reason == "ORGANIZATION_NOT_ACCESSIBLE"


def _begun(world: World) -> Stage:
    """An organization of which a batch is gone, and then a process whose clock is behind is asked to bring it back."""
    stage = deleted(world)
    with batches(3):
        progress = purge.purge_some(world.services.store, calls.operator("test"), stage.organization.id)
    assert progress is purge.Progress.MORE
    world.clock.advance(-2 * _MINUTE)
    return stage


def test_no_clock_brings_back_what_is_being_purged(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    stage = _begun(world)
    refusal = stage.owner.rpc.refusal(UNDELETE, organization_id=stage.organization.id)
    assert refusal.reason == "UNDELETE_WINDOW_PASSED"
    assert world.breaches() == []
    assert sweep(world).organizations == 1
    assert left_of(world, stage.organization.id) == {}


def test_without_the_mark_half_an_organization_would_come_back(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    nothing = changing(lambda: Lease.update({Lease.expire_time: 0}).where(Lease.name == Slot("organization_id")))
    monkeypatch.setattr(statements, "BEGIN_PURGE", nothing)
    stage = _begun(world)
    stage.owner.rpc(UNDELETE, organization_id=stage.organization.id)
    assert {breach.invariant for breach in world.breaches()} == {"what is counted as used is what committed leases hold"}


def test_no_transaction_is_long_however_large_the_organization(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    owner = world.person("owner")
    acme = world.organization(owner)
    for _ in range(30):
        world.member(acme, owner, world.role(acme, owner, "sandbox:read").id)
    owner.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    world.clock.advance(WINDOW + _MINUTE)
    removed: list[int] = []
    commit, run, database = world.deployment.database.commit, world.deployment.database.run, world.deployment.database
    counted: list[int] = []

    def counting(statement: Any, **values: Any) -> int:
        found = run(statement, **values)
        if statement in statements.OF_ORGANIZATION.values():
            counted.append(found)
        return found

    def committing() -> None:
        removed.append(sum(counted))
        counted.clear()
        commit()

    with (
        batches(10),
        patch.object(database, "run", counting),
        patch.object(database, "commit", committing),
    ):
        sweep(world)
    assert max(removed) < 20
    assert sum(removed) > 120
    assert left_of(world, acme.id) == {}


def test_callers_get_at_least_half_of_the_time(world: World) -> None:
    stage = deleted(world)
    rests: list[float] = []

    def rest(seconds: float) -> bool:
        rests.append(seconds)
        return False

    with batches(1):
        Retention(world.services.store, rest).sweep()
    assert len(rests) > 10
    assert all(seconds >= 0 for seconds in rests)
    assert left_of(world, stage.organization.id) == {}


def test_the_home_of_a_deleted_user_waits_until_their_traces_are_erased(deploy_own: Callable[..., World]) -> None:
    """Its trail alone tells which addresses they had: without it, an erasure would leave some."""
    world = deploy_own()
    operator, user = world.platform(), world.person("user")
    world.person("bystander")
    former = user.email
    operator("UserService.UpdateUser", user_id=user.id, email=f"new-{former}")
    operator("UserService.DeleteUser", user_id=user.id)
    world.clock.advance(WINDOW + _MINUTE)
    assert sweep(world).organizations == 0
    operator("UserService.EraseUser", user_id=user.id)
    assert former not in repr(raw.snapshot(world.deployment.url))
    assert sweep(world).organizations == 1
    assert left_of(world, user.personal_organization_id) == {}
    assert world.breaches() == []


# -- whose turn it is ------------------------------------------------------------------------------------------------


def test_one_process_at_a_time_sweeps_and_another_takes_over_from_one_that_died(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    store = world.services.store
    stage = deleted(world)
    first, second = Sweeper(store), Sweeper(store)
    with Stop(world.deployment.database, "commit") as stop:
        sweeping = Background(first.sweep)
        stop.wait()
        assert second.sweep() is None
        stop.go()
        assert sweeping.result() is not None
    assert left_of(world, stage.organization.id) == {}
    assert second.sweep() == Removed()
    deleted(world)
    with FailingStatement(world.deployment.database, 0):
        assert first.sweep() is None  # it ends with the lease in its hands
    assert second.sweep() is None
    world.clock.advance(timedelta(minutes=11))
    done = second.sweep()
    assert done is not None
    assert done.organizations == 1


def test_two_at_once_do_no_harm(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    stages = [deleted(world) for _ in range(3)]
    with batches(2):
        sweeps = [Background(lambda: sweep(world)) for _ in range(3)]
        total = sum(sweeping.result().organizations for sweeping in sweeps)
    assert total == len(stages)
    for stage in stages:
        assert left_of(world, stage.organization.id) == {}
    assert world.breaches() == []


# -- what has expired ------------------------------------------------------------------------------------------------


def test_an_answer_is_kept_for_a_day_on_every_clock_and_then_forgotten(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    owner = world.person("owner")
    acme = world.organization(owner)
    create = {"organization_id": acme.id, "name": "Tester", "permissions": ["sandbox:read"], "request_id": "once"}
    made = owner.rpc("RoleService.CreateRole", **create)
    world.clock.advance(_DAY + 9 * _MINUTE)
    assert sweep(world).answers == 0
    world.clock.advance(-10 * _MINUTE)  # a process whose clock is behind
    assert owner.rpc("RoleService.CreateRole", **create) == made
    world.clock.advance(12 * _MINUTE)
    assert sweep(world).answers == 1
    assert raw.count(world.deployment.database, "request_records") == 0


def test_a_secret_that_ended_is_forgotten_and_the_present_one_stays(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    owner = world.person("owner")
    token = owner.rpc("ApiTokenService.GetCurrentApiToken").api_token
    rotated = owner.rpc("ApiTokenService.RotateMyApiToken", api_token_id=token.id, overlap={"seconds": 3600})
    count = raw.count(world.deployment.database, "api_token_secrets")
    world.clock.advance(timedelta(hours=24))
    assert sweep(world).secrets == 0
    world.clock.advance(timedelta(hours=2))
    assert sweep(world).secrets == 1
    assert raw.count(world.deployment.database, "api_token_secrets") == count - 1
    assert world.client(rotated.secret)("UserService.GetCurrentUser").user.id == owner.id
    assert world.breaches() == []


def test_an_invitation_that_expired_a_month_ago_goes_and_one_that_was_sent_again_stays(
    deploy_own: Callable[..., World],
) -> None:
    world = deploy_own()
    owner = world.person("owner")
    acme = world.organization(owner)
    gone, again = (world.invite(acme, owner, f"{name}@example.com") for name in ("gone", "again"))
    world.clock.advance(timedelta(days=36))
    assert sweep(world).invitations == 0
    world.clock.advance(2 * _DAY)
    with Stop(world.deployment.database, "writing") as stop:  # it has found the organization
        sweeping = Background(lambda: sweep(world))
        stop.wait()
        key = {"organization_id": acme.id, "invitation_id": again.id}
        Background(lambda: owner.rpc("InvitationService.ResendInvitation", **key)).result()
        stop.go()
        assert sweeping.result().invitations == 1
    kept = owner.rpc("InvitationService.ListInvitations", organization_id=acme.id).invitations
    assert [each.id for each in kept] == [again.id]
    assert raw.count(world.deployment.database, "invitations", id=gone.id) == 0
    assert world.breaches() == []


def test_a_pass_with_nothing_to_do_costs_a_few_look_ups(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    world.organization(world.person())
    sweep(world)
    with Heard(world.deployment.database) as heard:
        sweep(world)
    assert len(heard.statements) <= 5
