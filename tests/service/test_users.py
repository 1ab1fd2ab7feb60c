"""Users, as operators make, find and change them: an address is verified by one at most, an identity is of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from grpc import StatusCode
from support.operators import as_person, delete_user, fail_everywhere, read_user
from support.rpc import Client
from support.sign_in import Office
from support.world import World, fresh

from tenantry_server.domain import ids

pytest_plugins = ("support.sign_in",)

CREATE, UPDATE, FIND = "UserService.CreateUser", "UserService.UpdateUser", "UserService.FindUserByEmail"
LIST = "UserService.ListUsers"
ACTIVE, DELETED, PLATFORM = 1, 2, 4


def address(name: str = "ana") -> str:
    return f"{fresh(name)}@example.com"


def taken(email: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.ALREADY_EXISTS, "EMAIL_TAKEN", {"email": email}


def invalid(*fields: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": ",".join(fields)}


def unknown(user: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.NOT_FOUND, "USER_NOT_FOUND", {"user": user}


def make(client: Client, *, verified: bool = True, **fields: Any) -> Any:
    return client(CREATE, **{"email": address(), "email_verified": verified, "name": "Ana", **fields})


def mask(*paths: str) -> dict[str, list[str]]:
    return {"paths": list(paths)}


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
    ana = make(client)
    for spelling in (ana.email, ana.email.upper(), f"  {ana.email}"):
        refusal = client.refusal(CREATE, email=spelling, email_verified=True, name="Bo")
        assert refusal.seen == taken(ana.email)
    assert make(client, email=ana.email, verified=False).email == ana.email  # a claim takes nothing


def test_an_address_that_nobody_verified_can_be_claimed_by_many_and_verified_by_one(world: World) -> None:
    client, email = world.platform(), address()
    claimants = [make(client, verified=False, email=email) for _ in range(3)]
    assert len({one.id for one in claimants}) == 3
    assert client(UPDATE, user_id=claimants[1].id, email_verified=True).email_verified
    for other in (claimants[0], claimants[2]):
        assert client.refusal(UPDATE, user_id=other.id, email_verified=True).seen == taken(email)
    assert world.breaches() == []


def test_an_identity_is_of_one_user_and_neither_half_of_it_identifies_anybody(world: World) -> None:
    client, subject = world.platform(), fresh("subject")
    here = {"issuer": "https://one.example", "subject": subject}
    ana = make(client, identity=here)
    metadata = {"issuer": "https://one.example", "subject": subject}
    refusal = client.refusal(CREATE, email=address(), email_verified=True, name="Bo", identity=here)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "IDENTITY_TAKEN", metadata)
    for other in ({**here, "issuer": "https://two.example"}, {**here, "subject": subject.upper()}):
        assert make(client, identity=other).id != ana.id
    assert world.breaches() == []


@pytest.mark.parametrize("part", ["issuer", "subject"])
@pytest.mark.parametrize("value", ["", "x" * 256, "a\0b", "a\nb"])
def test_an_identity_has_an_issuer_and_a_subject_that_tokens_can_have(world: World, part: str, value: str) -> None:
    client, email = world.platform(), address()
    identity = {"issuer": "https://login.example", "subject": fresh("subject"), part: value}
    refusal = client.refusal(CREATE, email=email, name="Ana", identity=identity)
    assert refusal.seen == invalid(f"identity.{part}")
    assert client.refusal(FIND, email=email).seen == unknown(email)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "Ana\nNg", "a\0b", "<b>Ana</b>", "https://evil.example"])
def test_a_name_is_one_line_that_is_safe_to_show(world: World, name: str) -> None:
    refusal = world.platform().refusal(CREATE, email=address(), name=name)
    assert refusal.seen == invalid("name")


def test_creation_can_be_tried_out(world: World) -> None:
    client, email = world.platform(), address()
    tried = client(CREATE, email=email, email_verified=True, name="Ana", validate_only=True)
    assert (tried.email, tried.state) == (email, ACTIVE)
    assert client.refusal(FIND, email=email).seen == unknown(email)
    assert client.refusal("UserService.GetUser", user_id=tried.id).seen == unknown(tried.id)
    made = make(client, email=email)
    refusal = client.refusal(CREATE, email=email, email_verified=True, name="Ana", validate_only=True)
    assert refusal.seen == taken(made.email)


# -- found -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["", "ana", "0" * 25, "é" * 26])
def test_what_is_no_id_is_refused(world: World, user: str) -> None:
    assert world.platform().refusal("UserService.GetUser", user_id=user).seen == invalid("user_id")


def test_unknown_users_are_told_by_the_id_as_sent(world: World) -> None:
    client, stranger = world.platform(), ids.new()
    for spelling in (stranger, stranger.lower(), ids.to_uuid(stranger), ids.NIL):
        for method in ("GetUser", "UpdateUser", "DeleteUser", "ExportUser", "EraseUser"):
            assert client.refusal(f"UserService.{method}", user_id=spelling).seen == unknown(spelling), method


def test_a_user_is_found_by_every_spelling_of_the_id_and_the_address(world: World) -> None:
    client = world.platform()
    ana = make(client, identity={"issuer": "https://login.example", "subject": fresh("subject")})
    for spelling in (ana.id, ana.id.lower(), ids.to_uuid(ana.id)):
        assert client("UserService.GetUser", user_id=spelling) == ana
    for spelling in (ana.email, ana.email.upper(), f" {ana.email} ", ana.email.replace("example", "ｅｘａｍｐｌｅ")):
        assert client(FIND, email=spelling) == ana


def test_who_verified_the_address_is_found_before_who_claims_it(world: World) -> None:
    client, email = world.platform(), address()
    assert client.refusal(FIND, email=email).seen == unknown(email)
    claimant = make(client, verified=False, email=email)
    assert client(FIND, email=email) == claimant
    other = make(client, verified=False, email=email)
    refusal = client.refusal(FIND, email=email)
    assert refusal.seen == invalid("email")
    assert refusal.violations == {"email": "AMBIGUOUS_USER"}
    holder = make(client, email=email)
    assert client(FIND, email=email) == holder
    delete_user(client, holder)
    delete_user(client, other)
    assert client(FIND, email=email) == claimant
    delete_user(client, claimant)
    assert client.refusal(FIND, email=email).seen == unknown(email)


def test_what_is_no_address_is_not_looked_for(world: World) -> None:
    for email in ("ana", "@", "ana@", "a\0@example.com", "x" * 400 + "@example.com"):
        assert world.platform().refusal(FIND, email=email).seen == invalid("email"), email


def test_pages_hold_every_user_once_and_deleted_ones_when_asked_for(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    client = world.platform()
    identity = {"issuer": "https://login.example", "subject": "one"}
    made = [make(client, identity={**identity, "subject": str(number)}) for number in range(7)]
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
        make(client)
    token = client(LIST, page_size=1).next_page_token
    refusal = client.refusal(LIST, page_size=1, page_token=token, show_deleted=True)
    assert refusal.seen == invalid("page_token")


# -- changed ---------------------------------------------------------------------------------------------------------


def test_a_new_address_is_unverified_unless_it_is_said_to_be(world: World) -> None:
    client = world.platform()
    ana = make(client)
    first, second, third = address(), address(), address()
    moved = client(UPDATE, user_id=ana.id, email=first.upper())
    assert (moved.email, moved.email_verified, moved.name) == (first, False, "Ana")
    moved = client(UPDATE, user_id=ana.id, email=second, email_verified=True)
    assert (moved.email, moved.email_verified) == (second, True)
    same = client(UPDATE, user_id=ana.id, email=second.upper())
    assert (same.email, same.email_verified) == (second, True)  # it is the same address
    moved = client(UPDATE, user_id=ana.id, email=third, update_mask=mask("email"), email_verified=True)
    assert (moved.email, moved.email_verified) == (third, False)  # the mask says what is said
    assert moved == read_user(client, ana)
    assert make(client, email=second).email_verified


def test_every_change_of_a_user_is_an_event_in_their_own_trail(world: World) -> None:
    client = world.platform()
    ana = make(client)
    person, email = as_person(world, ana), address()
    client(UPDATE, user_id=ana.id, email=email, name="Ana Ng")
    personal = person.rpc("OrganizationService.GetOrganization", organization_id=ana.personal_organization_id)
    event = world.events(personal, person)[0]
    assert (event.action, event.target.id, event.actor.kind, event.revision) == (
        "user.update",
        ana.id,
        PLATFORM,
        personal.revision,
    )
    told = {change.field: (change.before, change.after) for change in event.changes}
    assert set(told) == {"email", "email_verified", "name"}
    assert [value.string_value for value in told["email"]] == [ana.email, email]
    assert [value.bool_value for value in told["email_verified"]] == [True, False]
    assert [value.string_value for value in told["name"]] == ["Ana", "Ana Ng"]
    assert world.breaches() == []


@pytest.mark.parametrize("path", ["id", "state", "identities", "personal_organization_id", "nonsense", ""])
def test_what_is_no_field_to_change_is_refused(world: World, path: str) -> None:
    client = world.platform()
    ana = make(client)
    refusal = client.refusal(UPDATE, user_id=ana.id, name="Bo", update_mask=mask(path))
    assert refusal.seen == invalid("update_mask")
    assert refusal.violations == {"update_mask": "UPDATE_MASK"}
    assert read_user(client, ana) == ana


@pytest.mark.parametrize("field", ["email", "email_verified", "name"])
def test_what_the_mask_names_has_to_be_there(world: World, field: str) -> None:
    client = world.platform()
    ana = make(client)
    refusal = client.refusal(UPDATE, user_id=ana.id, update_mask=mask(field))
    assert refusal.seen == invalid(field)
    assert read_user(client, ana) == ana


def test_an_update_is_refused_when_something_came_between(world: World) -> None:
    client = world.platform()
    ana = make(client)
    renamed = client(UPDATE, user_id=ana.id, name="One", etag=ana.etag)
    for change in ({"name": "Two"}, {"email": address()}):
        refusal = client.refusal(UPDATE, user_id=ana.id, etag=ana.etag, **change)
        assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": ana.etag})
    assert read_user(client, ana) == renamed
    assert client(UPDATE, user_id=ana.id, name="Two", etag=renamed.etag).name == "Two"


def test_an_address_that_somebody_verified_cannot_be_taken_by_an_update(world: World) -> None:
    client = world.platform()
    ana, bo = make(client), make(client)
    refusal = client.refusal(UPDATE, user_id=bo.id, email=ana.email.upper(), email_verified=True, name="Ana")
    assert refusal.seen == taken(ana.email)
    assert read_user(client, bo) == bo
    claimed = client(UPDATE, user_id=bo.id, email=ana.email)
    assert (claimed.email, claimed.email_verified) == (ana.email, False)
    assert client(FIND, email=ana.email) == ana


def test_an_update_can_be_tried_out_and_happens_once_under_a_request_id(world: World) -> None:
    client = world.platform()
    ana, email = make(client), address()
    tried = client(UPDATE, user_id=ana.id, email=email, validate_only=True)
    assert tried.email == email
    assert read_user(client, ana) == ana
    changed = client(UPDATE, user_id=ana.id, email=email, request_id=fresh("r"), etag=ana.etag)
    key = fresh("r")
    once = client(UPDATE, user_id=ana.id, name="Once", request_id=key)
    client(UPDATE, user_id=ana.id, name="Twice")
    assert client(UPDATE, user_id=ana.id, name="Once", request_id=key) == once
    assert read_user(client, ana).name == "Twice"
    assert changed.email == read_user(client, ana).email == email


def test_where_there_is_no_address_none_is_verified(office: Office) -> None:
    client, nobody = office.platform(), office.stranger(email=None).sign_in()
    assert nobody.email == ""
    refusal = client.refusal(UPDATE, user_id=nobody.id, email_verified=True)
    assert refusal.seen == invalid("email_verified")
    assert not read_user(client, nobody).email_verified
    for email in ("", "ana"):
        assert client.refusal(UPDATE, user_id=nobody.id, email=email).seen == invalid("email")
    assert office.breaches() == []


def test_a_deleted_user_is_read_and_not_changed(world: World) -> None:
    client = world.platform()
    ana = make(client)
    deleted = delete_user(client, ana)
    assert read_user(client, ana) == deleted
    refusal = client.refusal(UPDATE, user_id=ana.id, name="Bo")
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "USER_DELETED", {"user_id": ana.id})
    assert read_user(client, ana) == deleted
