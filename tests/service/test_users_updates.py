"""Changes of users: what is named is changed, a new address is unverified unless it is said to be, and every change is told."""

from __future__ import annotations

import pytest
from grpc import StatusCode
from support.operators import address, as_person, delete_user, email_taken, make_user, read_user
from support.sign_in import Office
from support.tokens import invalid
from support.world import World, fresh

pytest_plugins = ("support.sign_in",)

UPDATE, FIND = "UserService.UpdateUser", "UserService.FindUserByEmail"
PLATFORM = 4


def mask(*paths: str) -> dict[str, list[str]]:
    return {"paths": list(paths)}


def test_a_new_address_is_unverified_unless_it_is_said_to_be(world: World) -> None:
    client = world.platform()
    ana = make_user(client)
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
    assert make_user(client, email=second).email_verified


def test_every_change_of_a_user_is_an_event_in_their_own_trail(world: World) -> None:
    client = world.platform()
    ana = make_user(client)
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
    ana = make_user(client)
    refusal = client.refusal(UPDATE, user_id=ana.id, name="Bo", update_mask=mask(path))
    assert refusal.seen == invalid("update_mask")
    assert refusal.violations == {"update_mask": "UPDATE_MASK"}
    assert read_user(client, ana) == ana


@pytest.mark.parametrize("field", ["email", "email_verified", "name"])
def test_what_the_mask_names_has_to_be_there(world: World, field: str) -> None:
    client = world.platform()
    ana = make_user(client)
    refusal = client.refusal(UPDATE, user_id=ana.id, update_mask=mask(field))
    assert refusal.seen == invalid(field)
    assert read_user(client, ana) == ana


def test_an_update_is_refused_when_something_came_between(world: World) -> None:
    client = world.platform()
    ana = make_user(client)
    renamed = client(UPDATE, user_id=ana.id, name="One", etag=ana.etag)
    for change in ({"name": "Two"}, {"email": address()}):
        refusal = client.refusal(UPDATE, user_id=ana.id, etag=ana.etag, **change)
        assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": ana.etag})
    assert read_user(client, ana) == renamed
    assert client(UPDATE, user_id=ana.id, name="Two", etag=renamed.etag).name == "Two"


def test_an_address_that_somebody_verified_cannot_be_taken_by_an_update(world: World) -> None:
    client = world.platform()
    ana, bo = make_user(client), make_user(client)
    refusal = client.refusal(UPDATE, user_id=bo.id, email=ana.email.upper(), email_verified=True, name="Ana")
    assert refusal.seen == email_taken(ana.email)
    assert read_user(client, bo) == bo
    claimed = client(UPDATE, user_id=bo.id, email=ana.email)
    assert (claimed.email, claimed.email_verified) == (ana.email, False)
    assert client(FIND, email=ana.email) == ana


def test_an_update_can_be_tried_out_and_happens_once_under_a_request_id(world: World) -> None:
    client = world.platform()
    ana, email = make_user(client), address()
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
    ana = make_user(client)
    deleted = delete_user(client, ana)
    assert read_user(client, ana) == deleted
    refusal = client.refusal(UPDATE, user_id=ana.id, name="Bo")
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "USER_DELETED", {"user_id": ana.id})
    assert read_user(client, ana) == deleted
