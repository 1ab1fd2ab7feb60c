"""One port speaks REST over HTTP/1.1 and HTTP/2, gRPC, gRPC-Web and what browsers ask before; and says how the server is."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google.rpc.error_details_pb2 as details_pb2
import google.rpc.status_pb2 as status_pb2
import grpc
import pytest
from e2e.scene import UNKNOWN_ULID, Scene
from e2e.shapes import daytona_error, dotenv_error, organization
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.gateway import eventually, fronting
from support.http import Answer
from support.rpc import Client, method_of, refused, request_of
from support.world import World

pytest_plugins = ("support.only",)

MINE = "/api/organizations/invitations"
ORIGIN = "https://console.example"
GET = "OrganizationService.GetOrganization"


# -- gRPC --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def channel(edge: Scene) -> Iterator[grpc.Channel]:
    """A gRPC channel through the gateway."""
    with grpc.insecure_channel(edge.gateway.address) as channel:
        yield channel


def test_grpc_passes_through_with_its_rich_errors_intact(edge: Scene, channel: grpc.Channel) -> None:
    owner = Client(channel, edge.owner.token)
    assert owner(GET, organization_id=edge.organization.id).name == "Acme"
    refusal = owner.refusal("RoleService.CreateRole", organization_id=edge.organization.id, permissions=["x:y"])
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.violations == {"name": "STRING_DISPLAY_NAME"}
    assert {type(detail) for detail in refusal.details} == {details_pb2.ErrorInfo, details_pb2.BadRequest}
    direct = edge.owner.rpc.refusal(GET, organization_id=UNKNOWN_ULID)
    assert owner.refusal(GET, organization_id=UNKNOWN_ULID).seen == direct.seen


def test_grpc_without_a_credential_is_refused_by_the_server_itself(channel: grpc.Channel) -> None:
    refusal = Client(channel).refusal("OrganizationService.ListOrganizations")
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "MISSING_CREDENTIAL")


def test_the_methods_of_the_dialects_can_be_called_by_grpc_too(edge: Scene, channel: grpc.Channel) -> None:
    answer = Client(channel, edge.owner.token)("tenantry.rest.dotenv.v1.OrganizationService.GetCurrentOrganization")
    assert answer.data.id == edge.owner.personal_organization_id


def test_binary_metadata_of_any_kind_does_no_harm(edge: Scene, channel: grpc.Channel) -> None:
    client = Client(channel, edge.owner.token, metadata=(("x-trace-bin", b"\xff\x00"), ("x-http-status", "500")))  # type: ignore[arg-type]
    assert client(GET, organization_id=edge.organization.id).id == edge.organization.id


def test_metadata_that_is_too_large_is_refused_and_the_next_call_works(edge: Scene, channel: grpc.Channel) -> None:
    refusal = Client(channel, edge.owner.token, metadata=(("x-big", "x" * 100_000),)).refusal(GET)
    assert refusal.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    assert Client(channel, edge.owner.token)(GET, organization_id=edge.organization.id).name == "Acme"


def test_a_message_that_is_too_large_is_refused_and_the_next_call_works(edge: Scene, channel: grpc.Channel) -> None:
    owner = Client(channel, edge.owner.token)
    refusal = owner.refusal(GET, organization_id="x" * 300_000)
    assert refusal.code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN)
    assert owner(GET, organization_id=edge.organization.id).name == "Acme"


def test_an_unknown_method_is_unimplemented(channel: grpc.Channel) -> None:
    for path in ("/tenantry.v1.OrganizationService/Destroy", "/nothing/at.all"):
        call: Any = channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=20)
        assert refused(caught.value).code == grpc.StatusCode.UNIMPLEMENTED


# -- gRPC-Web ----------------------------------------------------------------------------------------------------------


def web(edge: Scene, name: str, **fields: Any) -> tuple[dict[str, str], bytes]:
    """A binary gRPC-Web call: what was said of its status, and the message's bytes."""
    method, message = method_of(name), request_of(name, **fields).SerializeToString()
    path = f"/{method.containing_service.full_name}/{method.name}"
    headers = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
    answer = edge.as_owner.send("POST", path, b"\0" + struct.pack(">I", len(message)) + message, headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/grpc-web+proto")
    said, content, rest = {key.lower(): value for key, value in answer.headers.items()}, b"", answer.raw
    while rest:
        kind, length = struct.unpack(">BI", rest[:5])
        frame, rest = rest[5 : 5 + length], rest[5 + length :]
        if kind & 0x80:
            said |= dict(line.split(":", 1) for line in frame.decode().splitlines())
        else:
            content += frame
    return said, content


def test_grpc_web_answers_with_the_message_and_a_status(edge: Scene) -> None:
    said, content = web(edge, GET, organization_id=edge.organization.id)
    assert said["grpc-status"] == "0"
    message = edge.owner.rpc(GET, organization_id=edge.organization.id)
    assert type(message).FromString(content) == message


def test_grpc_web_refuses_with_the_details(edge: Scene) -> None:
    said, content = web(edge, GET, organization_id=UNKNOWN_ULID)
    assert (said["grpc-status"], content) == (str(grpc.StatusCode.PERMISSION_DENIED.value[0]), b"")
    binary = said["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(binary + "=" * (-len(binary) % 4)))
    info = details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, dict(info.metadata)) == ("ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": UNKNOWN_ULID})


# -- HTTP/2 ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl, which speaks HTTP/2, is not installed")
def test_rest_is_spoken_over_http2_too(edge: Scene) -> None:
    def curl(*arguments: str) -> tuple[str, dict[str, str], str]:
        command = ["curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", "-i", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.splitlines()
        return first.strip(), dict(line.lower().split(": ", 1) for line in lines if ": " in line), body

    host = f"http://{edge.gateway.address}"
    bearer = ["-H", f"Authorization: Bearer {edge.owner.token}"]
    first, headers, body = curl(host + edge.path(), *bearer)
    assert (first, json.loads(body)) == ("HTTP/2 200", organization(id=edge.uuid(edge.organization)))
    assert not [name for name in headers if name.startswith("grpc")]
    data = ["-H", "Content-Type: application/json", "-d", '{"defaultRegionId": "us"}']
    first, headers, body = curl(host + edge.path("/default-region"), "-X", "PATCH", *data, *bearer)
    assert (first, body, headers.get("content-type")) == ("HTTP/2 204", "", None)
    first, headers, body = curl(host + MINE)
    assert (first, headers["www-authenticate"], json.loads(body)["statusCode"]) == ("HTTP/2 401", "bearer", 401)


# -- browsers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/api/organizations"),
        ("PATCH", "/api/v1/organizations/x"),
        *((verb, "/api/v1/organizations/x/api-keys/y") for verb in ("GET", "PUT", "PATCH", "DELETE")),
        ("POST", "/api/v1/organizations/x/api-keys/y/rotate"),
        *((verb, "/api/api-keys") for verb in ("GET", "POST")),
        *((verb, "/api/api-keys/a%20name") for verb in ("GET", "DELETE")),
        ("DELETE", "/api/api-keys/x/y"),
        ("POST", "/tenantry.v1.OrganizationService/GetOrganization"),
    ],
)
def test_a_browser_may_ask_first(edge: Scene, verb: str, path: str) -> None:
    asked = "authorization,content-type,idempotency-key,x-grpc-web,x-daytona-organization-id"
    answer = edge.http.call(
        "OPTIONS", path, Origin=ORIGIN, Access_Control_Request_Method=verb, Access_Control_Request_Headers=asked
    )
    assert (answer.status, answer.raw) == (200, b"")
    assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
    assert set(answer.headers["access-control-allow-methods"].split(", ")) == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert set(answer.headers["access-control-allow-headers"].replace(" ", "").split(",")) >= set(asked.split(","))
    assert answer.headers["access-control-allow-credentials"] is None


def test_a_browser_may_read_the_answer_whatever_it_is(edge: Scene) -> None:
    owner = edge.as_owner
    answers = [
        owner.get(MINE, Origin=ORIGIN),
        owner.patch(edge.path("/default-region"), {"defaultRegionId": "us"}, Origin=ORIGIN),
        owner.post("/api/organizations", {}, Origin=ORIGIN),
        edge.http.get(MINE, Origin=ORIGIN),
        owner.get("/nothing", Origin=ORIGIN),
        owner.call("PUT", MINE, Origin=ORIGIN),
        owner.send("POST", "/api/organizations", b"x", {"Origin": ORIGIN, "Content-Type": "application/json"}),
        owner.send("POST", "/api/organizations", b"x", {"Origin": ORIGIN, "Content-Type": "text/plain"}),
    ]
    assert [answer.status for answer in answers] == [200, 204, 400, 401, 404, 405, 400, 415]
    assert all(answer.headers.get_all("access-control-allow-origin") in ([ORIGIN], ["*"]) for answer in answers)
    assert "access-control-allow-origin" not in owner.get(MINE).headers


# -- compression -------------------------------------------------------------------------------------------------------


def test_a_long_answer_is_compressed_when_asked_and_a_short_one_is_not(edge: Scene) -> None:
    plain = edge.as_owner.get(edge.path("/roles"))
    assert (plain.headers["content-encoding"], plain.headers["vary"]) == (None, "Accept-Encoding")
    packed = edge.as_owner.get(edge.path("/roles"), Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.raw) == plain.raw
    assert len(packed.raw) < len(plain.raw) / 2
    short = edge.as_owner.get(MINE, Accept_Encoding="gzip")
    assert (short.headers["content-encoding"], short.raw) == (None, b"[]")
    empty = edge.as_owner.patch(edge.path("/default-region"), {"defaultRegionId": "us"}, Accept_Encoding="gzip")
    assert (empty.status, empty.raw, empty.headers["content-encoding"]) == (204, b"", None)


# -- what is not REST --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/json", "application/grpc+json", "application/grpc-web+json", "text/plain"])
@pytest.mark.parametrize("service", ["tenantry.v1", "tenantry.rest.daytona.v1", "tenantry.rest.dotenv.v1"])
def test_no_method_can_be_called_with_json_by_its_grpc_name(edge: Scene, service: str, kind: str) -> None:
    path = f"/{service}.OrganizationService/CreateOrganization"
    before = len(edge.as_owner.get("/api/organizations").body)
    for content in (b'{"name": "By its name", "defaultRegionId": "us"}', b'\0\0\0\0\x11{"name": "Framed"}'):
        answer = edge.as_owner.send("POST", path, content, {"Content-Type": kind})
        assert answer.status == 404 or answer.headers["grpc-status"] not in (None, "0"), answer
    assert len(edge.as_owner.get("/api/organizations").body) == before


# -- health ------------------------------------------------------------------------------------------------------------


def test_health_is_the_servers_own_word_by_http_and_by_grpc(edge: Scene, channel: grpc.Channel) -> None:
    answer = edge.http.get("/healthz")
    assert answer.seen == (200, {"status": "ok"})
    check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # missing in the stubs
    assert check(health_pb2.HealthCheckRequest(), timeout=20).status == health_pb2.HealthCheckResponse.SERVING


def test_a_server_that_announces_its_end_gets_no_more_calls(on_sqlite: Callable[..., World], tmp_path: Path) -> None:
    world = on_sqlite()
    token = world.person().token
    with fronting(world.deployment.address, tmp_path) as front, front.http(token) as http:
        assert http.get("/healthz").seen == (200, {"status": "ok"})
        assert http.get(MINE).seen == (200, [])

        world.deployment.server.announce_end()
        assert world.client(token)("OrganizationService.ListOrganizations").organizations, "it still answers"

        def unhealthy() -> Answer | None:
            answer = http.get("/healthz")
            return answer if answer.status != 200 else None

        assert eventually(unhealthy, "the gateway notices").seen == (503, {"status": "unavailable"})
        unavailable = "The service is unavailable; try again later."
        assert http.get(MINE).seen == daytona_error(503, MINE, unavailable)
        assert http.get("/api/v1/organizations").seen == dotenv_error(503, "service_unavailable", unavailable)
        with grpc.insecure_channel(front.address) as channel:
            refusal = Client(channel, token).refusal("OrganizationService.ListOrganizations")
        assert (refusal.code, refusal.message) == (grpc.StatusCode.UNAVAILABLE, unavailable)
