"""E-mail addresses: one canonical form everywhere, and aliases that stay different."""

import re
import unicodedata
from unittest.mock import patch

import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sign_in import Office
from support.world import MEMBER, World, fresh

from tenantry_server.services import emails
from tenantry_server.services.emails import find_canonical

pytest_plugins = ("support.sign_in",)

CREATE = "InvitationService.CreateInvitation"
ADD_BY_EMAIL = "tenantry.rest.dotenv.v1.MemberService.AddMember"

spellings = pytest.mark.parametrize(
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
        ("ana{}@example\u3002com", "ana{}@example.com"),
        ("İrmak{}@example.com", "i\u0307rmak{}@example.com"),
        ("WEIẞ{}@example.com", "weiß{}@example.com"),
        ("\u212aim{}@example.com", "kim{}@example.com"),  # the sign for kelvin is the letter K
        (unicodedata.normalize("NFD", "a≮b{}@example.com"), "a≮b{}@example.com"),
    ],
)


@spellings
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


@spellings
def test_every_way_in_knows_the_one_form(office: Office, spelling: str, canonical: str) -> None:
    name = fresh("n")
    spelling, canonical = spelling.format(name), canonical.format(name)
    operator, owner = office.platform(), office.person("owner")
    user = office.stranger(email=spelling).sign_in()
    assert (user.email, user.email_verified) == (canonical, True)
    refusal = operator.refusal("UserService.CreateUser", email=spelling, email_verified=True, name="Ana")
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "EMAIL_TAKEN", {"email": canonical})
    assert operator("UserService.FindUserByEmail", email=spelling) == user
    acme = office.organization(owner)
    added = owner.rpc(ADD_BY_EMAIL, organization_id=acme.id, email=spelling, role="member").data
    assert (added.type, added.id) == ("member", user.id)
    refusal = owner.rpc.refusal(CREATE, organization_id=acme.id, email=spelling, role=MEMBER)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "ALREADY_MEMBER", {"email": canonical})
    assert office.breaches() == []


def test_a_canonical_form_is_its_own() -> None:
    for character in map(chr, (*range(0x80, 0x3100), *range(0xF900, 0x11000))):  # without Hangul and CJK, which have no case
        if character.lower() != character or not unicodedata.is_normalized("NFD", character):
            for spelling in (f"a{character}b@example.com", f"ab@a{character}b.example"):
                canonical = find_canonical(spelling)
                assert find_canonical(canonical) == canonical == canonical.strip().lower(), spelling
                assert find_canonical(unicodedata.normalize("NFD", spelling)) == canonical, spelling


aliases = pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ana+work{}@example.com", "ana{}@example.com"),
        ("a.na{}@example.com", "ana{}@example.com"),
        ("weiß{}@example.com", "weiss{}@example.com"),
        ("ırmak{}@example.com", "irmak{}@example.com"),
        ("İrmak{}@example.com", "irmak{}@example.com"),
        ("ａｎａ{}@example.com", "ana{}@example.com"),
        ("ana{}@ırmak.example", "ana{}@irmak.example"),
        ("ana{}@straße.example", "ana{}@strasse.example"),
        ("аna{}@example.com", "ana{}@example.com"),  # Cyrillic, then Latin
        ("ana{}@example.com", "ana{}@example.org"),
        ("ana{}@mail.example.com", "ana{}@example.com"),
    ],
)


@aliases
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


@aliases
def test_aliases_and_look_alikes_are_different_people(office: Office, one: str, other: str) -> None:
    name = fresh("n")
    users = [office.stranger(email=address.format(name)).sign_in() for address in (one, other)]
    assert [user.email_verified for user in users] == [True, True]
    assert users[0].id != users[1].id
    operator = office.platform()
    assert [operator("UserService.FindUserByEmail", email=address.format(name)) for address in (one, other)] == users


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.com.", "ana@@example.com", "a na@example.com", "ana@", "@example.com", "ana@-a.com", "a..b@example.com",
        ".ana@example.com", "x" * 300 + "@example.com", "Ana <ana@example.com>", "ana@example.com,bo@example.com",
        "ana@exa\nmple.com", "ana\0@example.com", "ana@[127.0.0.1]", '"ana"@example.com', "ana@ex_ample.com",
        "ana.@example.com", "ana\u200b@example.com", "ana@exam\u00adple.com", "ana@xn--a.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(world: World, address: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(CREATE, organization_id=acme.id, email=address, role=MEMBER)
        made = world.platform().refusal("UserService.CreateUser", email=address, name="Ana")
    assert refusal.seen == made.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "email"})
    assert refusal.violations == made.violations == {"email": "EMAIL"}


@given(
    st.from_regex(emails._PLAIN, fullmatch=True)
    | st.from_regex(r"[a-z0-9.+_-]{1,70}@[a-zA-Z0-9.-]{1,70}", fullmatch=True)
    | st.emails()
)
@settings(max_examples=2000, deadline=None)
def test_a_plain_address_is_what_the_long_way_makes_of_it(address: str) -> None:
    with patch.object(emails, "_PLAIN", re.compile("(?!)")):
        long = find_canonical(address)
    assert find_canonical(address) == long
