"""Requests that are sent again before the first is answered: by a client that retries, or by several at once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import pytest
from support import raw, weaken
from support.interleave import Meeting, at_once, refused
from support.race_invitations import invited
from support.world import Person, World, fresh

from tenantry_server.store.queries import audit

pytest_plugins = ("support.only",)

Code = grpc.StatusCode


def _owner_of(world: World) -> tuple[Person, Any]:
    owner = world.person("owner")
    return owner, world.organization(owner)


def _create_role(world: World) -> Callable[..., Any]:
    owner, organization = _owner_of(world)
    fields = {"organization_id": organization.id, "name": "Tester", "permissions": ["sandbox:write"]}
    return lambda request_id: owner.rpc("RoleService.CreateRole", request_id=request_id, **fields)


def _create_organization(world: World) -> Callable[..., Any]:
    owner = world.person("owner")
    return lambda request_id: owner.rpc("OrganizationService.CreateOrganization", name="Acme", request_id=request_id)


def _invite(world: World) -> Callable[..., Any]:
    owner, organization = _owner_of(world)
    address = f"{fresh('guest')}@example.com"
    return lambda request_id: world.invite(organization, owner, address, request_id=request_id)


def _accept(world: World) -> Callable[..., Any]:
    party = invited(world)
    return lambda request_id: party.guest.rpc(
        "InvitationService.AcceptInvitation", invitation_id=party.invitation.id, request_id=request_id
    )


def _leave(world: World) -> Callable[..., Any]:
    owner, organization = _owner_of(world)
    member = world.member(organization, owner)
    return lambda request_id: member.rpc(
        "OrganizationService.LeaveOrganization", organization_id=organization.id, request_id=request_id
    )


def _transfer(world: World) -> Callable[..., Any]:
    owner, organization = _owner_of(world)
    heir = world.member(organization, owner)
    return lambda request_id: owner.rpc(
        "OrganizationService.TransferOwnership", organization_id=organization.id, user_id=heir.id, request_id=request_id
    )


_REPEATED = {
    "creating a role": _create_role,
    "creating an organization": _create_organization,
    "inviting": _invite,
    "accepting": _accept,
    "leaving": _leave,
    "transferring the ownership": _transfer,
}
_REPETITIONS = 12


def _events(world: World) -> int:
    return raw.count(world.deployment.database, "audit_events")


@pytest.mark.parametrize("what", _REPEATED)
def test_a_request_that_is_sent_many_times_at_once_has_one_effect_and_one_answer(world: World, what: str) -> None:
    for round_ in range(5):
        send = _REPEATED[what](world)
        before = _events(world)
        answers = at_once(*[partial(send, f"request-{round_}")] * _REPETITIONS)
        assert all(answer == answers[0] for answer in answers)
        assert not refused(answers[0])
        assert _events(world) == before + 1
    assert world.breaches() == []


@pytest.mark.parametrize("what", _REPEATED)
def test_without_the_memory_of_request_ids_it_has_several_effects_or_answers(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    world = deploy_own()
    weaken.memory(monkeypatch)
    for round_ in range(3):
        send = _REPEATED[what](world)
        answers = at_once(*[partial(send, f"request-{round_}")] * _REPETITIONS)
        assert any(answer != answers[0] for answer in answers)


def _in_two_organizations(world: World) -> list[Any]:
    owner = world.person("owner")
    organizations = [world.organization(owner) for _ in range(2)]

    fields: dict[str, Any] = {"name": "Tester", "permissions": ["sandbox:write"], "request_id": "the-same"}
    acts = [partial(owner.rpc, "RoleService.CreateRole", organization_id=place.id, **fields) for place in organizations]
    # The two have no lock in common, so on PostgreSQL both have come to the end of their change.
    parties = 2 if world.deployment.engine == "postgresql" else 1
    with Meeting(world.deployment.database, audit.REMEMBER, parties=parties) as meeting:
        results = at_once(*acts)
    assert meeting.met
    return results


def test_a_request_id_serves_one_request_even_in_two_organizations_at_once(world: World) -> None:
    for _ in range(10):
        (loser,) = [result for result in _in_two_organizations(world) if refused(result)]
        assert loser.seen == (Code.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": "the-same"})
    assert world.breaches() == []


def test_without_the_key_of_the_memory_it_would_serve_both(
    on_postgresql: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = on_postgresql()
    weaken.table(world.deployment.url, "request_records")
    for _ in range(5):
        assert not any(map(refused, _in_two_organizations(world)))
