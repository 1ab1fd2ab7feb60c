"""OpenID AuthZEN through the gateway: its questions mean what CheckPermission means, alone and many at once."""

from __future__ import annotations

import random
from typing import Any

import pytest
from e2e.questions import MANY, Json, Questions, error
from e2e.scene import UNKNOWN_ULID
from e2e.shapes import Some
from support.asking import check

from tenantry_server.domain.ids import to_uuid

NAMES = ("subject.type", "subject.id", "action.name", "resource.type", "resource.id")

# -- one evaluation ----------------------------------------------------------------------------------------------------


def test_what_is_allowed_and_what_is_not_are_decisions(questions: Questions) -> None:
    developer, member = questions.developer, questions.scene.member
    decided = questions.decided
    assert questions.asked(questions.question(developer, "write")) == (200, {"decision": True, **decided})
    assert questions.asked(questions.question(member, "write")) == (200, {"decision": False, **decided})
    assert questions.asked(questions.question(member, "sandbox:read")) == (200, {"decision": True, **decided})


def test_a_permission_is_spelt_in_full_or_by_the_type_of_the_resource(questions: Questions) -> None:
    person, here = questions.developer, {"type": "organization", "id": questions.here}
    for action, resource, allowed in (
        ("sandbox:write", here, True),
        ("read", here, True),
        ("organization:read", here, True),
        ("delete", here, False),
        ("sandbox:write", questions.sandbox(), True),
        ("sandbox:write", {**here, "id": to_uuid(questions.here).upper()}, True),
        ("fly", questions.sandbox(), False),
        ("read", {**questions.sandbox(), "type": "todo"}, False),
    ):
        body = questions.question(person, action, resource=resource)
        assert questions.asked(body) == (200, {"decision": allowed, **questions.decided}), (action, resource)
    refusal = error(400, "action.name must be a permission of volume, the type of the resource")
    assert (
        questions.asked(questions.question(person, "sandbox:write", resource={**questions.sandbox(), "type": "volume"}))
        == refusal
    )


def test_subjects_of_every_type_are_found(questions: Questions) -> None:
    world, here = questions.scene.world, questions.here
    token = world.token(questions.developer, permissions=["sandbox:write"])
    token_id = world.client(token)("ApiTokenService.GetCurrentApiToken").api_token.id
    for subject, allowed in (
        ({"type": "user", "id": questions.developer.id}, True),
        ({"type": "api_token", "id": token_id}, True),
        ({"type": "credential", "id": token}, True),
        ({"type": "caller", "id": "me"}, False),  # the platform holds nothing in an organization
        ({"type": "user", "id": UNKNOWN_ULID}, False),
        ({"type": "user", "id": "alice@example.com"}, False),
        ({"type": "api_token", "id": "x"}, False),
        ({"type": "credential", "id": "garbage"}, False),
    ):
        status, body = questions.asked(questions.question(questions.developer, "write", subject=subject))
        assert (status, body["decision"]) == (200, allowed), subject
    mine = questions.ask(token, questions.question(questions.developer, "write", subject={"type": "caller", "id": "me"}))
    assert mine.seen == (200, {"decision": True, "context": {"revision": world.revision(here)}})
    refusal = error(400, "subject.type must be one of user, api_token, credential, caller")
    assert questions.asked(questions.question(questions.developer, "write", subject={"type": "robot", "id": "x"})) == refusal


def test_the_answers_are_those_of_check_permission(questions: Questions) -> None:
    scene = questions.scene
    people = [scene.owner, questions.developer, scene.member, scene.stranger]
    asker, choose = scene.world.client(questions.platform), random.Random(7)
    asked = []
    for _ in range(60):
        person, organization = choose.choice(people), choose.choice([questions.here, scene.foreign.id, UNKNOWN_ULID])
        permission = choose.choice(["sandbox:read", "sandbox:write", "organization:delete", "audit-log:read", "sandbox:fly"])
        allowed = check(asker, organization, permission, subject={"user_id": person.id})
        resource = {"type": "organization", "id": organization}
        asked.append((questions.question(person, permission, resource=resource), allowed))
    for body, allowed in asked:
        assert questions.asked(body)[1]["decision"] is allowed
    status, many = questions.asked({"evaluations": [body for body, _ in asked]}, MANY)
    assert (status, [each["decision"] for each in many["evaluations"]]) == (200, [allowed for _, allowed in asked])
    assert {True, False} <= {allowed for _, allowed in asked}


def test_who_may_ask_about_whom_is_the_rule_of_check_permission(questions: Questions) -> None:
    scene = questions.scene
    about_owner, nothing = questions.question(scene.owner, "write"), (200, {"decision": False})
    assert questions.ask(scene.stranger.token, about_owner).seen == nothing
    nowhere = questions.question(scene.owner, "write", resource=questions.sandbox(UNKNOWN_ULID))
    assert questions.ask(scene.stranger.token, nowhere).seen == nothing
    narrow = scene.world.token(scene.member, permissions=["sandbox:read"])
    assert questions.ask(narrow, about_owner).seen == error(403, "permission missing: member:read")
    operator = scene.world.platform_token(["user:read"])
    assert questions.ask(operator, about_owner).seen == error(403, "permission missing: authorization:check")
    by_token = questions.question(scene.owner, "write", subject={"type": "api_token", "id": UNKNOWN_ULID})
    kind = "this call cannot be made with a credential of kind user"
    assert questions.ask(scene.owner.token, by_token).seen == error(403, kind)
    status, many = questions.ask(narrow, {"evaluations": [about_owner, questions.question(scene.member, "read")]}, MANY).seen
    denied = {"error": {"status": 403, "message": "permission missing: member:read"}}
    assert (status, many["evaluations"][0]) == (200, {"decision": False, "context": denied})
    assert many["evaluations"][1]["decision"] is True


def test_what_was_revoked_is_denied_with_the_next_question(questions: Questions) -> None:
    body = questions.question(questions.developer, "write")
    assert questions.asked(body)[1]["decision"] is True
    here = {"organization_id": questions.here, "user_id": questions.developer.id}
    questions.scene.owner.rpc("MemberService.RemoveMember", **here)
    assert questions.asked(body)[1]["decision"] is False


def test_properties_context_and_members_of_the_future_make_no_difference(pdp: Questions) -> None:
    body = pdp.question(pdp.developer, "write", context={"time": "2025-06-27T18:03-07:00"}, future={"a": [1]})
    body["subject"] = {**body["subject"], "properties": {"role": "owner", "ip_address": "172.217.22.14"}, "future": 1}
    body["action"] = {**body["action"], "properties": {"method": "GET"}}
    body["resource"]["properties"] |= {"status": "active", "nested": {"deep": [None, 1.5]}}
    assert pdp.asked(body) == (200, {"decision": True, **pdp.decided})


def test_a_revision_that_is_not_reached_is_no_decision(pdp: Questions) -> None:
    revision = pdp.decided["context"]["revision"]

    def at_least(number: Any) -> tuple[int, Any]:
        return pdp.asked(pdp.question(pdp.scene.owner, "write", context={"at_least_revision": number}))

    assert at_least(revision)[1]["decision"] is True
    assert at_least(revision + 1) == error(503)
    for wrong in (-1, 1.5, "1", True, None, 2**53):
        assert at_least(wrong) == error(400, "context.at_least_revision must be a revision")


# -- many evaluations --------------------------------------------------------------------------------------------------


def test_without_a_list_the_one_question_is_answered_as_alone(pdp: Questions) -> None:
    body = pdp.question(pdp.developer, "write")
    alone = pdp.asked(body)
    assert alone == (200, {"decision": True, **pdp.decided})
    assert pdp.asked(body, MANY) == pdp.asked({**body, "evaluations": []}, MANY) == alone
    assert pdp.asked({}, MANY) == error(400)


def test_what_evaluations_have_in_common_is_said_once(pdp: Questions) -> None:
    developer, member = pdp.developer, pdp.scene.member
    common = pdp.question(developer, "write")
    own: list[tuple[Json, bool]] = [
        ({}, True),
        ({"subject": pdp.subject(member)}, False),
        ({"action": {"name": "read"}, "subject": pdp.subject(member)}, True),
        ({"action": {"name": "delete"}}, False),
        ({"resource": {"type": "organization", "id": pdp.here}, "action": {"name": "sandbox:write"}}, True),
        ({"resource": pdp.sandbox(pdp.scene.foreign.id)}, False),
        ({"subject": {"id": member.id}}, False),  # the type is what all have in common
        ({"resource": {"properties": {"organization_id": pdp.here}}}, True),
        ({"context": {"at_least_revision": 0}}, True),
    ]
    status, body = pdp.asked({**common, "evaluations": [each for each, _ in own]}, MANY)
    assert (status, body.keys()) == (200, {"evaluations"})
    assert [each["decision"] for each in body["evaluations"]] == [allowed for _, allowed in own]


def test_what_is_wrong_with_one_evaluation_hides_no_other(pdp: Questions) -> None:
    good = pdp.question(pdp.developer, "write")
    bad: list[tuple[Json, str]] = [
        (
            {},
            ", ".join(f"{name} is required" for name in NAMES),
        ),
        ({**good, "subject": {"type": "robot", "id": "x"}}, "subject.type must be one of user, api_token, credential, caller"),
        (
            {**good, "resource": {"type": "sandbox", "id": "1"}},
            "resource.properties.organization_id must name the organization",
        ),
    ]
    wanted = [{"decision": False, "context": {"error": {"status": 400, "message": message}}} for _, message in bad]
    decided = {"decision": True, **pdp.decided}
    evaluations = [good, *(each for each, _ in bad), good]
    assert pdp.asked({"evaluations": evaluations}, MANY) == (200, {"evaluations": [decided, *wanted, decided]})


@pytest.mark.parametrize(
    ("semantic", "count"),
    [(None, 5), ("execute_all", 5), ("deny_on_first_deny", 3), ("permit_on_first_permit", 2)],
)
def test_a_semantic_says_where_the_list_ends(pdp: Questions, semantic: str | None, count: int) -> None:
    yes, no = {"action": {"name": "write"}}, {"action": {"name": "delete"}}
    lists = {
        "permit_on_first_permit": ([no, yes, yes, no, yes], [False, True]),
        None: ([yes, yes, no, {"subject": {"type": "robot"}}, yes], [True, True, False, False, True]),
    }
    sent, decisions = lists.get(semantic, lists[None])
    options = {"options": {"evaluations_semantic": semantic, "another": "value"}} if semantic else {}
    common = pdp.question(pdp.developer, "read")
    status, body = pdp.asked({**common, "evaluations": sent, **options}, MANY)
    assert (status, [each["decision"] for each in body["evaluations"]]) == (200, decisions[:count])


def test_an_error_ends_what_ends_on_the_first_denial(pdp: Questions) -> None:
    common = pdp.question(pdp.developer, "write")
    body = {
        **common,
        "evaluations": [{"subject": {"type": "robot"}}, {}],
        "options": {"evaluations_semantic": "deny_on_first_deny"},
    }
    status, answer = pdp.asked(body, MANY)
    assert (status, [each["decision"] for each in answer["evaluations"]]) == (200, [False])


def test_an_unknown_semantic_and_a_list_that_is_too_long_are_refused(pdp: Questions) -> None:
    common = pdp.question(pdp.developer, "write")
    named = Some("text that names the field", lambda text: isinstance(text, str) and "evaluations_semantic" in text)
    for semantic in ("all", "EXECUTE_ALL"):
        body = {**common, "evaluations": [{}], "options": {"evaluations_semantic": semantic}}
        assert pdp.asked(body, MANY) == error(400, named)
    status, body = pdp.asked({**common, "evaluations": [{}] * 1000}, MANY)
    assert (status, len(body["evaluations"])) == (200, 1000)
    assert pdp.asked({**common, "evaluations": [{}] * 1001}, MANY) == error(400)
