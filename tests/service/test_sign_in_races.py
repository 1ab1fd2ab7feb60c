"""Many sign in at once: one person is one user however many calls come, and an address is verified by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from support import raw, weaken
from support.interleave import Background, Meeting, Place, Stop, at_once, refused
from support.operators import delete_user
from support.sign_in import ISSUER, Office, Stranger, patiently
from support.tokens import INVALID_CREDENTIAL
from support.world import fresh

from tenantry_server.domain.users import Following
from tenantry_server.store.queries import users

pytest_plugins = ("support.sign_in",)

_ROUNDS = 5
_CROWD, _FEW = 50, 4
# How long the first one waits for the others to get as far.
_MOMENT = 0.2


def together(office: Office, places: tuple[Place, ...], *people: Stranger) -> list[Any]:
    """Who everybody is, all signing in at once; as many as the engine lets meet at one of the places."""
    with Meeting(office.deployment.database, *places, parties=min(len(people), _FEW), patience=_MOMENT):
        return at_once(*[patiently(one.sign_in) for one in people])


def counted(office: Office, user: Any) -> dict[str, int]:
    """How much there is of somebody."""
    database = office.deployment.database
    return {
        "users": raw.count(database, "users", email=user.email),
        "identities": raw.count(database, "identities", user_id=user.id),
        "organizations": raw.count(database, "organizations", creator_user_id=user.id),
        "events": raw.count(database, "audit_events", organization_id=user.personal_organization_id),
    }


ONCE = {"users": 1, "identities": 1, "organizations": 1, "events": 1}


@pytest.mark.parametrize("verified", [True, False], ids=["verified", "unverified"])
@pytest.mark.parametrize("place", [users.INSERT, users.IDENTIFY], ids=["the user", "the identity"])
def test_of_fifty_first_calls_of_one_person_one_makes_the_user_and_all_are_answered(
    office: Office, place: Place, verified: bool
) -> None:
    stranger = office.stranger(verified=verified)
    results = together(office, (place,), *[stranger] * _CROWD)
    assert [result for result in results if refused(result)] == []
    assert {result.id for result in results} == {results[0].id}
    assert results[0].email_verified == verified
    assert counted(office, results[0]) == ONCE
    assert office.breaches() == []


def test_control_without_the_key_of_identities_one_person_would_be_several(own_office: Callable[..., Office]) -> None:
    office = own_office()
    weaken.table(office.deployment.url, "identities", "users")
    stranger = office.stranger()
    together(office, (users.INSERT,), *[stranger] * _FEW)
    assert raw.count(office.deployment.database, "users", email=stranger.claims.email) > 1


@pytest.mark.parametrize("issuers", ["one issuer", "many issuers"])
def test_of_ten_people_with_one_verified_address_one_has_it(office: Office, issuers: str) -> None:
    for _ in range(_ROUNDS):
        email = f"{fresh('same')}@example.com"
        names = [ISSUER if issuers == "one issuer" else f"https://login{number}.example" for number in range(10)]
        people = [office.stranger(issuer=name, email=email) for name in names]
        results = together(office, (users.INSERT,), *people)
        assert [result for result in results if refused(result)] == []
        assert len({result.id for result in results}) == 10
        assert raw.count(office.deployment.database, "users", email=email, email_verified=True) == 1
        assert raw.count(office.deployment.database, "users", email=email) == 10
        again = [one.sign_in() for one in people]
        assert [one.email_verified for one in again].count(True) == 1
    assert office.breaches() == []


def test_control_without_the_index_several_would_have_it(
    own_office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = own_office()
    weaken.table(office.deployment.url, "identities", "users")
    weaken.lock(monkeypatch, office.deployment.database)  # on SQLite, one comes after the other
    email = f"{fresh('same')}@example.com"
    together(office, (users.INSERT,), *[office.stranger(email=email) for _ in range(_FEW)])
    assert raw.count(office.deployment.database, "users", email=email, email_verified=True) > 1


def test_of_many_calls_that_say_something_new_one_writes_it(office: Office) -> None:
    for _ in range(_ROUNDS):
        stranger = office.stranger()
        user = stranger.sign_in()
        after = stranger.says(name="New", email=f"{fresh('new')}@example.com")
        results = together(office, (users.UPDATE,), *[after] * 10)
        assert [result for result in results if refused(result)] == []
        assert {(result.id, result.name, result.email) for result in results} == {(user.id, "New", after.claims.email)}
        key = {"organization_id": user.personal_organization_id, "action": "user.update"}
        assert raw.count(office.deployment.database, "audit_events", **key) == 1
    assert office.breaches() == []


@pytest.mark.parametrize("rule", ["as it is", "control: not looked at again"])
def test_an_older_token_that_is_overtaken_on_its_way_is_not_followed(
    office: Office, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    stranger = office.stranger()
    first, older, newer = (
        stranger.says(name=name, issue_time=noon + timedelta(seconds=number))
        for number, name in enumerate(("First", "Older", "Newer"))
    )
    first.sign_in()
    with Stop(office.deployment.database, users.GET) as stop:
        overtaken = Background(older.sign_in)
        stop.wait()
        assert newer.sign_in().name == "Newer"
        if rule != "as it is":
            monkeypatch.setattr(Following, "gives_way_to", lambda before, after: True)
        stop.go()
        assert not refused(overtaken.result())
    monkeypatch.undo()
    assert newer.says(name=None).sign_in().name == ("Newer" if rule == "as it is" else "Older")


def test_of_people_who_move_to_one_address_at_once_one_has_it_verified(office: Office) -> None:
    for _ in range(_ROUNDS):
        people = [office.stranger() for _ in range(_FEW)]
        for one in people:
            one.sign_in()
        email = f"{fresh('same')}@example.com"
        moved = [one.says(email=email) for one in people]
        results = together(office, (users.UPDATE,), *moved)
        assert [result for result in results if refused(result)] == []
        after = [one.sign_in() for one in moved]
        assert {one.email for one in after} == {email}
        assert [one.email_verified for one in after].count(True) == 1
    assert office.breaches() == []


def test_who_signs_in_while_being_deleted_is_who_they_were_or_somebody_new(office: Office) -> None:
    client = office.platform()
    for _ in range(_ROUNDS):
        stranger = office.stranger()
        user = stranger.sign_in()
        deletion, *results = at_once(partial(delete_user, client, user), *[stranger.sign_in] * _FEW)
        assert not refused(deletion)
        for result in results:
            assert result.seen == INVALID_CREDENTIAL if refused(result) else result.state == 1
        new = stranger.sign_in()
        assert new.id != user.id
        assert {result.id for result in results if not refused(result)} <= {user.id, new.id}
        assert (new.email, new.email_verified) == (user.email, True)
    assert office.breaches() == []


def test_an_operator_and_the_person_make_the_user_at_once(office: Office) -> None:
    client = office.platform()
    for _ in range(_ROUNDS):
        stranger = office.stranger()
        identity = {"issuer": ISSUER, "subject": stranger.claims.subject}
        fields = {"email": stranger.claims.email, "email_verified": True, "name": "Stranger", "identity": identity}
        with Meeting(office.deployment.database, users.INSERT, patience=0.05):
            made, signed_in = at_once(partial(client, "UserService.CreateUser", **fields), stranger.sign_in)
        assert not refused(signed_in)
        if refused(made):
            assert made.reason in ("EMAIL_TAKEN", "IDENTITY_TAKEN")
        else:
            assert made.id == signed_in.id
        assert counted(office, signed_in) == ONCE
    assert office.breaches() == []
