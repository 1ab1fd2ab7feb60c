"""Signing in: who somebody is, is told by issuer and subject together; what the provider says of them is followed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.operators import delete_user, read_user
from support.sign_in import ISSUER, Office
from support.sql import Heard
from support.world import fresh

from tenantry_server.domain.users import Following

pytest_plugins = ("support.sign_in",)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CURRENT = "UserService.GetCurrentUser"
USER = 1  # as a kind of principal


def at(second: int) -> datetime:
    """When a token was made."""
    return NOON + timedelta(seconds=second)


def events(office: Office, user: Any) -> list[tuple[str, str, set[str]]]:
    """What the trail of a user's personal organization says: action, actor, changed fields; the newest last."""
    with raw.connect(office.deployment.url) as connection:
        query = "SELECT action, actor_id, changes FROM audit_events WHERE organization_id = ? ORDER BY revision"
        rows = connection.execute(query, (user.personal_organization_id,))
    return [(action, actor, set(json.loads(changes))) for action, actor, changes in rows]


# -- who it is -------------------------------------------------------------------------------------------------------


def test_who_signs_in_first_becomes_a_user_with_a_personal_organization(office: Office) -> None:
    stranger = office.stranger()
    answer = stranger.rpc(CURRENT)
    user = answer.user
    assert (user.email, user.email_verified, user.name, user.state) == (stranger.claims.email, True, "Stranger", 1)
    assert [(one.issuer, one.subject) for one in user.identities] == [(ISSUER, stranger.claims.subject)]
    assert (answer.principal_kind, answer.unrestricted, list(answer.permissions)) == (USER, True, [])
    ((organization, role),) = [(one.organization, one.role) for one in answer.organizations]
    assert (organization.id, organization.personal, role) == (user.personal_organization_id, True, 1)
    assert events(office, user) == [("user.create", user.id, {"personal_organization_id"})]
    assert stranger.sign_in() == user == read_user(office.platform(), user)
    assert office.breaches() == []


@pytest.mark.parametrize("what", ["issuer", "subject", "case of the subject"])
def test_neither_half_of_an_identity_makes_it_the_same_person(office: Office, what: str) -> None:
    stranger = office.stranger()
    user = stranger.sign_in()
    claims = stranger.claims
    other: dict[str, Any] = {
        "issuer": {"issuer": "https://other.example"},
        "subject": {"subject": fresh("subject")},
        "case of the subject": {"subject": claims.subject.upper()},
    }[what]
    somebody = stranger.says(**other, email=f"{fresh('other')}@example.com").sign_in()
    assert somebody.id != user.id
    assert stranger.sign_in() == user


def test_a_user_whom_an_operator_made_with_the_identity_signs_in_as_that_user(office: Office) -> None:
    client, stranger = office.platform(), office.stranger()
    identity = {"issuer": ISSUER, "subject": stranger.claims.subject}
    made = client("UserService.CreateUser", email=f"{fresh('old')}@example.com", name="Old", identity=identity)
    user = stranger.sign_in()
    assert user.id == made.id
    assert (user.email, user.email_verified, user.name) == (stranger.claims.email, True, "Stranger")


def test_a_user_with_the_same_address_but_no_identity_is_somebody_else(office: Office) -> None:
    ana = office.person("ana")
    user = office.stranger(email=ana.email).sign_in()
    assert user.id != ana.id
    assert (user.email, user.email_verified) == (ana.email, False)


def test_who_verified_an_address_first_keeps_it_whatever_another_issuer_says(office: Office) -> None:
    client, first = office.platform(), office.stranger()
    holder = first.sign_in()
    second = office.stranger(issuer="https://evil.example", email=holder.email)
    for _ in range(2):
        user = second.sign_in()
        assert user.id != holder.id
        assert (user.email, user.email_verified) == (holder.email, False)
    assert first.sign_in() == holder == client("UserService.FindUserByEmail", email=holder.email)
    assert [action for action, _, _ in events(office, user)] == ["user.create"]
    owner = office.person("owner")
    invitation = office.invite(office.organization(owner), owner, holder.email)
    refusal = second.rpc.refusal("InvitationService.AcceptInvitation", invitation_id=invitation.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "EMAIL_NOT_VERIFIED", {})
    assert office.breaches() == []


def test_an_address_that_becomes_free_is_verified_by_who_signs_in_next(office: Office) -> None:
    client, first = office.platform(), office.stranger()
    holder = first.sign_in()
    second = office.stranger(email=holder.email)
    assert not second.sign_in().email_verified
    delete_user(client, holder)
    assert second.sign_in().email_verified
    assert events(office, second.sign_in())[1:] == [("user.update", second.sign_in().id, {"email_verified"})]
    assert not first.sign_in().email_verified  # somebody new, and too late
    assert office.breaches() == []


def test_who_is_deleted_or_erased_comes_back_as_somebody_new(office: Office) -> None:
    client, stranger = office.platform(), office.stranger()
    ids = []
    for erased in (False, True):
        user = stranger.sign_in()
        ids.append(user.id)
        delete_user(client, user)
        if erased:
            client("UserService.EraseUser", user_id=user.id)
    user = stranger.sign_in()
    assert len({*ids, user.id}) == 3
    assert (user.email, user.email_verified) == (stranger.claims.email, True)
    assert office.breaches() == []


# -- what the provider says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "fields"),
    [
        ({"email": "new{}@example.com"}, {"email"}),
        ({"email_verified": False}, {"email_verified"}),
        ({"name": "Ana Ng"}, {"name"}),
        ({"email": "new{}@example.com", "email_verified": False, "name": "Ana Ng"}, {"email", "email_verified", "name"}),
    ],
)
def test_address_verified_flag_and_name_follow_the_token(office: Office, says: dict[str, Any], fields: set[str]) -> None:
    before = office.stranger()
    user = before.sign_in()
    after = before.says(**{name: value.format(fresh("n")) if name == "email" else value for name, value in says.items()})
    changed = after.sign_in()
    claims = after.claims
    assert (changed.id, changed.email, changed.email_verified, changed.name) == (
        user.id,
        claims.email,
        claims.email_verified,
        claims.name,
    )
    assert after.sign_in() == changed
    assert events(office, user)[1:] == [("user.update", user.id, fields)]
    assert office.breaches() == []


def test_a_call_that_says_nothing_new_writes_nothing(office: Office) -> None:
    holder = office.stranger()
    second = office.stranger(email=holder.sign_in().email)  # whose address somebody else has
    strange = office.stranger(email="no address")
    for stranger in (holder, second, strange, holder.says(email=str(holder.claims.email).upper())):
        user = stranger.sign_in()
        with Heard(office.deployment.database) as heard:
            assert stranger.sign_in() == user
        told = [statement for statement in heard.statements if "last_used_time" not in statement]  # what a thread beside writes
        assert told
        assert all(statement.startswith("SELECT") for statement in told)
        assert [action for action, _, _ in events(office, user)] == ["user.create"]


def test_what_the_provider_leaves_out_stays(office: Office) -> None:
    stranger = office.stranger()
    user = stranger.sign_in()
    assert stranger.says(email=None, email_verified=False).sign_in() == user
    assert stranger.says(name=None).sign_in() == user
    assert len(events(office, user)) == 1


def test_without_an_address_there_is_a_user_who_can_do_what_takes_none(office: Office) -> None:
    stranger = office.stranger(email=None)
    user = stranger.sign_in()
    assert (user.email, user.email_verified, user.name) == ("", False, "Stranger")
    refusal = stranger.rpc.refusal("OrganizationService.CreateOrganization", name="Acme")
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "EMAIL_NOT_VERIFIED", {})
    others = [office.stranger(email=None).sign_in() for _ in range(2)]
    assert [one.email_verified for one in others] == [False, False]
    assert office.breaches() == []


@pytest.mark.parametrize("email", ["ana", "ana@", "a b@example.com", "ana@[127.0.0.1]", "Ana <ana@example.com>", " "])
def test_an_address_that_is_none_is_none(office: Office, email: str) -> None:
    user = office.stranger(email=email).sign_in()
    assert (user.email, user.email_verified) == ("", False)
    known = office.stranger()
    before = known.sign_in()
    after = known.says(email=email).sign_in()  # the provider stands by the old address no more
    assert (after.id, after.email, after.email_verified) == (before.id, "", False)
    assert office.breaches() == []


@pytest.mark.parametrize(
    ("says", "name"),
    [
        ({"name": None, "email": "ana.ng@example.com"}, "ana.ng"),
        ({"name": None, "email": "@example.com", "subject": "auth0|1"}, "auth0|1"),
        ({"name": None, "email": None, "subject": "auth0|2"}, "auth0|2"),
        ({"name": None, "email": None, "subject": "ana@login.example"}, "ana@login.example"),
        ({"name": None, "email": "www.ana@example.com", "subject": "auth0|3"}, "auth0|3"),
        ({"name": None, "email": None, "subject": "x" * 255}, "x" * 200),
        ({"name": None, "email": None, "subject": "https://login.example/4"}, "Unnamed"),
    ],
)
def test_everybody_has_a_name(own_office: Callable[..., Office], says: dict[str, Any], name: str) -> None:
    stranger = own_office().stranger().says(**says)
    assert stranger.sign_in().name == name
    assert stranger.sign_in().name == name


def test_what_an_operator_changed_is_followed_again(office: Office) -> None:
    client, stranger = office.platform(), office.stranger()
    user = stranger.sign_in()
    client("UserService.UpdateUser", user_id=user.id, email=f"{fresh('else')}@example.com", name="Else")
    again = stranger.sign_in()
    assert (again.id, again.email, again.email_verified, again.name) == (user.id, user.email, True, user.name)


# -- which of several tokens is followed -----------------------------------------------------------------------------------


def test_the_newest_of_several_tokens_is_followed_whichever_calls_last(office: Office) -> None:
    stranger = office.stranger()
    old = stranger.says(name="Old", issue_time=at(1))
    new = stranger.says(name="New", email=f"{fresh('new')}@example.com", issue_time=at(2))
    assert old.sign_in().name == "Old"
    user = new.sign_in()
    assert (user.name, user.email) == ("New", new.claims.email)
    for older in (old, stranger.says(name="Older", issue_time=at(0))):
        with Heard(office.deployment.database) as heard:
            assert older.sign_in() == new.sign_in() == user
        told = [statement for statement in heard.statements if "last_used_time" not in statement]
        assert all(statement.startswith("SELECT") for statement in told)
    assert events(office, user)[1:] == [("user.update", user.id, {"email", "name"})]
    assert stranger.says(name="Newest", issue_time=at(3)).sign_in().name == "Newest"
    assert office.breaches() == []


def test_of_two_tokens_that_were_made_at_the_same_time_the_first_is_followed(office: Office) -> None:
    stranger = office.stranger()
    first, second = (stranger.says(name=name, issue_time=at(1)) for name in ("First", "Second"))
    assert [one.sign_in().name for one in (first, second, first, second)] == ["First"] * 4


def test_a_token_that_does_not_say_when_it_was_made_is_followed_until_one_does(office: Office) -> None:
    stranger = office.stranger()
    without, dated = stranger.says(name="Without"), stranger.says(name="Dated", issue_time=at(1))
    names = [one.sign_in().name for one in (stranger, without, stranger, dated, without, stranger, dated)]
    assert names == ["Stranger", "Without", "Stranger", "Dated", "Dated", "Dated", "Dated"]


def test_what_an_operator_changed_is_followed_again_by_the_same_token_and_by_no_older_one(office: Office) -> None:
    client, stranger = office.platform(), office.stranger()
    old, new = stranger.says(name="Old", issue_time=at(1)), stranger.says(name="New", issue_time=at(2))
    user = [one.sign_in() for one in (old, new)][-1]
    client("UserService.UpdateUser", user_id=user.id, name="Else")
    assert [one.sign_in().name for one in (old, new, old)] == ["Else", "New", "New"]


def test_identities_of_before_follow_their_next_token(office: Office) -> None:
    stranger = office.stranger()
    user = stranger.says(issue_time=at(2)).sign_in()
    with raw.connect(office.deployment.url) as connection:  # as an earlier version leaves it
        connection.execute("UPDATE identities SET token_time = NULL, token_digest = NULL WHERE user_id = ?", (user.id,))
    assert stranger.says(name="Next", issue_time=at(1)).sign_in().name == "Next"
    assert stranger.says(name="Older", issue_time=at(0)).sign_in().name == "Next"


def test_control_without_the_time_of_the_last_one_two_tokens_would_take_turns(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Following, "gives_way_to", lambda before, after: True)
    stranger = office.stranger()
    tokens = [stranger.says(name=name, issue_time=at(number)) for number, name in enumerate(("Old", "New"))]
    assert [one.sign_in().name for one in tokens * 2] == ["Old", "New", "Old", "New"]


def test_an_address_of_somebody_else_is_followed_and_not_verified(office: Office) -> None:
    holder, stranger = office.stranger().sign_in(), office.stranger()
    user = stranger.sign_in()
    moved = stranger.says(email=holder.email.upper()).sign_in()
    assert (moved.id, moved.email, moved.email_verified) == (user.id, holder.email, False)
    assert stranger.says(email=holder.email).sign_in() == moved
    assert office.breaches() == []
