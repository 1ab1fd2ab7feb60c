"""What the gateway refuses before the server hears of it: always in the body of the dialect whose path it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2e.bindings import bindings
from e2e.scene import UNKNOWN, Scene
from e2e.shapes import TEXT, Some, daytona_error, dotenv_error, dotenv_invalid, dotenv_organization, exactly, organization
from support.http import Answer, exchange

JSON = {"Content-Type": "application/json"}
DAYTONA, DOTENV = "/api/organizations", "/api/v1/organizations"
MAX = 256 * 1024

NOTHING = "There is nothing at this path."
TOO_LARGE = "A request has at most 262144 bytes."
NOT_JSON = "The body must be application/json."

# A path has the verbs of every template that it fits: `current` may be a name too.
VERBS = {
    (each.dialect, each.shape): {other.verb for other in bindings(each.dialect) if other.fits(each.shape)}
    for each in bindings()
}


def refused(dialect: str, path: str, status: int, code: str, message: Any = TEXT) -> tuple[int, dict[str, Any]]:
    """A refusal in a dialect."""
    return daytona_error(status, path, message) if dialect == "daytona" else dotenv_error(status, code, message)


# -- paths and verbs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("daytona", "/"),
        ("daytona", "/index.html"),
        ("daytona", "/api"),
        ("daytona", "/API/organizations"),
        ("daytona", "/api/organization"),
        ("daytona", f"{DAYTONA}/{UNKNOWN}/usages"),
        ("daytona", f"{DAYTONA}/{UNKNOWN}/roles/{UNKNOWN}/x"),
        ("dotenv", "/api/v1/"),
        ("dotenv", "/api/v1/nothing"),
        ("dotenv", f"{DOTENV}/{UNKNOWN}/roles"),
    ],
)
def test_an_unknown_path_is_404(edge: Scene, dialect: str, path: str, verb: str) -> None:
    assert edge.as_owner.call(verb, path).seen == refused(dialect, path, 404, "not_found", NOTHING)


@pytest.mark.parametrize(("dialect", "shape"), sorted(VERBS), ids=lambda part: str(part))
def test_a_known_path_names_its_verbs_to_every_other_one(edge: Scene, dialect: str, shape: str) -> None:
    path, allowed = shape.replace("{}", UNKNOWN), VERBS[dialect, shape]
    message = "This path does not have this method."
    for verb in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - allowed:
        answer = edge.as_owner.call(verb, path)
        assert answer.seen == refused(dialect, path, 405, "method_not_allowed", message)
        assert answer.headers["allow"] == ", ".join(sorted(allowed))
    head = edge.as_owner.call("HEAD", path)
    assert (head.status, head.raw, head.headers["allow"]) == (405, b"", ", ".join(sorted(allowed)))


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dialect", "path"), [("daytona", DAYTONA), ("dotenv", DOTENV)])
def test_a_body_that_is_too_large_is_413_whether_its_length_is_told_or_not(edge: Scene, dialect: str, path: str) -> None:
    body = b'{"name":"' + b"n" * MAX + b'"}'
    refusal = refused(dialect, path, 413, "payload_too_large", TOO_LARGE)
    assert edge.as_owner.send("POST", path, body, JSON).seen == refusal
    chunks = [body[start : start + 9000] for start in range(0, len(body), 9000)]
    assert edge.as_owner.send("POST", path, iter(chunks), JSON).seen == refusal
    assert edge.as_owner.get(f"{DAYTONA}/invitations/count").seen == (200, 0)


def test_the_largest_body_comes_through_and_one_byte_more_does_not(edge: Scene) -> None:
    def sent(size: int) -> Answer:
        return edge.as_owner.send("POST", DOTENV, b'{"name":"x"' + b" " * (size - 12) + b"}", JSON)

    assert sent(MAX).seen == (201, dotenv_organization(name="x"))
    assert sent(MAX + 1).seen == dotenv_error(413, "payload_too_large", TOO_LARGE)


def test_a_body_in_chunks_is_a_body(edge: Scene) -> None:
    chunks = [b'{"name": "In ', b'chunks", "defaultRegionId', b'": "us"}']
    answer = edge.as_owner.send("POST", DAYTONA, iter(chunks), JSON)
    assert answer.seen == (201, organization(name="In chunks", defaultRegionId="us"))


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"]
)
@pytest.mark.parametrize(("dialect", "path"), [("daytona", DAYTONA), ("dotenv", DOTENV)])
def test_a_body_of_another_kind_is_415(edge: Scene, dialect: str, path: str, kind: str) -> None:
    answer = edge.as_owner.send("POST", path, b'{"name": "x", "defaultRegionId": "us"}', {"Content-Type": kind})
    assert answer.seen == refused(dialect, path, 415, "unsupported_media_type", NOT_JSON)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json", None])
def test_json_is_json_by_whatever_name_or_none(edge: Scene, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = edge.as_owner.send("POST", DOTENV, b'{"name": "x"}', headers)
    assert answer.seen == (201, dotenv_organization(name="x"))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": }',
        b'{"name": "x"',
        b'{"name": "x"} {}',
        b"x",
        b"[]",
        b'[{"name": "x"}]',
        b'"name"',
        b"5",
        b"null",
        b'{"name": 5}',
        b'{"name": true}',
        b'{"name": ["x"]}',
        b'{"name": {"x": 1}}',
        b'{"name": NaN}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"a":' * 20000 + b"1" + b"}" * 20000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_malformed_json_and_json_of_the_wrong_form_are_the_dialects_invalid_request(edge: Scene, body: bytes) -> None:
    assert edge.as_owner.send("POST", DAYTONA, body, JSON).seen == daytona_error(400, DAYTONA)
    assert edge.as_owner.send("POST", DOTENV, body, JSON).seen == dotenv_invalid()
    assert edge.as_owner.get(f"{DAYTONA}/invitations/count").seen == (200, 0)


@pytest.mark.parametrize(
    ("rest", "body", "field"),
    [
        ("/invitations", {"email": "a@example.com", "role": "member", "expiresAt": "tomorrow"}, "expiresAt"),
        ("/invitations", {"email": "a@example.com", "role": "member", "expiresAt": "2030-01-01"}, "expiresAt"),
        ("/invitations", {"email": {}, "role": "member"}, "email"),
        ("/roles", {"name": "x", "description": 7, "permissions": []}, "description"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_by_its_field(edge: Scene, rest: str, body: dict[str, Any], field: str) -> None:
    named = Some(f"text with {field}", lambda text: isinstance(text, str) and field in text)
    assert edge.as_owner.post(edge.path(rest), body).seen == daytona_error(400, edge.path(rest), named)


def test_configuration_too_deep_for_the_server_is_refused_and_the_server_lives(edge: Scene) -> None:
    path = edge.path("/experimental-config")
    for depth in (60, 99, 101, 30000):
        for opening, closing in ((b'{"a":', b"}"), (b"[", b"]")):
            body = b'{"a":' + opening * depth + b"1" + closing * depth + b"}"
            assert edge.as_owner.send("PUT", path, body, JSON).seen == daytona_error(400, path)
    body = b'{"a":' + b"[" * 20 + b"1" + b"]" * 20 + b"}"
    assert edge.as_owner.send("PUT", path, body, JSON).seen == (200, None)
    assert edge.as_owner.get(edge.path()).body["experimentalConfig"] == json.loads(body)


# -- requests that are hardly HTTP -------------------------------------------------------------------------------------


def raw(edge: Scene, request: bytes) -> tuple[int, Any]:
    """Status and body of what comes back to some bytes, which ends the connection."""
    head, _, body = exchange(edge.gateway.address, request).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("size", [20_000, 100_000, 256 << 10])
def test_headers_that_are_too_large_are_431(edge: Scene, size: int) -> None:
    seen = raw(edge, b"GET /api/v1/organizations HTTP/1.1\r\nHost: x\r\nX-Big: %s\r\n\r\n" % (b"x" * size))
    # Its path is in what was not read to the end.
    _, body = daytona_error(431, "", "The request's headers are too large.")
    assert seen == (431, body | {"path": None})


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /api/organizations HTTP/1.1\r\n\r\n",
        b"GET /api/organizations HTTP/1.1\r\nHost: x\r\nBad_Name: x\r\n\r\n",
        b"GET /api/organizations HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"POST /api/organizations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST /api/organizations HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    ],
    ids=lambda request_: repr(request_[-60:]),
)
def test_what_is_no_proper_request_is_400_and_ends_the_connection(edge: Scene, request_: bytes) -> None:
    status, body = raw(edge, request_)
    assert (status, body | {"path": "?"}) == daytona_error(400, "?", "The request is malformed.")
    assert body["path"] in (None, DAYTONA)


@pytest.mark.slow
def test_headers_that_never_end_are_408_after_a_while(edge: Scene) -> None:
    status, body = raw(edge, b"GET /api/organizations HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert (status, body | {"path": "?"}) == daytona_error(408, "?", "The request took too long to arrive.")
    assert edge.as_owner.get(edge.path()).status == 200


def test_a_post_may_come_without_any_word_about_a_body(edge: Scene) -> None:
    token = edge.world.member(edge.organization, edge.owner).token
    request = f"POST {edge.path('/leave')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    answer = exchange(edge.gateway.address, request.encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 204 No Content", b"")
    assert len(edge.as_owner.get(edge.path("/users")).body) == exactly(1)


def test_a_path_whose_words_could_be_values_is_answered_as_such_for_other_verbs(edge: Scene) -> None:
    path = f"{DAYTONA}/invitations"
    assert edge.as_owner.get(path).seen == (200, [])
    refusal = daytona_error(403, path, "no access to organization invitations, or it does not exist")
    assert edge.as_owner.call("DELETE", path).seen == refusal
