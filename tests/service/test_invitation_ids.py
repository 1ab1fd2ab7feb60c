"""An invitation has no secret: its id, however it is come by, serves nobody but who has verified the address, and nothing else
serves as one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from grpc import StatusCode
from support.tokens import INVALID_CREDENTIAL, mine, ours
from support.world import Person, World

from tenantry_server.domain.ids import to_uuid

ACCEPT, DECLINE = "InvitationService.AcceptInvitation", "InvitationService.DeclineInvitation"
answers = pytest.mark.parametrize("method", [ACCEPT, DECLINE])
_NEXT = dict(zip("0123456789ABCDEFGHJKMNPQRSTVWXYZ", "123456789ABCDEFGHJKMNPQRSTVWXYZ0", strict=True))


class Offer:
    """An organization, its owner, somebody who is invited to it, and the invitation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner, self.guest = world.person("owner"), world.person("guest")
        self.organization = world.organization(self.owner)
        self.invitation = world.invite(self.organization, self.owner, self.guest.email)
        self.id: str = self.invitation.id


@pytest.fixture
def offer(world: World) -> Offer:
    return Offer(world)


def unknown(invitation_id: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.NOT_FOUND, "INVITATION_NOT_FOUND", {"invitation_id": invitation_id}


@pytest.mark.parametrize("spell", [str.lower, str.title, to_uuid, lambda text: to_uuid(text).upper()])
def test_an_id_is_the_same_in_any_letter_case_and_as_a_uuid(offer: Offer, spell: Callable[[str], str]) -> None:
    assert offer.guest.rpc(ACCEPT, invitation_id=spell(offer.id)).state == 2


@answers
def test_an_id_with_another_character_anywhere_is_no_invitation(offer: Offer, method: str) -> None:
    altered = [f"{offer.id[:place]}{_NEXT[old]}{offer.id[place + 1 :]}" for place, old in enumerate(offer.id) if place]
    with offer.world.unchanged(offer.organization):
        for other in altered:
            assert offer.guest.rpc.refusal(method, invitation_id=other).seen == unknown(other)
    assert offer.guest.rpc(method, invitation_id=offer.id).state in (2, 3)


@answers
def test_the_id_of_another_thing_is_no_invitation(offer: Offer, method: str) -> None:
    role = offer.world.role(offer.organization, offer.owner, "sandbox:read")
    token = mine(offer.world, offer.guest.rpc)
    for other in (offer.organization.id, offer.owner.id, offer.guest.id, role.id, token.id, "0" * 26):
        assert offer.guest.rpc.refusal(method, invitation_id=other).seen == unknown(other)


@answers
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text[1:],
        lambda text: f"{text}0",
        lambda text: f" {text}",
        lambda text: f"{text}\n",
        lambda text: f"8{text[1:]}",
        lambda text: f"{text[:-1]}U",
        lambda text: f"{text[:-1]}\uff10",
        lambda text: to_uuid(text)[:-1],
        lambda text: to_uuid(text).replace("-", ""),
        lambda text: f"{{{to_uuid(text)}}}",
    ],
)
def test_what_is_no_id_is_refused(offer: Offer, method: str, spoil: Callable[[str], str]) -> None:
    with offer.world.unchanged(offer.organization):
        refusal = offer.guest.rpc.refusal(method, invitation_id=spoil(offer.id))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert set(refusal.violations) == {"invitation_id"}


@answers
def test_an_api_token_is_no_invitation_and_is_not_repeated(offer: Offer, method: str) -> None:
    made = [mine(offer.world, offer.guest.rpc).secret, ours(offer.world, offer.owner.rpc, offer.organization).secret]
    for secret in (*made, offer.world.platform_token()):
        refusal = offer.guest.rpc.refusal(method, invitation_id=secret)
        assert (refusal.reason, set(refusal.violations)) == ("INVALID_REQUEST", {"invitation_id"})
        assert secret not in str(refusal) + repr(refusal.details)


def test_an_invitations_id_is_no_credential(offer: Offer) -> None:
    for text in (offer.id, to_uuid(offer.id), f"tnt_usr_{offer.id}"):
        assert offer.world.client(text).refusal(ACCEPT, invitation_id=offer.id).seen == INVALID_CREDENTIAL


def test_what_another_installation_made_is_nothing_here(deploy_own: Callable[..., World]) -> None:
    here, there = Offer(deploy_own()), Offer(deploy_own())

    def ensure_nothing(guest: Person, foreign: Any) -> None:
        assert guest.rpc.refusal(ACCEPT, invitation_id=foreign.id).seen == unknown(foreign.id)

    ensure_nothing(here.guest, there.invitation)
    ensure_nothing(there.guest, here.invitation)
    tokens = [there.guest.token, mine(there.world, there.guest.rpc).secret, there.world.platform_token()]
    tokens.append(ours(there.world, there.owner.rpc, there.organization).secret)
    for token in tokens:
        assert here.world.client(token).refusal(ACCEPT, invitation_id=here.id).seen == INVALID_CREDENTIAL
    namesake = here.world.person(email=there.guest.email)
    ensure_nothing(namesake, there.invitation)
