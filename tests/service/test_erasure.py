"""Erasure: no table holds the name or an address of the user any more, and everything else is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.canaries import Canary, holding, trail
from support.interleave import at_once, outcome, refused
from support.operators import everything, read_user
from support.world import World, fresh

from tenantry_server.domain import ids
from tenantry_server.domain.errors import DeadlineExceeded
from tenantry_server.services import erasure
from tenantry_server.store import transactions

ERASE = "UserService.EraseUser"
ERASED = 3


def test_only_a_deleted_user_is_erased(world: World) -> None:
    client, ana = world.platform(), world.person("ana")
    before = read_user(client, ana)
    refusal = client.refusal(ERASE, user_id=ana.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "USER_NOT_DELETED", {"user_id": ana.id})
    stranger = ids.new().lower()
    assert client.refusal(ERASE, user_id=stranger).seen == (StatusCode.NOT_FOUND, "USER_NOT_FOUND", {"user": stranger})
    assert read_user(client, ana) == before


def test_no_table_holds_the_names_and_addresses_any_more(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    canary = Canary(world)
    tables = {line.split()[0] for line in holding(world, *canary.texts)}
    assert tables == {"users", "invitations", "audit_events", "request_records"}  # where they can be
    canary.delete()
    assert {line.split()[0] for line in holding(world, *canary.texts)} == tables
    before = trail(world)
    erased = canary.erase(request_id=fresh("r"))
    assert (erased.state, erased.email, erased.name) == (ERASED, "", "")
    assert erased == read_user(canary.client, erased)
    assert holding(world, *canary.texts) == []
    after = trail(world)
    assert set(before) <= set(after)  # every event has its place, time, actor, action and target
    added = [row for row in after if row not in before]
    assert {row[6:9] for row in added} == {("user.erase", "user", canary.person.id)}
    assert len({row[0] for row in added}) == len(added)  # one an organization, and one of the platform
    assert world.breaches() == []


def test_what_is_answered_again_names_nobody(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    canary, key = Canary(world), fresh("r")
    guest = {"email": canary.email, "role": "MEMBER_ROLE_MEMBER", "organization_id": canary.organizations[0][1].id}
    pending = {**guest, "organization_id": world.organization(canary.host).id, "request_id": key}
    invitation = canary.host.rpc("InvitationService.CreateInvitation", **pending)
    deletion = {"user_id": canary.person.id, "request_id": fresh("r")}
    deleted = canary.client("UserService.DeleteUser", **deletion)
    canary.erase()
    again = canary.client("UserService.DeleteUser", **deletion)
    assert (again.id, again.state, again.delete_time) == (deleted.id, deleted.state, deleted.delete_time)
    assert (again.email, again.name) == ("", "")
    answer = canary.host.rpc("InvitationService.CreateInvitation", **pending)
    assert (answer.id, answer.email) == (invitation.id, f"{canary.person.id.lower()}@erased.invalid")


def test_invitations_to_the_address_are_withdrawn_and_stay_in_their_place(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    canary = Canary(world)
    canary.delete()
    canary.erase()
    instead = f"{canary.person.id.lower()}@erased.invalid"
    for pending, accepted, declined in canary.organizations:
        for organization, state in ((pending, 4), (accepted, 2), (declined, 3)):
            key = {"organization_id": organization.id, "page_size": 1000}
            found = canary.host.rpc("InvitationService.ListInvitations", **key).invitations
            (invitation,) = [one for one in found if one.email == instead]
            assert (invitation.state, invitation.inviter_email) == (state, canary.host.email)
            assert {one.inviter_email for one in found if one.email != instead} <= {instead}
    somebody = world.person(email=canary.addresses[-1])
    assert somebody.rpc("InvitationService.CountMyInvitations").count == 0


def test_an_erasure_happens_once(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    canary, key = Canary(world), fresh("r")
    canary.delete()
    erased = canary.erase(request_id=key)
    before = everything(world)
    assert canary.erase() == canary.erase(request_id=key) == erased
    assert everything(world) == before


def test_two_erasures_at_once_are_one(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    canary = Canary(world)
    canary.delete()
    results = at_once(*[canary.erase] * 3)
    assert results == [read_user(canary.client, canary.person)] * 3
    erasures = [row for row in trail(world) if row[6] == "user.erase"]
    assert len({row[0] for row in erasures}) == len(erasures)
    assert holding(world, *canary.texts) == []
    assert world.breaches() == []


def test_an_erasure_can_be_tried_out(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    canary = Canary(world)
    canary.delete()
    before = everything(world)
    assert canary.erase(validate_only=True).state == ERASED
    assert everything(world) == before


@contextmanager
def cut_short(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[list[str]]:
    """Lets the time of an erasure be up once it was in so many organizations. Answers with those where it was."""
    been: list[str] = []

    def changing(store: Any, call: Any, organization_id: str, *arguments: Any) -> Any:
        if len(been) == after:
            raise DeadlineExceeded
        been.append(organization_id)
        return transactions.change(store, call, organization_id, *arguments)

    with monkeypatch.context() as patches:
        patches.setattr(erasure, "change", changing)
        yield been


def test_an_erasure_that_is_cut_short_anywhere_is_taken_up_again(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    canary = Canary(world)
    canary.delete()
    visited: list[str] = []
    for _ in range(20):
        with cut_short(monkeypatch, after=1) as been:  # an organization a time
            result = outcome(canary.erase)
        visited += been
        if not refused(result):
            break
        assert result.seen == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", {})
    assert result.state == ERASED
    assert len(visited) == len(set(visited)) == 11  # three for each address, one from before, their own
    assert visited[-1] == canary.person.personal_organization_id  # which tells what the addresses were
    assert holding(world, *canary.texts) == []
    assert world.breaches() == []


def test_control_an_erasure_that_began_with_their_own_trail_would_leave_traces(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    canary = Canary(world)
    canary.delete()
    home = canary.person.personal_organization_id
    with raw.connect(world.deployment.url) as connection:
        connection.execute(
            "UPDATE audit_events SET changes = '{}' WHERE organization_id = ? AND action = 'user.update'", (home,)
        )
    canary.erase()
    assert holding(world, canary.addresses[0])
    assert not holding(world, canary.addresses[-1])
