"""An address that somebody loses while a change of theirs waits is lost for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from grpc import StatusCode
from support.interleave import Background, Stop, refused
from support.operators import Seen, address
from support.world import Person, World

from tenantry_server.store import transactions

NOT_VERIFIED: Seen = (StatusCode.FAILED_PRECONDITION, "EMAIL_NOT_VERIFIED", {})


def _meanwhile(world: World, act: Callable[[], Any], person: Person, **change: Any) -> Any:
    """What becomes of an act when, between the look at the credential and the change, an operator changes the user."""
    client = world.platform()
    with Stop(world.deployment.database, "writing") as stop:
        waiting = Background(act)
        stop.wait()
        client("UserService.UpdateUser", user_id=person.id, **change)
        stop.go()
        return waiting.result()


def _invited(world: World, method: str) -> tuple[Person, Any, Callable[[], Any]]:
    owner, guest = world.person("owner"), world.person("guest")
    invitation = world.invite(world.organization(owner), owner, guest.email)
    return guest, invitation, partial(guest.rpc, f"InvitationService.{method}", invitation_id=invitation.id)


@pytest.mark.parametrize("method", ["AcceptInvitation", "DeclineInvitation"])
def test_an_invitation_is_of_who_has_the_address_when_it_is_answered(world: World, method: str) -> None:
    guest, invitation, answer = _invited(world, method)
    gone = (StatusCode.NOT_FOUND, "INVITATION_NOT_FOUND", {"invitation_id": invitation.id})
    assert _meanwhile(world, answer, guest, email=address(), email_verified=True).seen == gone
    guest, _, answer = _invited(world, method)
    assert _meanwhile(world, answer, guest, email_verified=False).seen == NOT_VERIFIED
    assert world.breaches() == []


def test_an_organization_is_created_by_who_has_a_verified_address_then(world: World) -> None:
    ana = world.person("ana")
    create = partial(ana.rpc, "OrganizationService.CreateOrganization", name="Acme")
    assert _meanwhile(world, create, ana, email_verified=False).seen == NOT_VERIFIED
    assert len(ana.rpc("OrganizationService.ListOrganizations").organizations) == 1


def test_control_without_the_second_look_both_would_happen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "recheck", lambda change: None)
    guest, _, accept = _invited(world, "AcceptInvitation")
    assert not refused(_meanwhile(world, accept, guest, email=address()))
    ana = world.person("ana")
    create = partial(ana.rpc, "OrganizationService.CreateOrganization", name="Acme")
    assert not refused(_meanwhile(world, create, ana, email_verified=False))
