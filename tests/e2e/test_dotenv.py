"""dotenv.cloud's dialect, as documented: organizations, and members added by e-mail address."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.scene import Scene
from e2e.shapes import ULID, dotenv_error, dotenv_organization, exactly
from support.world import fresh

from tenantry_server.domain.ids import to_uuid
from tenantry_server.domain.organizations import OrganizationState

LIST = "/api/v1/organizations"
CURRENT = "/api/v1/organization"


def meta(page: int, per_page: int, total: int, last: int) -> dict[str, Any]:
    """Where a list stands."""
    figures = {"current_page": page, "per_page": per_page, "total": total, "last_page": last}
    return {name: exactly(figure) for name, figure in figures.items()}


def addition(kind: str, status: str, email: str, role: str = "member", **known: Any) -> dict[str, Any]:
    """Who was added; a request has no id."""
    return {"data": {"type": kind, "email": email, "role": role, "status": status, **known}}


# -- organizations -----------------------------------------------------------------------------------------------------


def test_creating_answers_201_with_exactly_the_documented_fields(scene: Scene) -> None:
    name = fresh("Acme Corporation ")
    answer = scene.as_owner.post(LIST, {"name": name})
    assert answer.seen == (201, dotenv_organization(name=name, slug=name.lower().replace(" ", "-")))
    assert answer.headers["content-type"] == "application/json"
    assert scene.as_owner.get(f"{LIST}/{answer.body['data']['id']}").seen == (200, answer.body)


def test_an_organization_is_read_by_its_id_in_any_spelling(scene: Scene) -> None:
    expected = dotenv_organization(id=scene.organization.id, name="Acme", slug=scene.organization.slug)
    for spelling in (scene.organization.id, scene.organization.id.lower(), to_uuid(scene.organization.id)):
        assert scene.by(scene.member).get(f"{LIST}/{spelling}").seen == (200, expected)


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
def test_an_update_renames_and_the_slug_stays(scene: Scene, verb: str) -> None:
    expected = dotenv_organization(id=scene.organization.id, name="Acme Corp (renamed)", slug=scene.organization.slug)
    assert scene.as_owner.call(verb, scene.v1(), {"name": "Acme Corp (renamed)"}).seen == (200, expected)
    assert scene.as_owner.call(verb, scene.v1(), {}).seen == (200, expected)
    assert scene.as_owner.call(verb, scene.v1(), {"name": None}).seen == (200, expected)
    assert scene.as_owner.get(scene.v1()).seen == (200, expected)


def test_deleting_answers_204_without_a_body_and_a_second_time_404(scene: Scene) -> None:
    answer = scene.as_owner.delete(scene.v1())
    assert answer.seen == (204, None)
    assert (answer.headers["content-type"], answer.headers["content-length"]) == (None, None)
    message = f"no access to organization {scene.organization.id}, or it does not exist"
    refusal = dotenv_error(404, "not_found", message, organization_id=scene.organization.id)
    assert scene.as_owner.delete(scene.v1()).seen == refusal
    assert scene.as_owner.get(scene.v1()).seen == refusal


def test_a_suspended_organization_is_read_and_not_changed(scene: Scene) -> None:
    scene.world.set_state(scene.organization.id, OrganizationState.SUSPENDED)
    assert scene.as_owner.get(scene.v1()).seen == (200, dotenv_organization(status="suspended"))
    details = {"organization_id": scene.organization.id}
    message = f"organization {scene.organization.id} is suspended"
    answer = scene.as_owner.patch(scene.v1(), {"name": "x"})
    assert answer.seen == dotenv_error(403, "organization_suspended", message, **details)


def test_the_current_organization_is_the_one_of_the_token(scene: Scene) -> None:
    for token in (
        scene.world.token(organization_id=scene.organization.id),
        scene.world.token(scene.owner, organization_id=scene.organization.id),
    ):
        answer = scene.by(token).get(CURRENT)
        assert answer.seen == (200, dotenv_organization(id=scene.organization.id, name="Acme"))


def test_for_a_person_without_such_a_token_it_is_the_personal_one(scene: Scene) -> None:
    expected = dotenv_organization(id=scene.owner.personal_organization_id, name="Personal")
    assert scene.as_owner.get(CURRENT).seen == (200, expected)


def test_the_token_of_an_organization_that_is_gone_has_no_current_one(scene: Scene) -> None:
    robot = scene.by(scene.world.token(organization_id=scene.organization.id))
    assert scene.as_owner.delete(scene.v1()).seen == (204, None)
    assert (robot.get(CURRENT).status, robot.get(CURRENT).body["error"]) == (404, "not_found")
    assert robot.get(LIST).seen == (200, {"data": [], "meta": meta(1, 25, 0, 1)})


# -- the list ----------------------------------------------------------------------------------------------------------


def test_the_list_has_the_callers_organizations_and_where_it_stands(scene: Scene) -> None:
    personal = dotenv_organization(id=scene.owner.personal_organization_id, name="Personal")["data"]
    acme = dotenv_organization(id=scene.organization.id, name="Acme", slug=scene.organization.slug)["data"]
    assert scene.as_owner.get(LIST).seen == (200, {"data": [personal, acme], "meta": meta(1, 25, 2, 1)})


def test_a_token_of_one_organization_lists_that_one(scene: Scene) -> None:
    robot = scene.by(scene.world.token(organization_id=scene.organization.id))
    acme = dotenv_organization(id=scene.organization.id)["data"]
    assert robot.get(LIST).seen == (200, {"data": [acme], "meta": meta(1, 25, 1, 1)})


def test_the_list_is_paged_by_number(scene: Scene) -> None:
    for number in range(3):
        scene.world.organization(scene.owner, f"Number {number}")
    everything = [each["id"] for each in scene.as_owner.get(LIST).body["data"]]
    assert everything == sorted(everything)
    assert len(everything) == 5
    for page, part in ((1, everything[:2]), (2, everything[2:4]), (3, everything[4:]), (4, []), (2**31 - 1, [])):
        answer = scene.as_owner.get(f"{LIST}?page={page}&per_page=2")
        assert (answer.status, answer.body["meta"]) == (200, meta(page, 2, 5, 3))
        assert [each["id"] for each in answer.body["data"]] == part
    assert scene.as_owner.get(f"{LIST}?per_page=100").body["meta"] == meta(1, 100, 5, 1)
    # What published clients send and no page describes.
    assert scene.as_owner.get(f"{LIST}?sort=-name&filter%5Bstatus%5D=active&perPage=2").body["meta"] == meta(1, 25, 5, 1)


# -- members -----------------------------------------------------------------------------------------------------------


def test_a_known_user_with_that_verified_address_becomes_a_member_at_once(scene: Scene) -> None:
    person = scene.world.person("known")
    answer = scene.as_owner.post(scene.v1("/members"), {"email": person.email.upper(), "role": "member"})
    assert answer.seen == (201, addition("member", "active", person.email, id=person.id))
    assert scene.by(person).get(scene.v1()).seen == (200, dotenv_organization(id=scene.organization.id))
    (event, *_) = scene.world.events(scene.organization, scene.owner)
    assert (event.action, event.target.id) == ("member.add", person.id)


@pytest.mark.parametrize("known", [True, False])
def test_everybody_else_is_invited(scene: Scene, known: bool) -> None:
    email = f"{fresh('somebody')}@example.com"
    if known:
        scene.world.person(email=email, verified=False)
    answer = scene.as_owner.post(scene.v1("/members"), {"email": email, "role": "developer"})
    assert answer.seen == (201, addition("invitation", "pending", email, "developer", id=ULID))
    (shown,) = scene.as_owner.get(scene.path("/invitations")).body
    assert (shown["id"], shown["email"], shown["role"]) == (to_uuid(answer.body["data"]["id"]), email, "member")


@pytest.mark.parametrize(
    ("role", "standing", "assigned"),
    [
        ("owner", "owner", []),
        ("administrator", "member", ["Administrator"]),
        ("developer", "member", ["Project Developer"]),
        ("member", "member", ["Member"]),
        ("auditor", "member", ["Read-only Auditor"]),
        ("billing_manager", "member", ["Billing Manager"]),
        ("api_user", "member", ["API User"]),
        ("Maintainer", "member", ["Maintainer"]),
    ],
)
def test_the_role_is_owner_a_system_role_or_one_of_the_organizations_own_by_name(
    scene: Scene, role: str, standing: str, assigned: list[str]
) -> None:
    scene.world.role(scene.organization, scene.owner, "sandbox:write", name="Maintainer")
    person = scene.world.person()
    answer = scene.as_owner.post(scene.v1("/members"), {"email": person.email, "role": role})
    assert answer.seen == (201, addition("member", "active", person.email, role, id=person.id))
    shown = next(each for each in scene.as_owner.get(scene.path("/users")).body if each["email"] == person.email)
    assert (shown["role"], [each["name"] for each in shown["assignedRoles"]]) == (standing, assigned)


def test_who_may_not_read_members_is_answered_alike_for_known_unknown_and_repeated(scene: Scene) -> None:
    blind = scene.by(scene.world.token(scene.owner, permissions=["member:create", "organization:read", "project:read"]))
    scene.world.role(scene.organization, scene.owner, "project:read", name="Reader")
    known, unknown = scene.world.person().email, f"{fresh('nobody')}@example.com"
    for email in (known, unknown, known, unknown, scene.owner.email):
        answer = blind.post(scene.v1("/members"), {"email": email, "role": "Reader"})
        assert answer.seen == (201, addition("request", "accepted", email, "Reader"))
    assert known in [each["email"] for each in scene.as_owner.get(scene.path("/users")).body]
    assert [each["email"] for each in scene.as_owner.get(scene.path("/invitations")).body] == [unknown]


def test_a_blind_addition_repeats_the_address_as_it_was_sent(scene: Scene) -> None:
    blind = scene.by(scene.world.token(scene.owner, permissions=["member:create", "project:read"]))
    scene.world.role(scene.organization, scene.owner, "project:read", name="Reader")
    for email in (scene.world.person().email.upper(), f"{fresh('Nobody')}@EXAMPLE.com"):
        answer = blind.post(scene.v1("/members"), {"email": email, "role": "Reader"})
        assert answer.seen == (201, addition("request", "accepted", email, "Reader"))
