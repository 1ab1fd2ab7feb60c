"""dotenv.cloud's dialect, refusing what concerns tokens. Who may call at all: test_denied.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from e2e.scene import UNKNOWN, UNKNOWN_ULID, Scene
from e2e.shapes import Some, dotenv_error, dotenv_invalid, dotenv_key, dotenv_new_key
from support.http import Http
from support.world import fresh

from tenantry_server.domain.ids import to_uuid
from tenantry_server.domain.organizations import OrganizationState

ME = "/api/v1/user"
TOKEN: dict[str, Any] = {"name": "ci", "abilities": ["secret:read"]}
EXPIRES = "2030-01-01T00:00:00Z"
NAME = "name must have 1 to 200 characters, not all of them blank"
SAFE_NAME = "name must not contain an HTML tag, a web address, line ends or control characters"
ABILITIES = "abilities must name 1 to 500 permissions, each once"
ALONE = "abilities must name * alone, or other abilities"
FORM = "must be a permission's name of 1 to 100 characters"
UNKNOWN_ABILITY = "abilities.{} '{}' is not a permission of the catalog"
PAST = "expires_at must be in the future"
INSTANT = "expires_at must be an instant such as 2030-01-31T12:00:00Z, or null"
NO_ABILITIES: list[Any] = [[], None, "secret:read", {}, 5, ["a:b", "a:b"]]
NO_INSTANTS: list[Any] = ["", "tomorrow", "2030-01-31", 5, True, {}, [], "2030-02-30T00:00:00Z", "9999-12-31T23:59:59-01:00"]


def made(scene: Scene, *abilities: str, **more: Any) -> Any:
    """A new token of the scene's organization, with its secret."""
    body = {"name": fresh("token "), "abilities": abilities or ["*"], **more}
    answer = scene.as_owner.post(scene.v1("/api-keys"), body)
    assert answer.status == 201, answer.raw
    return answer.body


def path_of(scene: Scene, token: Any, rest: str = "") -> str:
    """The path of a new token."""
    return scene.v1(f"/api-keys/{token['api_key']['id']}{rest}")


def insufficient(message: str, permissions: str) -> tuple[int, dict[str, Any]]:
    """The caller may not do that."""
    return dotenv_error(403, "insufficient_permissions", f"{message}: {permissions}", permissions=permissions)


def beyond(*permissions: str) -> tuple[int, dict[str, Any]]:
    """The caller would grant what they do not hold."""
    return insufficient("nobody grants what they do not hold", ",".join(permissions))


# -- fields that break a rule ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"name": NAME, "abilities": ABILITIES}),
        ({"abilities": ["*"]}, {"name": NAME}),
        (TOKEN | {"name": "n" * 201}, {"name": NAME}),
        (TOKEN | {"name": "<b>"}, {"name": SAFE_NAME}),
        ({"name": "x"}, {"abilities": ABILITIES}),
        (TOKEN | {"abilities": []}, {"abilities": ABILITIES}),
        (TOKEN | {"abilities": None}, {"abilities": ABILITIES}),
        (TOKEN | {"abilities": ["secret:read"] * 2}, {"abilities": ABILITIES}),
        (TOKEN | {"abilities": [f"a:{number}" for number in range(501)]}, {"abilities": ABILITIES}),
        (TOKEN | {"abilities": ["*", "secret:read"]}, {"abilities": ALONE}),
        (TOKEN | {"abilities": ["secret:read", "A B"]}, {"abilities.1": f"abilities.1 {FORM}"}),
        (
            TOKEN | {"abilities": ["secret:read", "fly:high", "aa:b"]},
            {"abilities.1": UNKNOWN_ABILITY.format(1, "fly:high"), "abilities.2": UNKNOWN_ABILITY.format(2, "aa:b")},
        ),
        (TOKEN | {"abilities": ["secret:*"]}, {"abilities.0": UNKNOWN_ABILITY.format(0, "secret:*")}),
        (TOKEN | {"abilities": ["user:read"]}, {"abilities.0": UNKNOWN_ABILITY.format(0, "user:read")}),
        (TOKEN | {"abilities": ["write:sandboxes"]}, {"abilities.0": UNKNOWN_ABILITY.format(0, "write:sandboxes")}),
        (TOKEN | {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": PAST}),
    ],
)
def test_a_field_of_a_new_token_that_breaks_a_rule_is_named(scene: Scene, body: dict[str, Any], errors: dict[str, str]) -> None:
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.post(scene.v1("/api-keys"), body).seen == dotenv_invalid(**errors)


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", 5), ("abilities", [5]), ("abilities", {}), *(("expires_at", bad) for bad in ("tomorrow", "2030-01-31", 5, ""))],
)
def test_a_value_of_the_wrong_type_is_told_by_its_field(scene: Scene, field: str, value: Any) -> None:
    answer = scene.as_owner.post(scene.v1("/api-keys"), TOKEN | {field: value})
    named = Some(f"text with {field}", lambda text: isinstance(text, str) and field in text)
    assert answer.seen == (422, {"error": "validation_failed", "message": named, "errors": {}})


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"name": ""}, {"name": NAME}),
        ({"name": "a\tb"}, {"name": SAFE_NAME}),
        *(({"abilities": bad}, {"abilities": ABILITIES}) for bad in NO_ABILITIES),
        ({"abilities": [f"a:{number}" for number in range(501)]}, {"abilities": ABILITIES}),
        ({"abilities": ["secret:read", "*"]}, {"abilities": ALONE}),
        ({"abilities": ["secret:read", "fly:high"]}, {"abilities.1": UNKNOWN_ABILITY.format(1, "fly:high")}),
        ({"abilities": ["secret:read", 5]}, {"abilities.1": UNKNOWN_ABILITY.format(1, "")}),
        ({"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": PAST}),
        *(({"expires_at": bad}, {"expires_at": INSTANT}) for bad in NO_INSTANTS),
    ],
)
def test_a_field_of_a_change_that_breaks_a_rule_is_named(
    scene: Scene, verb: str, body: dict[str, Any], errors: dict[str, str]
) -> None:
    token = made(scene, "secret:read", expires_at=EXPIRES)
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.call(verb, path_of(scene, token), body).seen == dotenv_invalid(**errors)
        assert scene.as_owner.get(path_of(scene, token)).seen == (200, {"data": token["api_key"]})


# -- ids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "rest"), [("GET", ""), ("PUT", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_a_token_that_is_unknown_malformed_or_of_another_organization_is_not_found(scene: Scene, verb: str, rest: str) -> None:
    theirs = scene.by(scene.stranger).post(f"/api/v1/organizations/{scene.foreign.id}/api-keys", TOKEN).body["api_key"]["id"]
    body = [{"name": "x"}] if verb in ("PUT", "PATCH") else []
    with scene.world.unchanged(scene.organization, scene.foreign):
        for sent in (theirs, to_uuid(theirs), UNKNOWN, UNKNOWN_ULID, "garbage", "é"):
            answer = scene.as_owner.call(verb, scene.v1(f"/api-keys/{sent.replace('é', '%C3%A9')}{rest}"), *body)
            assert answer.seen == dotenv_error(404, "not_found", f"API token {sent} not found", api_token_id=sent)


# -- rules -------------------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_a_conflict(scene: Scene) -> None:
    other = made(scene)
    assert made(scene, name="ci")
    refusal = dotenv_error(409, "conflict", "there is a token named ci already", name="ci")
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.post(scene.v1("/api-keys"), TOKEN).seen == refusal
        assert scene.as_owner.put(path_of(scene, other), {"name": "ci"}).seen == refusal
    assert scene.as_owner.put(path_of(scene, other), {"name": other["api_key"]["name"]}).status == 200


def test_rotating_needs_both_permissions(scene: Scene) -> None:
    token = made(scene, "organization:read")
    both = ("api-token:create", "api-token:delete")
    for held, missing in ((both[:1], both[1:]), (both[1:], both[:1]), (("api-token:update",), both)):
        member = scene.world.member_with(scene.organization, scene.owner, *held)
        narrowed = scene.world.token(scene.owner, permissions=["organization:read", *held])
        with scene.world.unchanged(scene.organization):
            for caller in (scene.by(member), scene.by(narrowed)):
                answer = caller.post(path_of(scene, token, "/rotate"))
                assert answer.seen == insufficient("permission missing", ",".join(missing))
    member = scene.world.member_with(scene.organization, scene.owner, *both)
    answer = scene.by(member).post(path_of(scene, token, "/rotate"))
    assert answer.seen == (200, dotenv_new_key("API key rotated.", abilities=["organization:read"]))


def test_nobody_grants_a_token_what_they_do_not_hold(scene: Scene) -> None:
    held = ["api-token:create", "api-token:read", "api-token:update", "api-token:delete"]
    strong, weak = made(scene, "secret:read", expires_at=EXPIRES), made(scene, "api-token:read", expires_at=EXPIRES)
    clerk = scene.by(scene.world.member_with(scene.organization, scene.owner, *held))
    robot = scene.by(made(scene, *held)["token"])
    everything = beyond()[1] | {"message": Some("text", lambda text: "secret:read" in text), "details": Some("all", bool)}
    with scene.world.unchanged(scene.organization):
        for caller, refusal in ((clerk, (403, everything)), (robot, beyond("*"))):
            assert caller.post(scene.v1("/api-keys"), TOKEN).seen == beyond("secret:read")
            assert caller.post(scene.v1("/api-keys"), TOKEN | {"abilities": ["*"]}).seen == refusal
            assert caller.patch(path_of(scene, weak), {"abilities": ["*"]}).seen == refusal
            assert caller.patch(path_of(scene, weak), {"abilities": ["secret:read"]}).seen == beyond("secret:read")
            assert caller.patch(path_of(scene, strong), {"expires_at": None}).seen == beyond("secret:read")
            assert caller.post(path_of(scene, strong, "/rotate")).seen == beyond("secret:read")
    assert clerk.patch(path_of(scene, strong), {"abilities": ["api-token:read"]}).status == 200


def test_the_token_of_a_person_is_neither_changed_nor_rotated_by_the_organization(scene: Scene) -> None:
    assert scene.by(scene.member).post("/api/api-keys", {"name": "bound"}, **scene.here).status == 201
    persons = [each["id"] for each in scene.as_owner.get(scene.v1("/api-keys")).body["data"] if "usr" in each["token_prefix"]]
    assert len(persons) == 3
    with scene.world.unchanged(scene.organization):
        for id_ in persons:
            message = f"token {id_} acts for a person, who alone changes and rotates it"
            refusal = dotenv_error(403, "token_of_person", message, api_token_id=id_)
            for verb, rest, body in (("PUT", "", [{"name": "x"}]), ("PATCH", "", [{"name": "x"}]), ("POST", "/rotate", [])):
                assert scene.as_owner.call(verb, scene.v1(f"/api-keys/{id_}{rest}"), *body).seen == refusal


def test_a_token_outlives_no_token_that_makes_it(scene: Scene) -> None:
    maker = scene.by(made(scene, expires_at=EXPIRES)["token"])
    later = "expires_at must not be later than that of the calling token"
    answer = maker.post(scene.v1("/api-keys"), TOKEN | {"expires_at": "2030-01-01T00:00:01Z"})
    assert answer.seen == dotenv_invalid(expires_at=later)
    answer = maker.post(scene.v1("/api-keys"), TOKEN)
    assert answer.seen == (201, dotenv_new_key(**TOKEN, expires_at=EXPIRES))
    lasting = made(scene)
    refused = maker.post(path_of(scene, lasting, "/rotate"))
    assert refused.seen == dotenv_invalid(api_token_id="api_token_id lasts longer than the calling token")


def test_a_token_that_has_expired_is_shown_not_accepted_and_not_rotated(scene: Scene) -> None:
    end = (scene.world.clock.now() + timedelta(minutes=1)).replace(microsecond=0)
    token = made(scene, expires_at=end.isoformat())
    scene.world.clock.advance(timedelta(minutes=1))
    assert scene.by(token["token"]).get(ME).seen == dotenv_error(401, "unauthenticated", "the credential is not valid")
    assert scene.as_owner.get(path_of(scene, token)).seen == (200, {"data": token["api_key"]})
    id_, at = token["api_key"]["id"], f"{end:%Y-%m-%dT%H:%M:%S}.000Z"
    refusal = dotenv_error(422, "token_expired", f"API token {id_} expired at {at}", api_token_id=id_, expires_at=at)
    assert scene.as_owner.post(path_of(scene, token, "/rotate")).seen == refusal
    assert scene.as_owner.patch(path_of(scene, token), {"expires_at": None}).seen == (200, {"data": dotenv_key()})
    assert scene.by(token["token"]).get(ME).status == 200


def test_a_suspended_organization_does_nothing_with_its_tokens(scene: Scene) -> None:
    token = made(scene)
    robot = scene.by(token["token"])
    scene.world.set_state(scene.organization.id, OrganizationState.SUSPENDED)
    id_ = scene.organization.id
    refusal = dotenv_error(403, "organization_suspended", f"organization {id_} is suspended", organization_id=id_)
    one, rotate = path_of(scene, token), path_of(scene, token, "/rotate")
    calls: list[tuple[str, str, list[Any]]] = [
        ("GET", scene.v1("/api-keys"), []),
        ("POST", scene.v1("/api-keys"), [TOKEN]),
        *((verb, one, [{"name": "x"}]) for verb in ("PUT", "PATCH")),
        *((verb, path, []) for verb, path in (("GET", one), ("DELETE", one), ("POST", rotate))),
    ]
    clients: list[Http] = [scene.as_owner, robot]
    for client in clients:
        for verb, path, body in calls:
            assert client.call(verb, path, *body).seen == refusal
