"""gateway/protect.yaml as it stands, in front of services that know nothing of Tenantry: who gets through, and as whom."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from e2e.guarded import call, came_through, refused, sandboxes
from e2e.scene import Scene
from support.http import exchange
from support.passing import CREDENTIAL, KIND, ORGANIZATION, PERMISSIONS, PRINCIPAL, REVISION, TOLD, USER
from support.protected import REPORTS, Protected, manager, protecting
from support.rpc import refused as read_refusal
from support.world import AUDITOR, DEVELOPER

from tenantry_server.domain import ids

STATUS, ME, VOLUMES = "/status", "/v1/me", "/v1/volumes"


# -- http --------------------------------------------------------------------------------------------------------------


def test_who_may_comes_through_as_who_they_are(edge: Scene, guarded: Protected) -> None:
    path = sandboxes(edge.organization, "/x?y=z")
    headers = came_through(guarded, call(guarded, edge.owner.token, "GET", path), f"GET {path}")
    assert (headers[KIND], headers[PRINCIPAL], headers[USER]) == ("user", edge.owner.id, edge.owner.id)
    assert headers[ORGANIZATION] == edge.organization.id
    assert headers[REVISION] == str(edge.world.revision(edge.organization.id))
    assert {"sandbox:read", "sandbox:write"} < set(headers[PERMISSIONS].split(","))
    assert "authorization" not in headers
    own = edge.world.token(organization_id=edge.organization.id, permissions=["sandbox:write"])
    headers = came_through(guarded, call(guarded, own, "POST", path), f"POST {path}")
    assert (headers[KIND], headers[PRINCIPAL], headers[PERMISSIONS]) == (
        "organization",
        edge.organization.id,
        "sandbox:write",
    )
    assert USER not in headers


def test_reading_and_writing_demand_what_their_routes_say(edge: Scene, guarded: Protected) -> None:
    developer = edge.world.member(edge.organization, edge.owner, DEVELOPER)
    path = sandboxes(edge.organization)
    for token, verb in ((edge.member.token, "GET"), (developer.token, "GET"), (developer.token, "POST")):
        came_through(guarded, call(guarded, token, verb, path), f"{verb} {path}")
    for verb in ("POST", "PUT", "DELETE"):
        denied = (403, "PERMISSION_MISSING", "permission missing: sandbox:write")
        assert refused(guarded, edge.member.token, verb, path) == denied


def test_who_is_unknown_and_who_has_nothing_to_do_with_it_are_told_apart(edge: Scene, guarded: Protected) -> None:
    path = sandboxes(edge.organization)
    assert refused(guarded, "", "GET", path) == (401, "MISSING_CREDENTIAL", "a bearer credential is required")
    assert refused(guarded, "garbage", "GET", path) == (401, "INVALID_CREDENTIAL", "the credential is not valid")
    assert call(guarded, "", "GET", path).headers["www-authenticate"] == "Bearer"
    for organization_id in (edge.organization.id, ids.new()):
        detail = f"no access to organization {organization_id}, or it does not exist"
        answer = refused(guarded, edge.stranger.token, "GET", sandboxes(organization_id))
        assert answer == (404, "ORGANIZATION_NOT_ACCESSIBLE", detail)


def test_an_organization_in_a_header_is_what_counts(edge: Scene, guarded: Protected) -> None:
    headers = came_through(
        guarded, call(guarded, edge.owner.token, "GET", VOLUMES, x_organization_id=edge.organization.id), f"GET {VOLUMES}"
    )
    assert headers[ORGANIZATION] == edge.organization.id
    assert headers["authorization"] == f"Bearer {edge.owner.token}"  # as the route says
    assert refused(guarded, edge.owner.token, "GET", VOLUMES)[:2] == (400, "INVALID_REQUEST")
    assert refused(guarded, edge.owner.token, "GET", VOLUMES, x_organization_id=edge.foreign.id)[0] == 404


def test_a_route_for_all_who_are_known_tells_who_they_are_alone(edge: Scene, guarded: Protected) -> None:
    headers = came_through(guarded, call(guarded, edge.stranger.token, "GET", ME), f"GET {ME}")
    assert headers.keys() & TOLD == {KIND, PRINCIPAL, USER, CREDENTIAL}
    assert refused(guarded, "", "GET", ME)[0] == 401


def test_a_route_for_everybody_tells_nothing(edge: Scene, guarded: Protected) -> None:
    for token in ("", "garbage", edge.owner.token):
        headers = came_through(guarded, call(guarded, token, "GET", STATUS), f"GET {STATUS}")
        assert not headers.keys() & (TOLD | {"authorization"})


def test_what_has_no_route_is_nothing(edge: Scene, guarded: Protected) -> None:
    for path in ("/", "/v1", "/v1/volumesx", "/v1/organizations", f"/V1/organizations/{edge.organization.id}/sandboxes"):
        answer = call(guarded, edge.owner.token, "GET", path)
        assert (answer.status, answer.raw) == (404, b"")


# -- what clients claim ------------------------------------------------------------------------------------------------

CLAIMS = (*sorted(TOLD), "x-tenantry-role", "x-tenantry-", "X-Tenantry-User-Id")


@pytest.mark.parametrize("claim", CLAIMS)
def test_nobody_can_say_who_they_are_by_a_header_on_any_route(edge: Scene, guarded: Protected, claim: str) -> None:
    path = sandboxes(edge.organization)
    own = edge.world.token(organization_id=edge.organization.id)
    for token, at, more in (
        (edge.member.token, path, {}),
        (own, path, {}),  # of which no user is told
        (edge.owner.token, VOLUMES, {"x-organization-id": edge.organization.id}),
        (edge.member.token, ME, {}),
        ("", STATUS, {}),
    ):
        with guarded.http(token) as http:
            plain = came_through(guarded, http.send("GET", at, None, more), f"GET {at}")
            forged = came_through(guarded, http.send("GET", at, None, {**more, claim: "forged"}), f"GET {at}")
        assert "forged" not in forged.values()
        assert forged.keys() & (TOLD | {claim.lower()}) == plain.keys() & TOLD


def test_a_claim_in_underscores_does_not_come_through(edge: Scene, guarded: Protected) -> None:
    before = len(guarded.seen.requests)
    for at in (STATUS, ME):
        with guarded.http(edge.member.token) as http:
            assert http.send("GET", at, None, {"x_tenantry_user_id": edge.owner.id}).status == 400
    assert len(guarded.seen.requests) == before


def test_a_claim_that_is_repeated_split_or_called_hop_by_hop_has_no_effect(edge: Scene, guarded: Protected) -> None:
    lines = [
        f"GET {sandboxes(edge.organization)} HTTP/1.1",
        f"Host: {guarded.address}",
        f"Authorization: Bearer {edge.member.token}",
        f"{USER}: {edge.owner.id}",
        f"{USER}: {edge.owner.id}",
        f"{PERMISSIONS}: sandbox:write",
        f"Connection: close, {USER}, {ORGANIZATION}, {PERMISSIONS}",
    ]
    answer = exchange(guarded.address, ("\r\n".join(lines) + "\r\n\r\n").encode())
    assert answer.startswith(b"HTTP/1.1 200")
    assert (guarded.seen.last[USER], guarded.seen.last[ORGANIZATION]) == (edge.member.id, edge.organization.id)
    assert "sandbox:write" not in guarded.seen.last[PERMISSIONS].split(",")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-HTTP-Method-Override", "POST"),
        ("X-HTTP-Method", "POST"),
        ("X-Method-Override", "POST"),
        ("X-Original-URL", "/v1/organizations/other/sandboxes"),
        ("X-Rewrite-URL", "/v1/organizations/other/sandboxes"),
        ("X-Original-Method", "POST"),
    ],
)
def test_what_would_make_another_request_of_it_behind_envoy_is_taken_out(
    edge: Scene, guarded: Protected, name: str, value: str
) -> None:
    path = sandboxes(edge.organization)
    with guarded.http(edge.member.token) as http:
        headers = came_through(guarded, http.send("GET", path, None, {name: value}), f"GET {path}")
    assert value not in headers.values()


def test_control_where_nothing_is_taken_out_claims_come_through(edge: Scene) -> None:
    def believing(config: Any) -> None:
        del manager(config)["early_header_mutation_extensions"]

    with protecting(edge.world.deployment.server.port, believing) as weak:
        headers = came_through(weak, call(weak, "", "GET", STATUS, x_tenantry_user_id=edge.owner.id), f"GET {STATUS}")
        assert headers[USER] == edge.owner.id
        # Where Tenantry is asked, its answer overwrites or takes out what it knows.
        own = edge.world.token(organization_id=edge.organization.id)
        path = sandboxes(edge.organization)
        headers = came_through(weak, call(weak, own, "GET", path, x_tenantry_user_id=edge.owner.id), f"GET {path}")
        assert USER not in headers


# -- gRPC --------------------------------------------------------------------------------------------------------------


def test_a_grpc_service_is_called_by_who_may_and_told_who_that_is(edge: Scene, guarded: Protected) -> None:
    here = ("x-organization-id", edge.organization.id)
    auditor = edge.world.member(edge.organization, edge.owner, AUDITOR)
    assert guarded.report(auditor.token, here, (USER, edge.owner.id)) == b"report"
    assert guarded.seen.requests[-1][0] == REPORTS
    told = guarded.seen.last
    assert (told[USER], told[ORGANIZATION]) == (auditor.id, edge.organization.id)
    assert "audit-log:read" in told[PERMISSIONS].split(",")
    assert "authorization" not in told


def test_grpc_clients_are_refused_with_a_status(edge: Scene, guarded: Protected) -> None:
    here, unknown = edge.organization.id, ids.new()
    denied, unauthenticated = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
    nowhere = "no access to organization {}, or it does not exist"
    before = len(guarded.seen.requests)
    for token, named, code, detail in (
        ("", here, unauthenticated, "a bearer credential is required"),
        ("garbage", here, unauthenticated, "the credential is not valid"),
        (edge.member.token, here, denied, "permission missing: audit-log:read"),
        (edge.stranger.token, here, denied, nowhere.format(here)),
        (edge.stranger.token, unknown, denied, nowhere.format(unknown)),
        (edge.owner.token, "", grpc.StatusCode.INVALID_ARGUMENT, "invalid request: x-organization-id"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            guarded.report(token, ("x-organization-id", named))
        assert (error.value.code(), error.value.details()) == (code, detail)
        if code is unauthenticated:
            assert "'www-authenticate'" in str(error.value.trailing_metadata())
    assert len(guarded.seen.requests) == before


def test_a_grpc_refusal_has_its_reason_in_its_details(edge: Scene, guarded: Protected) -> None:
    with pytest.raises(grpc.RpcError) as error:
        guarded.report(edge.member.token, ("x-organization-id", edge.organization.id))
    wanted = (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "audit-log:read"})
    assert read_refusal(error.value).seen == wanted


def test_the_public_gateway_does_not_take_envoys_questions(edge: Scene) -> None:
    with grpc.insecure_channel(edge.gateway.address) as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/envoy.service.auth.v3.Authorization/Check", bytes, bytes)(b"", timeout=20)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_readable_refusal_is_json_that_says_what_the_api_would(edge: Scene, guarded: Protected) -> None:
    answer = call(guarded, edge.member.token, "POST", sandboxes(edge.organization))
    assert json.loads(answer.raw) == {
        "title": "Forbidden",
        "status": 403,
        "detail": "permission missing: sandbox:write",
        "reason": "PERMISSION_MISSING",
        "metadata": {"permissions": "sandbox:write"},
    }
    assert answer.headers["cache-control"] == "no-store"
