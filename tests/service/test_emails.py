"""E-mail addresses: one canonical form everywhere, and aliases that stay different."""

import unicodedata

import pytest
from grpc import StatusCode
from support.world import MEMBER, World, fresh

CREATE = "InvitationService.CreateInvitation"


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("ANA{}@Example.COM", "ana{}@example.com"),
        ("  ana{}@example.com \t", "ana{}@example.com"),
        (unicodedata.normalize("NFD", "réné{}@example.com"), "réné{}@example.com"),
        ("RÉNÉ{}@example.com", "réné{}@example.com"),
        ("aΪ\u0301{}@example.com", "a\u0390{}@example.com"),  # NFC in upper case is not NFC in lower case
        ("ana{}@bücher.example", "ana{}@xn--bcher-kva.example"),
        (unicodedata.normalize("NFD", "ana{}@BÜCHER.example"), "ana{}@xn--bcher-kva.example"),
        ("ana{}@XN--BCHER-KVA.example", "ana{}@xn--bcher-kva.example"),
        ("ana{}@ｅｘａｍｐｌｅ.com", "ana{}@example.com"),
        ("ana{}@straße.example", "ana{}@xn--strae-oqa.example"),
    ],
)
def test_spellings_of_one_address_are_one_address(world: World, spelling: str, canonical: str) -> None:
    name = fresh("n")
    spelling, canonical = spelling.format(name), canonical.format(name)
    ana, guest = world.person(), world.person(email=spelling)
    acme = world.organization(ana)
    assert guest.email == canonical
    offer = world.invite(acme, ana, spelling)
    assert offer.email == canonical
    with world.unchanged(acme):
        for other in (canonical, spelling):
            refusal = ana.rpc.refusal(CREATE, organization_id=acme.id, email=other, role=MEMBER)
            assert refusal.seen == (StatusCode.ALREADY_EXISTS, "INVITATION_PENDING", {"email": canonical})
    assert guest.rpc("InvitationService.AcceptInvitation", invitation_id=offer.id).state == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ana+work{}@example.com", "ana{}@example.com"),
        ("a.na{}@example.com", "ana{}@example.com"),
        ("weiß{}@example.com", "weiss{}@example.com"),
        ("ırmak{}@example.com", "irmak{}@example.com"),
        ("ana{}@straße.example", "ana{}@strasse.example"),
        ("аna{}@example.com", "ana{}@example.com"),  # Cyrillic, then Latin
        ("ana{}@example.com", "ana{}@example.org"),
        ("ana{}@mail.example.com", "ana{}@example.com"),
    ],
)
def test_aliases_and_look_alikes_are_different_addresses(world: World, one: str, other: str) -> None:
    name = fresh("n")
    one, other = one.format(name), other.format(name)
    ana, guest = world.person(), world.person(email=other)
    acme = world.organization(ana)
    offers = [world.invite(acme, ana, address) for address in (one, other)]
    assert len({offer.email for offer in offers}) == 2
    refusal = guest.rpc.refusal("InvitationService.AcceptInvitation", invitation_id=offers[0].id)
    assert refusal.seen == (StatusCode.NOT_FOUND, "INVITATION_NOT_FOUND", {"invitation_id": offers[0].id})
    assert guest.rpc("InvitationService.CountMyInvitations").count == 1


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.com.", "ana@@example.com", "a na@example.com", "ana@", "@example.com", "ana@-a.com", "a..b@example.com",
        ".ana@example.com", "x" * 300 + "@example.com", "Ana <ana@example.com>", "ana@example.com,bo@example.com",
        "ana@exa\nmple.com", "ana\0@example.com", "ana@[127.0.0.1]", '"ana"@example.com', "ana@ex_ample.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(world: World, address: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(CREATE, organization_id=acme.id, email=address, role=MEMBER)
    assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "email"})
    assert refusal.violations == {"email": "EMAIL"}
