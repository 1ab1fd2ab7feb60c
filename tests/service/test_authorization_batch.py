"""Many questions at once: each answered in its place as if it were alone, and none hidden by another."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from grpc import StatusCode
from support.asking import BATCH, CHECK, batch, check, refusal, verdict
from support.colliding import COLLIDING, PAIRS
from support.interleave import at_once
from support.rpc import Refused
from support.sql import Heard
from support.world import AUDITOR, DEVELOPER, Person, World

from tenantry_server.domain import ids
from tenantry_server.store import subjects

READ, WRITE, DELETE = "sandbox:read", "sandbox:write", "sandbox:delete"
MOST = 1000


def item(organization: Any, permission: str, **subject: str) -> dict[str, Any]:
    question = {"organization_id": getattr(organization, "id", organization), "permission": permission}
    return question | ({"subject": subject} if subject else {})


def malformed(*fields: str) -> Any:
    return refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields=",".join(fields))


def test_nothing_asked_is_nothing_answered(world: World) -> None:
    assert batch(world.person().rpc, []) == []


def test_every_question_is_answered_in_its_place_repetitions_included(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    asked = [
        item(acme, WRITE),
        item(acme, WRITE, user_id=bo.id),
        item(birch, WRITE, user_id=bo.id),
        item(acme, DELETE, user_id=bo.id),
        item(acme, WRITE, user_id=bo.id),
        item(ids.new(), WRITE),
        item(acme, "sandbox:fly"),
        item(acme, WRITE, user_id=ids.to_uuid(bo.id)),
    ]
    here, there = world.revision(acme.id), world.revision(birch.id)
    answers = [
        (True, here),
        (True, here),
        (False, there),
        (False, here),
        (True, here),
        (False, 0),
        (False, here),
        (True, here),
    ]
    assert batch(ana.rpc, asked) == answers
    for seed in range(5):
        order = random.Random(seed).choices(range(len(asked)), k=50)
        assert batch(ana.rpc, [asked[index] for index in order]) == [answers[index] for index in order]


def test_one_that_is_wrong_among_a_hundred_hides_no_other(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    good, now = item(acme, WRITE), world.revision(acme.id)
    for wrong, expected in (
        (item("acme", WRITE), malformed("organization_id")),
        (item(acme, "Sandbox Write"), malformed("permission")),
        (item("", ""), malformed("organization_id", "permission")),
        (item(acme, WRITE, user_id="bo"), malformed("subject.user_id")),
        ({**item(acme, WRITE), "subject": {}}, malformed("subject.subject")),
        ({**item(acme, WRITE), "at_least_revision": -1}, malformed("at_least_revision")),
        (
            {**item(acme, WRITE), "at_least_revision": now + 1},
            refusal(StatusCode.UNAVAILABLE, "REVISION_NOT_REACHED", revision=str(now), at_least_revision=str(now + 1)),
        ),
        (
            item(acme, WRITE, credential=ana.token),
            refusal(StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", principal_kind="user"),
        ),
        ({}, malformed("organization_id", "permission")),
    ):
        answers = batch(ana.rpc, [*[good] * 49, wrong, *[good] * 50])
        assert answers == [*[(True, now)] * 49, expected, *[(True, now)] * 50]


def test_who_may_not_read_members_is_refused_for_those_questions_alone(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    narrow = world.client(world.token(ana, permissions=[WRITE]))
    refused = refusal(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", permissions="member:read")
    answers = batch(
        narrow,
        [item(acme, WRITE), item(acme, WRITE, user_id=ids.new()), item(ids.new(), WRITE, user_id=ids.new()), item(birch, READ)],
    )
    assert answers == [(True, world.revision(acme.id)), refused, (False, 0), (False, world.revision(birch.id))]


def test_a_thousand_questions_are_answered_and_one_more_is_refused(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    assert batch(ana.rpc, [item(acme, WRITE)] * MOST) == [(True, world.revision(acme.id))] * MOST
    refused = ana.rpc.refusal(BATCH, items=[item(acme, WRITE)] * (MOST + 1))
    assert refused.seen == malformed("items")
    assert refused.violations == {"items": "REPEATED_MAX_ITEMS"}


def test_a_batch_says_what_single_questions_say(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    bo, stranger = world.member(acme, ana, DEVELOPER), world.person()
    token, bound = world.token(bo, permissions=[READ, DELETE]), world.token(bo, organization_id=acme.id)
    program, service = world.token(organization_id=acme.id), world.platform("authorization:check")
    token_id = world.client(token)("ApiTokenService.GetCurrentApiToken").api_token.id
    subjects: list[dict[str, str]] = [
        {},
        *({"user_id": user_id} for user_id in (ana.id, bo.id, stranger.id, ids.new())),
        {"api_token_id": token_id},
        {"api_token_id": ids.new()},
        *({"credential": credential} for credential in (token, bound, program, ana.token, "no", "a.b.c")),
    ]
    asked = [
        item(organization_id, permission, **subject)
        for subject in subjects
        for organization_id in (acme.id, birch.id, stranger.personal_organization_id, ids.NIL)
        for permission in (READ, WRITE, DELETE, "organization:delete", "sandbox:fly")
    ]
    callers = [ana.rpc, bo.rpc, stranger.rpc, service, world.platform("user:read")]
    callers += [world.client(credential) for credential in (token, bound, program)]
    for caller in callers:
        assert batch(caller, asked) == [_alone(caller, question) for question in asked]


def _alone(caller: Any, question: dict[str, Any]) -> Any:
    try:
        return verdict(caller, question["organization_id"], question["permission"], **_rest(question))
    except Refused as refused:
        return refused.seen


def _rest(question: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name == "subject"}


def _about_a_bound_token(world: World) -> tuple[list[Any], list[Any]]:
    """What a batch says of a token that is bound to one of two organizations, whose rows say the same; and what is right."""
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    bound, _ = (world.token(ana, organization_id=each.id) for each in (acme, birch))
    revision = world.revision(acme.id)
    assert revision == world.revision(birch.id)
    asked = [item(here, READ, credential=bound) for here in (acme, birch, birch, acme)]
    return batch(world.platform(), asked), [(here, revision) for here in (True, False, False, True)]


def test_a_token_holds_nothing_where_it_is_not_bound_however_much_else_is_the_same(world: World) -> None:
    said, right = _about_a_bound_token(world)
    assert said == right


def test_control_judged_without_the_organization_it_would(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "_content", lambda pair, rows: (pair.subject, *[row[1:] for row in rows]))
    said, right = _about_a_bound_token(world)
    assert said != right


def test_a_batch_is_one_statement_for_each_kind_of_subject(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    people = [world.member(acme, ana, DEVELOPER) for _ in range(3)]
    service = world.platform()
    token = world.token(people[0], permissions=[READ])
    token_id = world.client(token)("ApiTokenService.GetCurrentApiToken").api_token.id
    kinds: dict[str, list[dict[str, Any]]] = {
        "user": [item(here, WRITE, user_id=person.id) for here in (acme, birch) for person in people],
        "token": [item(here, READ, api_token_id=token_id) for here in (acme, birch)],
        "secret": [item(here, READ, credential=token) for here in (acme, birch)],
    }

    def told(client: Any, asked: list[dict[str, Any]]) -> int:
        with Heard(world.deployment.database) as heard:
            batch(client, asked)
        return len(heard.statements)

    # Who calls is one, too; and what a tenant may ask about others, another.
    assert told(service, []) == 1
    assert [told(service, asked) for asked in kinds.values()] == [2, 2, 2]
    assert told(service, [question for asked in kinds.values() for question in asked]) == 4
    assert told(service, kinds["user"] * 150) == 2
    assert told(ana.rpc, [item(acme, WRITE), item(birch, READ)] * 100) == 2
    assert told(ana.rpc, kinds["user"] * 100) == 3


# -- values that would collide if they were joined, and look-alikes ----------------------------------------------------------


def test_what_is_asked_comes_back_as_it_was_on_each_engine(world: World) -> None:
    database = world.deployment.database
    rows = database.rows(PAIRS, asked=COLLIDING)
    assert sorted(rows) == [(number, *pair) for number, pair in enumerate(COLLIDING, 1)]
    assert database.rows(PAIRS, asked=[]) == []


def test_credentials_that_would_collide_if_they_were_joined_are_told_apart(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    service, good = world.platform(), {"credential": ana.token}
    odd = [text for pair in COLLIDING for text in pair if text]
    odd += [
        f"{ana.token},{acme.id}",
        f"{ana.token} ",
        f" {ana.token}",
        f"{ana.token}\u0000",
        ana.token.swapcase(),
        f'"{ana.token}"',
    ]
    asked = [question for text in odd for question in (item(acme, READ, credential=text), item(acme, READ, **good))]
    now = world.revision(acme.id)
    assert batch(service, asked) == [(False, now), (True, now)] * len(odd)


@pytest.mark.parametrize("spell", [str.lower, ids.to_uuid], ids=["lower case", "UUID"])
def test_one_subject_in_two_spellings_is_one_and_two_that_differ_in_a_letter_are_two(
    world: World, spell: Callable[[str], str]
) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, AUDITOR)
    other = bo.id[:-1] + ("0" if bo.id[-1] != "0" else "1")
    asked = [item(acme, "audit-log:read", user_id=user_id) for user_id in (bo.id, spell(bo.id), other, spell(other))]
    now = world.revision(acme.id)
    assert batch(ana.rpc, asked) == [(True, now), (True, now), (False, now), (False, now)]


@pytest.mark.parametrize("name", ["Payer", "payer", "Payer ", "Päyer", "Pa\u0308yer", "PAYER"])
def test_roles_whose_names_look_alike_are_told_apart(world: World, name: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    others = [other for other in ("Payer", "payer", "Payer ", "Päyer", "Pa\u0308yer", "PAYER") if other != name]
    powers = {other: world.role(acme, ana, READ, name=other) for other in others}
    powers[name] = world.role(acme, ana, "billing:read", name=name)
    bo, cy = world.member(acme, ana, powers[name].id), world.member(acme, ana, *(powers[other].id for other in others))
    assert [check(person.rpc, acme.id, "billing:read") for person in (bo, cy)] == [True, False]
    told = bo.rpc(CHECK, organization_id=acme.id, permission="billing:read", explain=True).explanation
    assert [role.name for role in told.granting_roles] == [name]


# -- together --------------------------------------------------------------------------------------------------------------


def test_questions_of_several_callers_at_once_do_not_mix(world: World) -> None:
    ana, eve = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(eve)

    def ask(person: Person, mine: Any, other: Any) -> None:
        now = world.revision(mine.id)
        for _ in range(20):
            assert batch(person.rpc, [item(mine, WRITE), item(other, WRITE)] * 20) == [(True, now), (False, 0)] * 20

    acts = [lambda: ask(ana, acme, birch), lambda: ask(eve, birch, acme)] * 2
    assert at_once(*acts) == [None] * 4
