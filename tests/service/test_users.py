"""Users, as operators make, find and change them: an address is verified by one at most, an identity is of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from grpc import StatusCode
from support.operators import address, as_person, delete_user, email_taken, fail_everywhere, make_user, read_user, unknown_user
from support.tokens import invalid
from support.world import World, fresh

from tenantry_server.domain import ids

CREATE, UPDATE, FIND = "UserService.CreateUser", "UserService.UpdateUser", "UserService.FindUserByEmail"
LIST = "UserService.ListUsers"
ACTIVE, DELETED, PLATFORM = 1, 2, 4


# -- made ------------------------------------------------------------------------------------------------------------


def test_a_user_comes_with_their_personal_organization_and_one_event(world: World) -> None:
    client, email = world.platform(), address()
    identity = {"issuer": "https://login.example", "subject": fresh("subject")}
    user = client(CREATE, email=email.upper(), email_verified=True, name="Ana Ng", identity=identity)
    assert (user.email, user.email_verified, user.name, user.state) == (email, True, "Ana Ng", ACTIVE)
    assert [(one.issuer, one.subject) for one in user.identities] == [tuple(identity.values())]
    assert user == read_user(client, user)
    person = as_person(world, user)
    personal = person.rpc("OrganizationService.GetOrganization", organization_id=user.personal_organization_id)
    assert (personal.personal, personal.creator_user_id, personal.name) == (True, user.id, "Personal")
    event = world.events(personal, person)[-1]
    assert (event.action, event.target.type, event.target.id) == ("user.create", "user", user.id)
    assert (event.actor.kind, event.revision) == (PLATFORM, 1)
    assert world.breaches() == []


def test_creation_that_fails_at_any_statement_leaves_nothing(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    client = world.platform()
    identity = {"issuer": "https://login.example", "subject": "ana"}
    fields = {"email": address(), "email_verified": True, "name": "Ana", "identity": identity, "request_id": "once"}
    user, places = fail_everywhere(world, lambda: client(CREATE, **fields))
    assert user == read_user(client, user) == client(CREATE, **fields)
    assert places > 8
    assert world.breaches() == []


def test_a_verified_address_is_taken_in_whatever_spelling(world: World) -> None:
    client = world.platform()
    ana = make_user(client)
    for spelling in (ana.email, ana.email.upper(), f"  {ana.email}"):
        refusal = client.refusal(CREATE, email=spelling, email_verified=True, name="Bo")
        assert refusal.seen == email_taken(ana.email)
    assert make_user(client, email=ana.email, verified=False).email == ana.email  # a claim takes nothing


def test_an_address_that_nobody_verified_can_be_claimed_by_many_and_verified_by_one(world: World) -> None:
    client, email = world.platform(), address()
    claimants = [make_user(client, verified=False, email=email) for _ in range(3)]
    assert len({one.id for one in claimants}) == 3
    assert client(UPDATE, user_id=claimants[1].id, email_verified=True).email_verified
    for other in (claimants[0], claimants[2]):
        assert client.refusal(UPDATE, user_id=other.id, email_verified=True).seen == email_taken(email)
    assert world.breaches() == []


def test_an_identity_is_of_one_user_and_neither_half_of_it_identifies_anybody(world: World) -> None:
    client, subject = world.platform(), fresh("subject")
    here = {"issuer": "https://one.example", "subject": subject}
    ana = make_user(client, identity=here)
    metadata = {"issuer": "https://one.example", "subject": subject}
    refusal = client.refusal(CREATE, email=address(), email_verified=True, name="Bo", identity=here)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "IDENTITY_TAKEN", metadata)
    for other in ({**here, "issuer": "https://two.example"}, {**here, "subject": subject.upper()}):
        assert make_user(client, identity=other).id != ana.id
    assert world.breaches() == []


@pytest.mark.parametrize("part", ["issuer", "subject"])
@pytest.mark.parametrize("value", ["", "x" * 256, "a\0b", "a\nb"])
def test_an_identity_has_an_issuer_and_a_subject_that_tokens_can_have(world: World, part: str, value: str) -> None:
    client, email = world.platform(), address()
    identity = {"issuer": "https://login.example", "subject": fresh("subject"), part: value}
    refusal = client.refusal(CREATE, email=email, name="Ana", identity=identity)
    assert refusal.seen == invalid(f"identity.{part}")
    assert client.refusal(FIND, email=email).seen == unknown_user(email)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "Ana\nNg", "a\0b", "<b>Ana</b>", "https://evil.example"])
def test_a_name_is_one_line_that_is_safe_to_show(world: World, name: str) -> None:
    refusal = world.platform().refusal(CREATE, email=address(), name=name)
    assert refusal.seen == invalid("name")


def test_creation_can_be_tried_out(world: World) -> None:
    client, email = world.platform(), address()
    tried = client(CREATE, email=email, email_verified=True, name="Ana", validate_only=True)
    assert (tried.email, tried.state) == (email, ACTIVE)
    assert client.refusal(FIND, email=email).seen == unknown_user(email)
    assert client.refusal("UserService.GetUser", user_id=tried.id).seen == unknown_user(tried.id)
    made = make_user(client, email=email)
    refusal = client.refusal(CREATE, email=email, email_verified=True, name="Ana", validate_only=True)
    assert refusal.seen == email_taken(made.email)


# -- found -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["", "ana", "0" * 25, "é" * 26])
def test_what_is_no_id_is_refused(world: World, user: str) -> None:
    assert world.platform().refusal("UserService.GetUser", user_id=user).seen == invalid("user_id")


def test_unknown_users_are_told_by_the_id_as_sent(world: World) -> None:
    client, stranger = world.platform(), ids.new()
    for spelling in (stranger, stranger.lower(), ids.to_uuid(stranger), ids.NIL):
        for method in ("GetUser", "UpdateUser", "DeleteUser", "ExportUser", "EraseUser"):
            assert client.refusal(f"UserService.{method}", user_id=spelling).seen == unknown_user(spelling), method


def test_a_user_is_found_by_every_spelling_of_the_id_and_the_address(world: World) -> None:
    client = world.platform()
    ana = make_user(client, identity={"issuer": "https://login.example", "subject": fresh("subject")})
    for spelling in (ana.id, ana.id.lower(), ids.to_uuid(ana.id)):
        assert client("UserService.GetUser", user_id=spelling) == ana
    for spelling in (ana.email, ana.email.upper(), f" {ana.email} ", ana.email.replace("example", "ｅｘａｍｐｌｅ")):
        assert client(FIND, email=spelling) == ana


def test_who_verified_the_address_is_found_before_who_claims_it(world: World) -> None:
    client, email = world.platform(), address()
    assert client.refusal(FIND, email=email).seen == unknown_user(email)
    claimant = make_user(client, verified=False, email=email)
    assert client(FIND, email=email) == claimant
    other = make_user(client, verified=False, email=email)
    refusal = client.refusal(FIND, email=email)
    assert refusal.seen == invalid("email")
    assert refusal.violations == {"email": "AMBIGUOUS_USER"}
    holder = make_user(client, email=email)
    assert client(FIND, email=email) == holder
    delete_user(client, holder)
    delete_user(client, other)
    assert client(FIND, email=email) == claimant
    delete_user(client, claimant)
    assert client.refusal(FIND, email=email).seen == unknown_user(email)


def test_what_is_no_address_is_not_looked_for(world: World) -> None:
    for email in ("ana", "@", "ana@", "a\0@example.com", "x" * 400 + "@example.com"):
        assert world.platform().refusal(FIND, email=email).seen == invalid("email"), email


def test_pages_hold_every_user_once_and_deleted_ones_when_asked_for(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    client = world.platform()
    identity = {"issuer": "https://login.example", "subject": "one"}
    made = [make_user(client, identity={**identity, "subject": str(number)}) for number in range(7)]
    gone = {made[1].id, made[4].id, made[6].id}
    for user_id in gone:
        client("UserService.DeleteUser", user_id=user_id)

    def walk(**fields: Any) -> list[Any]:
        found: list[Any] = []
        token = ""
        while True:
            page = client(LIST, page_size=2, page_token=token, **fields)
            assert len(page.users) == 2 or not page.next_page_token
            found, token = [*found, *page.users], page.next_page_token
            if not token:
                return found

    assert walk() == [one for one in made if one.id not in gone]
    everybody = walk(show_deleted=True)
    assert [one.id for one in everybody] == [one.id for one in made]
    assert {one.id for one in everybody if one.state == DELETED} == gone
    assert everybody == [read_user(client, one) for one in made]


def test_a_page_token_is_good_for_its_own_list_alone(world: World) -> None:
    client = world.platform()
    for _ in range(3):
        make_user(client)
    token = client(LIST, page_size=1).next_page_token
    refusal = client.refusal(LIST, page_size=1, page_token=token, show_deleted=True)
    assert refusal.seen == invalid("page_token")
