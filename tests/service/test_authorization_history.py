"""Questions about past instants: answered as they were then, from the audit trail, or refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.asking import CHECK, batch, changes, check, decision, refusal, verdict, why
from support.changing import PERMISSIONS, Changing
from support.sql import Heard
from support.world import DEVELOPER, MEMBER, Person, World

from tenantry_server.domain.history import ACTIONS
from tenantry_server.services import history

READ, WRITE = "sandbox:read", "sandbox:write"
SECOND = timedelta(seconds=1)


def user(person: Person) -> dict[str, Any]:
    return {"subject": {"user_id": person.id}}


def instant(world: World) -> datetime:
    """Now, with time before and after for changes."""
    world.clock.advance(SECOND)
    now = world.clock.now()
    world.clock.advance(SECOND)
    return now


def not_told(organization: Any, revision: int) -> Any:
    told = {"organization_id": organization.id, "revision": str(revision)}
    return refusal(StatusCode.FAILED_PRECONDITION, "HISTORY_NOT_RETAINED", **told)


def test_every_instant_is_answered_as_it_was_answered_then(world: World) -> None:
    seen: Counter[str] = Counter()
    verdicts: Counter[bool] = Counter()
    for seed in range(10):
        life = Changing(world, seed)
        here, past = life.organization.id, []
        asked = [
            {"organization_id": here, "permission": permission, **user(person)}
            for person in life.people
            for permission in PERMISSIONS
        ]
        for _ in range(45):
            life.step()
            answers = batch(life.admin, asked)
            past.append((instant(world), answers))
        for at, answers in life.dice.sample(past, 12):
            for question, answer in life.dice.sample(list(zip(asked, answers, strict=True)), 8):
                assert verdict(life.admin, as_of=at, **question) == answer, (seed, at, question)
                verdicts[answer[0]] += 1
        with raw.connect(world.deployment.url) as connection:
            rows = connection.execute("SELECT action FROM audit_events WHERE organization_id = ?", (here,))
        seen.update(action for (action,) in rows)
    assert min(verdicts[True], verdicts[False]) > 100, verdicts
    # What else there is stands in the trails of personal organizations.
    assert ACTIONS - set(seen) <= {"user.create", "user.update", "user.erase"}, seen


def test_the_personal_organization_of_somebody_who_is_gone_is_told_too(world: World) -> None:
    ana, admin = world.person(), world.platform()
    home = ana.personal_organization_id
    before = instant(world)
    admin("UserService.UpdateUser", user_id=ana.id, name="Anna")
    named = instant(world)
    admin("UserService.DeleteUser", user_id=ana.id)
    gone = instant(world)
    admin("UserService.EraseUser", user_id=ana.id)
    erased = instant(world)
    answers = [verdict(admin, home, READ, as_of=at, **user(ana)) for at in (before, named, gone, erased)]
    assert answers == [(True, 2), (True, 3), (False, 4), (False, 5)]  # the first token is there, too


def test_a_past_instant_is_explained_with_the_roles_of_then(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, WRITE, name="Writers")
    bo = world.member(acme, ana, role.id)
    then = instant(world)
    ana.rpc("RoleService.UpdateRole", organization_id=acme.id, role_id=role.id, name="Readers", permissions=[READ])
    ana.rpc("MemberService.UpdateMemberAccess", organization_id=acme.id, user_id=bo.id, role=MEMBER)
    told = why(ana.rpc, acme.id, WRITE, as_of=then, **user(bo))
    assert (decision(told), [role.name for role in told.granting_roles]) == ("ROLE", ["Writers"])
    assert changes(told) == ["UNASSIGN_ROLE Writers"]
    assert verdict(ana.rpc, acme.id, WRITE, as_of=then, **user(bo)) == (True, 3)
    assert verdict(ana.rpc, acme.id, WRITE, **user(bo)) == (False, 5)


def test_a_token_is_asked_about_as_it_is_today(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    then = instant(world)
    ana.rpc("MemberService.UpdateMemberAccess", organization_id=acme.id, user_id=bo.id, role=MEMBER)
    token = world.token(bo, permissions=[WRITE], lifetime=timedelta(hours=1))
    client, service, subject = world.client(token), world.platform(), {"credential": token}
    assert verdict(client, acme.id, WRITE, as_of=then) == (True, 2)
    assert verdict(client, acme.id, READ, as_of=then) == (False, 2)
    assert verdict(client, acme.id, WRITE) == (False, 3)
    world.clock.advance(timedelta(hours=2))
    assert verdict(service, acme.id, WRITE, as_of=then, subject=subject) == (True, 2)
    assert decision(why(service, acme.id, WRITE, as_of=world.clock.now(), subject=subject)) == "CREDENTIAL_EXPIRED"


def test_before_the_organization_was_nobody_held_anything(world: World) -> None:
    ana = world.person()
    before = instant(world)
    acme = world.organization(ana)
    assert verdict(ana.rpc, acme.id, READ, as_of=before) == (False, 0)
    service = world.platform()
    assert decision(why(service, acme.id, READ, as_of=before, **user(ana))) == "UNKNOWN_ORGANIZATION"
    assert decision(why(ana.rpc, acme.id, READ, as_of=before)) == "UNKNOWN_ORGANIZATION"


def test_the_right_to_ask_is_todays(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    then = instant(world)
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    assert verdict(bo.rpc, acme.id, READ, as_of=then) == (False, 0)
    assert verdict(ana.rpc, acme.id, READ, as_of=then, **user(bo)) == (True, 2)


def test_the_future_is_not_told(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    later = world.clock.now() + timedelta(minutes=1)
    refused = ana.rpc.refusal(CHECK, organization_id=acme.id, permission=READ, as_of=later)
    assert refused.seen == refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields="as_of")
    assert refused.violations == {"as_of": "AS_OF"}


@contextmanager
def _forged(world: World, organization: Any, sql: str, *parameters: Any) -> Iterator[None]:
    """An organization whose trail was tampered with; afterwards it is whole again, for who looks at the database next."""
    of_it = "FROM audit_events WHERE organization_id = ?"
    with raw.connect(world.deployment.url) as connection:
        whole = connection.execute(f"SELECT * {of_it}", (organization.id,))
        connection.execute(sql, parameters)
    yield
    with raw.connect(world.deployment.url) as connection:
        connection.execute(f"DELETE {of_it}", (organization.id,))
        for event in whole:
            connection.execute(f"INSERT INTO audit_events VALUES ({', '.join('?' * len(event))})", event)


@pytest.mark.parametrize(
    ("lost", "revision"),
    [
        ("revision = 1", 1),
        ("revision <= 2", 1),
        ("revision = 2", 2),
        ("revision = 4", 4),
        ("revision > 2", 3),
        ("revision > 0", 1),
    ],
)
def test_a_trail_that_is_not_whole_is_refused(world: World, lost: str, revision: int) -> None:
    ana = world.person()
    acme = world.organization(ana)
    for _ in range(3):
        world.member(acme, ana)
    now = instant(world)
    with _forged(world, acme, f"DELETE FROM audit_events WHERE organization_id = ? AND {lost}", acme.id):
        refused = ana.rpc.refusal(CHECK, organization_id=acme.id, permission=READ, as_of=now)
    assert refused.seen == not_told(acme, revision)
    assert check(ana.rpc, acme.id, READ), "of now, nothing is asked of the trail"


@pytest.mark.parametrize(
    ("column", "value"), [("action", "moon.land"), ("changes", "{}"), ("changes", json.dumps({"role": [None, "emperor"]}))]
)
def test_an_event_that_cannot_be_read_is_refused(world: World, column: str, value: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    before = instant(world)
    world.member(acme, ana)
    now = instant(world)
    forge = f"UPDATE audit_events SET {column} = ? WHERE organization_id = ? AND revision = 2"
    with _forged(world, acme, forge, value, acme.id):
        assert ana.rpc.refusal(CHECK, organization_id=acme.id, permission=READ, as_of=now).seen == not_told(acme, 2)
        assert verdict(ana.rpc, acme.id, READ, as_of=before) == (True, 1)


def test_a_long_trail_is_read_in_parts_and_no_further_than_needed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_CHUNK", 4)
    ana = world.person()
    acme = world.organization(ana)
    instants = []
    for _ in range(11):
        world.member(acme, ana)
        instants.append(instant(world))
    # Up to the first event that is later; at the end of the trail, until nothing comes.
    for index, statements in ((0, 1), (2, 2), (5, 2), (10, 4)):
        with Heard(world.deployment.database) as heard:
            assert verdict(ana.rpc, acme.id, READ, as_of=instants[index]) == (True, index + 2)
        assert sum("audit_events" in sql for sql in heard.statements) == statements


def test_a_trail_that_takes_too_long_ends_with_the_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_CHUNK", 1)
    ana = world.person()
    acme = world.organization(ana)
    world.member(acme, ana)
    monkeypatch.setattr(history, "time", _Late())
    refused = ana.rpc.refusal(CHECK, organization_id=acme.id, permission=READ, as_of=instant(world))
    assert refused.seen == refusal(StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


class _Late:
    """A clock that is always too late."""

    monotonic: Callable[[], float] = staticmethod(lambda: float("inf"))
