"""Which organization and which object a request is about is in its path: nothing else says so, and no spelling confuses it."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.bindings import Binding, bindings
from e2e.scene import UNKNOWN, Scene
from e2e.shapes import daytona_error, dotenv_error, dotenv_invalid, dotenv_organization, organization

from tenantry_server.domain.ids import to_uuid

SCOPED = [each for each in bindings() if each.is_scoped and not each.organization_header]
WITH_BODY = [each for each in SCOPED if each.verb in ("POST", "PUT", "PATCH")]
# Bodies with all that a good one has, so that nothing but the path can be at fault.
GOOD: dict[str, Any] = {
    "name": "Overridden",
    "description": "",
    "permissions": ["read:volumes"],
    "email": "overridden@example.com",
    "role": "member",
    "assignedRoleIds": [],
    "defaultRegionId": "eu",
    "sandboxDefaultLimitedNetworkEgress": True,
}


def body_of(binding: Binding) -> list[Any]:
    """A good body, if the path takes one."""
    return [GOOD] if binding in WITH_BODY else []


@pytest.mark.parametrize("spelling", ["organizationId", "organization_id"])
@pytest.mark.parametrize("binding", SCOPED, ids=str)
def test_a_query_does_not_name_another_organization_than_the_path(edge: Scene, binding: Binding, spelling: str) -> None:
    path = f"{binding.path(edge.organization.id, UNKNOWN)}?{spelling}={edge.foreign.id}"
    message = f"no access to organization {edge.organization.id}, or it does not exist"
    with edge.world.unchanged(edge.organization, edge.foreign):
        answer = edge.by(edge.stranger).call(binding.verb, path, *body_of(binding))
    if binding.dialect == "daytona":
        assert answer.seen == daytona_error(403, path, message)
    else:
        assert answer.seen == dotenv_error(404, "not_found", message, organization_id=edge.organization.id)


@pytest.mark.parametrize("spelling", ["organizationId", "organization_id"])
@pytest.mark.parametrize("binding", WITH_BODY, ids=str)
def test_a_body_does_not_name_another_organization_than_the_path(edge: Scene, binding: Binding, spelling: str) -> None:
    path = binding.path(edge.organization.id, UNKNOWN)
    with edge.world.unchanged(edge.organization, edge.foreign):
        answer = edge.by(edge.stranger).call(binding.verb, path, GOOD | {spelling: edge.foreign.id})
    # Some are refused for the contradiction, others for the organization in the path.
    assert answer.seen in (
        [daytona_error(400, path), daytona_error(403, path)]
        if binding.dialect == "daytona"
        else [dotenv_invalid(), dotenv_error(404, "not_found", organization_id=edge.organization.id)]
    ), answer.seen


@pytest.mark.parametrize(
    ("verb", "rest", "names", "noun"),
    [
        ("PUT", "/roles/{}", ("roleId", "role_id"), "role"),
        ("DELETE", "/roles/{}", ("roleId", "role_id"), "role"),
        ("POST", "/users/{}/access", ("userId", "user_id"), "member"),
        ("DELETE", "/users/{}", ("userId", "user_id"), "member"),
        ("PUT", "/invitations/{}", ("invitationId", "invitation_id"), "invitation"),
        ("POST", "/invitations/{}/cancel", ("invitationId", "invitation_id"), "invitation"),
    ],
)
def test_neither_query_nor_body_name_another_object_than_the_path(
    edge: Scene, verb: str, rest: str, names: tuple[str, str], noun: str
) -> None:
    real = {
        "role": edge.world.role(edge.organization, edge.owner, "volume:read").id,
        "member": edge.member.id,
        "invitation": edge.world.invite(edge.organization, edge.owner, "other@example.com").id,
    }[noun]
    body = [GOOD] if verb in ("POST", "PUT") else []
    with edge.world.unchanged(edge.organization):
        for name in names:
            path = edge.path(rest.format(UNKNOWN))
            asked = f"{path}?{name}={real}"
            answer = edge.as_owner.call(verb, asked, *body)
            assert answer.seen == daytona_error(404, asked, f"{noun} {UNKNOWN} not found")
            if body:
                answer = edge.as_owner.call(verb, path, GOOD | {name: real})
                assert answer.seen in (daytona_error(400, path), daytona_error(404, path, f"{noun} {UNKNOWN} not found"))


def test_what_a_body_says_beside_the_path_in_the_other_spelling_has_no_effect(edge: Scene) -> None:
    other = edge.world.organization(edge.owner, "Other")
    body = {"name": "Renamed", "organizationId": other.id}
    with edge.world.unchanged(other):
        assert edge.as_owner.patch(edge.v1(), body).seen == (200, dotenv_organization(name="Renamed"))


# -- spellings of one path ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelt",
    [
        "/api//organizations/{}",
        "//api/organizations/{}",
        "/api/organizations/{}/",
        "/api/organizations//{}//",
        "/api/./organizations/{}",
        "/api/organizations/x/../{}",
        "/api/organizations/{}/roles/..",
        "/api/organizations/{}/roles/%2e%2E",
        "/api/organizations/{}?",
        "/api/organizations/{}?x=/../y",
    ],
)
def test_another_spelling_of_a_path_is_the_same_path(edge: Scene, spelt: str) -> None:
    here = to_uuid(edge.organization.id)
    assert edge.as_owner.get(spelt.format(here)).seen == (200, organization(id=here))
    assert edge.by(edge.stranger).get(spelt.format(here)).status == 403


def test_dots_lead_where_every_client_that_resolves_them_would_go(edge: Scene) -> None:
    for path in (edge.path("/roles/../../../v1/organization"), "/api/organizations/%2e%2e/v1/organization"):
        assert edge.as_owner.get(path).seen == edge.as_owner.get("/api/v1/organization").seen
        assert edge.http.get(path).seen == dotenv_error(401, "unauthenticated")


@pytest.mark.parametrize(
    "spelt",
    [
        "{}%2Froles",
        "{}%2froles%2f",
        "{}:leave",
        "{}:verb",
        "{}+",
        "+{}",
        "{}%20",
        "{};x=1",
        "{}.",
        "{},{}",
        "{}*",
        "..%2f{}",
    ],
)
def test_what_is_added_to_an_id_is_part_of_the_id_and_makes_it_unknown(edge: Scene, spelt: str) -> None:
    with edge.world.unchanged(edge.organization):
        for verb in ("GET", "DELETE"):
            path = f"/api/organizations/{spelt.replace('{}', edge.organization.id)}"
            assert edge.as_owner.call(verb, path).seen == daytona_error(403, path)
            path = f"/api/v1/organizations/{spelt.replace('{}', edge.organization.id)}"
            answer = edge.as_owner.call(verb, path)
            assert (answer.status, answer.body["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("verb", "rest"),
    [
        ("POST", "/leave:now"),
        ("POST", ":leave"),
        ("POST", "%2Fleave"),
        ("GET", "/roles%2F"),
        ("GET", "/roles:list"),
        ("DELETE", "/roles%2F{role}"),
    ],
)
def test_no_spelling_leads_to_another_method(edge: Scene, verb: str, rest: str) -> None:
    role = edge.world.role(edge.organization, edge.owner, "volume:read")
    with edge.world.unchanged(edge.organization):
        answer = edge.as_owner.call(verb, edge.path(rest.replace("{role}", role.id)))
    assert answer.status in (404, 405), answer.raw


@pytest.mark.parametrize("rest", ["", "/roles", "/users/{}/access"])
def test_an_id_that_is_no_text_is_an_invalid_request(edge: Scene, rest: str) -> None:
    verb = "POST" if rest.endswith("access") else "GET"
    path = f"/api/organizations/%FF%FE{rest.format('%C3%28')}"
    answer = edge.as_owner.call(verb, path, *([GOOD] if verb == "POST" else []))
    assert answer.seen == daytona_error(400, path, "the request is no valid message")
    answer = edge.as_owner.get("/api/v1/organizations/%FF")
    assert (answer.status, answer.body["error"]) == (422, "validation_failed")
    assert edge.as_owner.get(edge.path()).status == 200


@pytest.mark.parametrize("part", ["%00", "%0", "%", "%zz", "#x"])
def test_a_path_that_is_not_spelt_properly_is_400_or_unknown(edge: Scene, part: str) -> None:
    path = edge.path(part)
    assert edge.as_owner.get(path).seen in (daytona_error(400, path), daytona_error(403, path), daytona_error(404, path))
    assert edge.as_owner.get(edge.path()).status == 200


def test_an_id_may_be_very_long_and_is_repeated_only_in_part(edge: Scene) -> None:
    for size in (1000, 15_000):
        answer = edge.as_owner.get(f"/api/organizations/{'a' * size}")
        path = f"/api/organizations/{'a' * size}"[:1000]
        assert answer.seen == daytona_error(403, path, f"no access to organization {'a' * 200}, or it does not exist")
        assert len(answer.raw) < 2000
    assert edge.as_owner.get(f"/api/v1/organizations/{'%C3%A9' * 300}").seen == dotenv_error(
        404, "not_found", f"no access to organization {'é' * 200}, or it does not exist", organization_id="é" * 200
    )


@pytest.mark.parametrize("name", ["api_token_id", "apiTokenId"])
@pytest.mark.parametrize(("verb", "rest"), [("GET", ""), ("PATCH", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_a_token_is_named_by_the_path_alone(edge: Scene, verb: str, rest: str, name: str) -> None:
    made = edge.as_owner.post(edge.v1("/api-keys"), {"name": "Real", "abilities": ["*"]}).body
    real, path = made["api_key"]["id"], edge.v1(f"/api-keys/{UNKNOWN}{rest}")
    missing = dotenv_error(404, "not_found", f"API token {UNKNOWN} not found", api_token_id=UNKNOWN)
    body = [{"name": "x"}] if verb in ("PATCH", "PUT") else []
    with edge.world.unchanged(edge.organization):
        assert edge.as_owner.call(verb, f"{path}?{name}={real}", *body).seen == missing
        if verb != "GET":
            answer = edge.as_owner.call(verb, path, {"name": "x", name: real})
            assert answer.seen in (missing, dotenv_invalid())
    assert edge.by(made["token"]).get("/api/v1/user").status == 200


@pytest.mark.parametrize("query", ["userId", "user_id", "name"])
def test_a_key_and_its_user_are_named_by_the_path_alone(edge: Scene, query: str) -> None:
    member = edge.member
    for caller in (edge.owner, member):
        assert edge.by(caller).post("/api/api-keys", {"name": "Nightly"}, **edge.here).status == 201
    value = {"userId": member.id, "user_id": member.id, "name": "Nightly"}[query]
    for path in (f"/api/api-keys/{edge.stranger.id}/Nightly", "/api/api-keys/Daily", f"/api/api-keys/{member.id}/Daily"):
        name = path.rpartition("/")[2]
        answer = edge.as_owner.delete(f"{path}?{query}={value}", **edge.here)
        assert answer.seen == daytona_error(404, f"{path}?{query}={value}", f"API key {name} not found")
    assert len(edge.as_owner.get("/api/api-keys", **edge.here).body) == 2
