"""Headers: what comes from outside tells nothing that only the inside may know; what goes out tells nothing of the inside."""

from __future__ import annotations

import http.client
from contextlib import closing

import pytest
from e2e.scene import Scene
from e2e.shapes import UUID, daytona_error, dotenv_error
from support.breakage import FailingStatement
from support.http import TIMEOUT, Answer

MINE = "/api/organizations/invitations"
# What a client may expect in an answer; HTTP's own framing and our promises, nothing of gRPC or of the proxy.
EXPECTED = {"content-type", "content-length", "date", "x-request-id", "vary", "www-authenticate", "allow", "connection"}
CORS = {"access-control-allow-origin"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-http-status", "200"),
        ("x-http-body", '{"forged": true}'),
        ("x-envoy-original-path", "/forged"),
        ("x-envoy-original-method", "DELETE"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-expected-rq-timeout-ms", "1"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "10"),
        ("x-envoy-internal", "true"),
        ("x-envoy-external-address", "127.0.0.1"),
        ("x-envoy-decorator-operation", "forged"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "forged.example"),
        ("x-forwarded-client-cert", "By=forged"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/forged"),
        ("x-rewrite-url", "/forged"),
        ("grpc-timeout", "1n"),
        ("grpc-encoding", "gzip"),
        ("grpc-accept-encoding", "gzip"),
        ("grpc-status", "0"),
        ("te", "trailers"),
        ("content-encoding", "gzip"),
        ("x-trace-bin", "!!! not base64 !!!"),
        ("grpc-trace-bin", "AAAA"),
        ("authorization-bin", "AAAA"),
        ("-bin", "x"),
    ],
)
def test_a_header_for_the_inside_has_no_effect_from_outside(edge: Scene, name: str, value: str) -> None:
    assert edge.as_owner.get(MINE).seen == (200, [])
    connection = edge.http.socket
    for client, path, seen in (
        (edge.as_owner, MINE, (200, [])),
        (edge.by(edge.stranger), edge.path(), daytona_error(403, edge.path())),
        (edge.http, MINE, daytona_error(401, MINE)),
    ):
        answer = client.send("GET", path, None, {name: value})
        assert answer.seen == seen
        assert "forged" not in str(answer)
    # And nothing lingers on the connection.
    assert edge.as_owner.get(MINE).seen == (200, [])
    assert edge.http.socket is connection is not None


@pytest.mark.parametrize(
    "name",
    [
        *("x-user-id", "x-user-email", "x-user", "x-auth-user", "x-forwarded-user", "x-remote-user", "remote-user"),
        *("x-organization-id", "x-daytona-organization-id", "x-tenant-id", "x-principal", "x-principal-kind", "x-role"),
        *("x-authenticated-user", "x-tenantry-principal", "tenantry-user", "x-goog-authenticated-user-id", "x-email-verified"),
        *("proxy-authorization", "x-authorization", "grpc-metadata-authorization", "cookie", "x-api-key", "api-key"),
    ],
)
def test_nobody_becomes_somebody_by_a_header(edge: Scene, name: str) -> None:
    for value in (edge.owner.id, edge.owner.email, f"Bearer {edge.owner.token}", edge.owner.token, "owner", "platform"):
        assert edge.http.send("GET", edge.path(), None, {name: value}).seen == daytona_error(401, edge.path())
        answer = edge.by(edge.stranger).send("GET", edge.v1(), None, {name: value})
        assert (answer.status, answer.body["error"]) == (404, "not_found")


def test_nobody_becomes_somebody_by_a_query(edge: Scene) -> None:
    for name in ("token", "access_token", "api_key", "authorization", "key"):
        path = f"{MINE}?{name}={edge.owner.token}"
        assert edge.http.get(path).status == 401


def test_two_credentials_are_none(edge: Scene) -> None:
    for first, second in ((edge.owner.token, edge.stranger.token), (edge.owner.token, edge.owner.token)):
        with closing(http.client.HTTPConnection(edge.gateway.address, timeout=TIMEOUT)) as connection:
            connection.putrequest("GET", MINE)
            connection.putheader("Authorization", f"Bearer {first}")
            connection.putheader("Authorization", f"Bearer {second}")
            connection.endheaders()
            with closing(connection.getresponse()) as response:
                answer = Answer(response.status, response.headers, response.read())
        assert answer.seen == daytona_error(401, MINE, "the credential is not valid")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
def test_the_scheme_of_a_credential_may_be_in_any_letters(edge: Scene, scheme: str) -> None:
    assert edge.http.get(MINE, Authorization=f"{scheme} {edge.owner.token}").seen == (200, [])


def test_answers_have_no_header_of_grpc_or_of_the_proxy(edge: Scene) -> None:
    owner = edge.as_owner
    answers = [
        owner.get("/api/organizations"),
        owner.post("/api/v1/organizations", {"name": "x"}),
        owner.patch(edge.path("/default-region"), {"defaultRegionId": "us"}),
        owner.put(edge.path("/experimental-config"), {}),
        owner.post("/api/organizations", {}),
        edge.by(edge.stranger).get(edge.v1()),
        edge.http.get(MINE),
    ]
    refusals = [owner.get("/nothing"), owner.call("PATCH", "/api/organizations"), owner.post(MINE, [])]
    for answer in answers:
        assert {name.lower() for name in answer.headers} <= EXPECTED
    for answer in refusals:
        assert {name.lower() for name in answer.headers} <= EXPECTED | CORS


def test_what_the_server_did_not_foresee_is_500_and_says_nothing_of_it(scene: Scene) -> None:
    database = scene.world.deployment.database
    path = scene.path("/default-region")
    with FailingStatement(database, 0) as failing:
        answer = scene.as_owner.patch(path, {"defaultRegionId": "us"})
    assert failing.failed
    assert answer.seen == daytona_error(500, path, "Internal server error")
    with FailingStatement(database, 0):
        answer = scene.as_owner.patch(scene.v1(), {"name": "x"})
    assert answer.seen == dotenv_error(500, "internal_error", "Internal server error")
    assert scene.as_owner.patch(path, {"defaultRegionId": "us"}).seen == (204, None)


def test_the_id_of_a_request_goes_out_with_the_answer_and_into_the_audit_trail(scene: Scene) -> None:
    def rename(**headers: str) -> Answer:
        answer = scene.as_owner.patch(scene.v1(), {"name": "x"}, **headers)
        assert answer.status == 200
        return answer

    chosen = rename(X_Request_Id="my-request-0000001")
    assert (chosen.headers["x-request-id"], scene.last_event().call_id) == ("my-request-0000001", "my-request-0000001")
    given = rename()
    assert given.headers["x-request-id"] == UUID
    assert scene.last_event().call_id == given.headers["x-request-id"]
    for answer in (
        scene.http.get(MINE, X_Request_Id="refused-0000001"),
        scene.http.get("/nothing", X_Request_Id="refused-0000001"),
    ):
        assert answer.headers.get_all("x-request-id") == ["refused-0000001"]


@pytest.mark.parametrize("sent", ["short", "has blanks in it", "x" * 65, "semi;colon-0001", "<b>bold-00001</b>"])
def test_an_unfit_id_is_replaced_by_one_that_is_in_the_audit_trail(scene: Scene, sent: str) -> None:
    answer = scene.as_owner.patch(scene.v1(), {"name": "x"}, X_Request_Id=sent)
    assert answer.status == 200
    assert answer.headers["x-request-id"] != sent
    assert answer.headers["x-request-id"] == scene.last_event().call_id


def test_the_access_log_is_json_and_has_no_credential(edge: Scene) -> None:
    secret = edge.owner.token
    path = f"{edge.path()}?token={secret}"
    sent = {
        "X-Request-Id": "logged-00000001",
        "Cookie": f"session={secret}",
        "X-Api-Key": secret,
        "Referer": f"https://example.com/?{secret}",
        "User-Agent": secret,
    }
    answer = edge.as_owner.send("GET", path, None, sent)
    entry = edge.gateway.logged("logged-00000001")
    known = {name: entry[name] for name in ("method", "path", "rpc", "status", "peer", "protocol", "bytes_out")}
    assert known == {
        "method": "GET",
        "path": edge.path(),
        "rpc": "/tenantry.rest.daytona.v1.OrganizationService/GetOrganization",
        "status": answer.status,
        "peer": "127.0.0.1",
        "protocol": "HTTP/1.1",
        "bytes_out": len(answer.raw),
    }
    text = edge.gateway.access_log.read_text()
    assert secret not in text
    assert "session=" not in text


@pytest.mark.parametrize(("verb", "status"), [("GET", 404), ("POST", 405)])
def test_a_secret_in_a_path_is_not_logged(edge: Scene, verb: str, status: int) -> None:
    begin, secret = "/api/organizations/otel-config/by-sandbox-auth-token/", f"canary-of-{verb}-in-a-path"
    collector = edge.by(edge.world.platform_token(["otel-config:read"]))
    assert collector.send(verb, begin + secret, None, {"X-Request-Id": f"in-a-path-secret-{verb}"}).status == status
    entry = edge.gateway.logged(f"in-a-path-secret-{verb}")
    assert (entry["path"], entry["status"]) == (begin, status)
    text = edge.gateway.access_log.read_text()
    assert secret not in text
    assert text.count(f"in-a-path-secret-{verb}") == 1


def test_refusals_are_logged_too(edge: Scene) -> None:
    for path, status in (("/nothing", 404), (MINE, 401)):
        edge.http.get(path, X_Request_Id=f"refused-by-{status}")
        entry = edge.gateway.logged(f"refused-by-{status}")
        assert (entry["path"], entry["status"]) == (path, status)
