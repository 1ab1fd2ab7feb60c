"""OpenID AuthZEN through the gateway: its errors are the standard's, ids of requests come back, and it says where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from e2e.bindings import bindings
from e2e.questions import DISCOVERY, MANY, ONE, Json, Questions, error
from e2e.shapes import Some
from support.http_files import Run
from support.http_files import read as http_file

JSON = {"Content-Type": "application/json"}


# -- errors ------------------------------------------------------------------------------------------------------------

_PARTS = ("subject", "action", "resource")
_NAMES = (("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id"))


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        *((lambda body, part=part: body.pop(part), part) for part in _PARTS),
        *(
            (lambda body, part=part, name=name: body[part].pop(name), f"{part}.{name}")
            for part, name in (
                ("subject", "type"),
                ("subject", "id"),
                ("action", "name"),
                ("resource", "type"),
                ("resource", "id"),
            )
        ),
        *((lambda body, part=part: body.update({part: None}), part) for part in _PARTS),
        (lambda body: body["subject"].update(id=""), "subject.id"),
        (lambda body: body["resource"].update(properties={}), "resource.properties.organization_id"),
        (lambda body: body["resource"].update(properties={"organization_id": 7}), "resource.properties.organization_id"),
    ],
)
def test_what_is_missing_is_400_and_named(pdp: Questions, change: Callable[[Json], Any], missing: str) -> None:
    body = pdp.question(pdp.developer, "write")
    change(body)
    named = Some(f"text with {missing}", lambda text: isinstance(text, str) and missing in text)
    assert pdp.asked(body) == pdp.asked(body, MANY) == error(400, named)


@pytest.mark.parametrize("path", [ONE, MANY])
def test_what_is_no_such_json_is_400(pdp: Questions, path: str) -> None:
    client, good = pdp.scene.by(pdp.platform), pdp.question(pdp.developer, "write")
    for body in (b"", b"{", b"[]", b"null", b'"x"', b"not json"):
        assert client.send("POST", path, body, JSON).seen == error(400), body
    wrong: Json
    for wrong in ({"subject": "alice"}, {"action": {"name": 123}}, {"resource": []}, {"context": "now"}, {"action": "read"}):
        assert client.post(path, {**good, **wrong}).seen == error(400), wrong
    assert client.send("POST", path, b"{}", {"Content-Type": "text/plain"}).seen == error(400)
    assert client.send("POST", path, b"x" * 300_000, JSON).seen == error(413)


@pytest.mark.parametrize("path", [ONE, MANY])
def test_who_asks_has_to_be_known(pdp: Questions, path: str) -> None:
    body = pdp.question(pdp.developer, "write")
    for token, message in (("", "a bearer credential is required"), ("garbage", "the credential is not valid")):
        answer = pdp.ask(token, body, path)
        assert (answer.seen, answer.headers["www-authenticate"]) == (error(401, message), "Bearer")


def test_other_verbs_and_paths_are_refused_in_the_dialect(pdp: Questions) -> None:
    client = pdp.scene.by(pdp.platform)
    for path in (ONE, MANY):
        answer = client.get(path)
        assert (answer.seen, answer.headers["allow"]) == (error(405), "POST")
    for path in ("/access/v1/", "/access/v1/search/subject", "/access/v1/evaluation/x"):
        assert client.post(path, {}).seen == error(404)


# -- around it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "1", "req:7/8", "an id with blanks", "x" * 256])
def test_the_id_of_a_request_comes_back_as_it_was_sent(pdp: Questions, sent: str) -> None:
    body = pdp.question(pdp.developer, "write")
    for token, asked in ((pdp.platform, body), (pdp.platform, {}), ("", body)):
        for path in (ONE, MANY):
            assert pdp.ask(token, asked, path, X_Request_ID=sent).headers.get_all("x-request-id") == [sent]


def test_a_request_without_an_id_or_with_an_unfit_one_gets_one(pdp: Questions) -> None:
    body = pdp.question(pdp.developer, "write")
    for headers in ({}, {"X_Request_ID": "x" * 257}):
        answer = pdp.ask(pdp.platform, body, **headers)
        assert len(answer.headers["x-request-id"]) < 100


def test_the_metadata_says_where_everything_is(pdp: Questions) -> None:
    http, address = pdp.scene.http, pdp.scene.gateway.address

    def told(base: str) -> Json:
        return {
            "policy_decision_point": base,
            "access_evaluation_endpoint": base + ONE,
            "access_evaluations_endpoint": base + MANY,
        }

    answer = http.get(DISCOVERY)
    assert answer.seen == (200, told(f"http://{address}"))
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")
    assert http.send("GET", f"{DISCOVERY}?x=y", None, {"Host": "pdp.example.com"}).seen == (200, told("http://pdp.example.com"))
    forged = http.send("GET", DISCOVERY, None, {"X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "evil.example"})
    assert forged.seen == (200, told(f"http://{address}"))
    assert http.call("HEAD", DISCOVERY).status == 200
    assert (http.post(DISCOVERY, {}).status, http.get(f"{DISCOVERY}/tenant").status) == (405, 404)


def test_the_http_file_calls_every_path_and_works_as_it_stands(pdp: Questions) -> None:
    file, http = http_file("authzen.http"), pdp.scene.http
    told = {"platform": pdp.platform, "organization": pdp.here, "user": pdp.developer.id}
    run = Run({**file.variables, "host": f"http://{http.address}", **told})
    answers = [run.play(http, call) for call in file.calls]
    assert [answer.status for answer in answers] == [call.status for call in file.calls]
    assert answers[1].body["decision"] is True
    assert [each["decision"] for each in answers[2].body["evaluations"]] == [True, True, False]
    assert {(call.verb, call.shape) for call in file.calls} == {
        ("GET", DISCOVERY),
        *((each.verb, each.shape) for each in bindings("authzen")),
    }
