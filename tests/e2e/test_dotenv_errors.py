"""dotenv.cloud's dialect, refusing. Who may call at all: test_denied.py."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.scene import Scene
from e2e.shapes import dotenv_error, dotenv_invalid
from support.world import fresh

LIST = "/api/v1/organizations"
NAME = "name must have 1 to 200 characters, not all of them blank"
SAFE = "name must not contain an HTML tag, a web address, line ends or control characters"
ROLE = "role must have 1 to 200 characters, not all of them blank"
EMAIL = "email must be an e-mail address of 3 to 320 characters"
PAGE = "page must be greater than or equal to 1"
PER_PAGE = "per_page must be greater than or equal to 1 and less than or equal to 100"


@pytest.mark.parametrize(
    ("verb", "rest", "body", "errors"),
    [
        ("PUT", "", {"name": ""}, {"name": NAME}),
        ("PATCH", "", {"name": " "}, {"name": NAME}),
        ("PATCH", "", {"name": "n" * 201}, {"name": NAME}),
        ("PATCH", "", {"name": "ftp://files"}, {"name": SAFE}),
        ("POST", "/members", {}, {"email": EMAIL, "role": ROLE}),
        ("POST", "/members", {"email": "nobody", "role": "member"}, {"email": EMAIL}),
        ("POST", "/members", {"email": "a@b@c", "role": "member"}, {"email": "email must be an e-mail address"}),
        ("POST", "/members", {"email": "a@example.com", "role": "king"}, {"role": "role is not a role"}),
        ("POST", "/members", {"email": "a@example.com", "role": "Developer"}, {"role": "role is not a role"}),
    ],
)
def test_a_field_that_breaks_a_rule_is_named(
    scene: Scene, verb: str, rest: str, body: dict[str, Any], errors: dict[str, str]
) -> None:
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.call(verb, scene.v1(rest), body).seen == dotenv_invalid(**errors)


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": None}, {"title": "x"}])
def test_an_organization_needs_a_name(scene: Scene, body: dict[str, Any]) -> None:
    assert scene.as_owner.post(LIST, body).seen == dotenv_invalid(name=NAME)


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("page=0", {"page": PAGE}),
        ("page=-1", {"page": PAGE}),
        ("per_page=0", {"per_page": PER_PAGE}),
        ("per_page=101", {"per_page": PER_PAGE}),
        ("page=0&per_page=-5", {"page": PAGE, "per_page": PER_PAGE}),
    ],
)
def test_a_page_out_of_range_is_refused_and_not_bent(scene: Scene, query: str, errors: dict[str, str]) -> None:
    assert scene.as_owner.get(f"{LIST}?{query}").seen == dotenv_invalid(**errors)


@pytest.mark.parametrize("query", ["page=abc", "per_page=", "page=1.5", f"page={2**31}"])
def test_a_page_that_is_no_number_is_refused(scene: Scene, query: str) -> None:
    answer = scene.as_owner.get(f"{LIST}?{query}")
    status, body = dotenv_invalid()
    assert answer.seen == (status, body)
    assert query.partition("=")[0] in answer.body["message"]


def test_a_role_name_that_two_roles_have_is_ambiguous(scene: Scene) -> None:
    for _ in range(2):
        scene.world.role(scene.organization, scene.owner, "sandbox:write", name="Twin")
    answer = scene.as_owner.post(scene.v1("/members"), {"email": "a@example.com", "role": "Twin"})
    assert answer.seen == dotenv_invalid(role="role names several roles of the organization")


def test_a_role_of_another_organization_is_none(scene: Scene) -> None:
    scene.world.role(scene.foreign, scene.stranger, "sandbox:write", name="Theirs")
    answer = scene.as_owner.post(scene.v1("/members"), {"email": "a@example.com", "role": "Theirs"})
    assert answer.seen == dotenv_invalid(role="role is not a role")


def test_who_is_a_member_or_invited_already_is_not_added_again(scene: Scene) -> None:
    def add(email: str) -> tuple[int, Any]:
        return scene.as_owner.post(scene.v1("/members"), {"email": email, "role": "member"}).seen

    email = f"{fresh('x')}@example.com"
    member = scene.member
    assert add(member.email) == dotenv_error(409, "conflict", "already a member", user_id=member.id)
    assert add(email)[0] == 201
    assert add(email) == dotenv_error(409, "conflict", f"an invitation of {email} is pending", email=email)


def test_nobody_grants_what_they_do_not_hold(scene: Scene) -> None:
    recruiter = scene.by(scene.world.member_with(scene.organization, scene.owner, "member:create"))
    with scene.world.unchanged(scene.organization):
        answer = recruiter.post(scene.v1("/members"), {"email": scene.stranger.email, "role": "billing_manager"})
    beyond = "billing:read,billing:write"
    message = f"nobody grants what they do not hold: {beyond}"
    assert answer.seen == dotenv_error(403, "insufficient_permissions", message, permissions=beyond)


def test_a_personal_organization_is_neither_deleted_nor_shared(scene: Scene) -> None:
    personal = scene.owner.personal_organization_id
    message = f"organization {personal} is personal: it has one member and cannot be left, shared or deleted"
    refusal = dotenv_error(422, "personal_organization", message, organization_id=personal)
    assert scene.as_owner.delete(f"{LIST}/{personal}").seen == refusal
    for email in (scene.stranger.email, f"{fresh('x')}@example.com"):
        body = {"email": email, "role": "member"}
        assert scene.as_owner.post(f"{LIST}/{personal}/members", body).seen == refusal


def test_creating_needs_a_verified_address(scene: Scene) -> None:
    person = scene.by(scene.world.person(verified=False))
    message = "the caller's e-mail address is not verified"
    assert person.post(LIST, {"name": "x"}).seen == dotenv_error(403, "email_not_verified", message)
