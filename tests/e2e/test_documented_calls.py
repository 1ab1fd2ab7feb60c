"""The published calls: clients/http has each of them, and each works as it stands there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from e2e.bindings import Binding, bindings
from e2e.shapes import ULID, UUID, Some, exactly, matching, secret
from support.http import Answer, Http
from support.http_files import Call, Run, read
from support.metered import Metered
from support.world import World, fresh

from tenantry_server.domain.ids import to_uuid

# Every curl line of both documents: verb, path, and the body when there is one.
ORGANIZATION = "/api/organizations/{}"
RIGHTS = '"permissions": ["write:sandboxes", "delete:sandboxes"]'
ROLE = f'{{ "name": "Maintainer", "description": "Can manage all resources", {RIGHTS}}}'
ROLES = '"assignedRoleIds": ["00000000-0000-0000-0000-000000000001"]'
DOCUMENTED = {
    "daytona": [
        ("POST", "/api/organizations", '{ "name": "My Organization", "defaultRegionId": "us"}'),
        ("GET", "/api/organizations", ""),
        ("GET", ORGANIZATION, ""),
        ("POST", f"{ORGANIZATION}/leave", ""),
        ("DELETE", ORGANIZATION, ""),
        ("POST", f"{ORGANIZATION}/roles", ROLE),
        ("GET", f"{ORGANIZATION}/roles", ""),
        ("PUT", f"{ORGANIZATION}/roles/{{}}", ROLE),
        ("DELETE", f"{ORGANIZATION}/roles/{{}}", ""),
        ("GET", f"{ORGANIZATION}/users", ""),
        ("POST", f"{ORGANIZATION}/invitations", f'{{ "email": "mail@example.com", "role": "member", {ROLES}}}'),
        ("DELETE", f"{ORGANIZATION}/users/{{}}", ""),
        ("POST", f"{ORGANIZATION}/users/{{}}/access", f'{{ "role": "member", {ROLES}}}'),
        ("GET", "/api/organizations/invitations", ""),
        ("GET", "/api/organizations/invitations/count", ""),
        ("POST", "/api/organizations/invitations/{}/accept", ""),
        ("POST", "/api/organizations/invitations/{}/decline", ""),
        ("GET", f"{ORGANIZATION}/invitations", ""),
        (
            "PUT",
            f"{ORGANIZATION}/invitations/{{}}",
            f'{{ "role": "member", {ROLES}, "expiresAt": "2030-01-01T00:00:00.000Z"}}',
        ),
        ("POST", f"{ORGANIZATION}/invitations/{{}}/cancel", ""),
        ("GET", f"{ORGANIZATION}/usage", ""),
        ("PATCH", f"{ORGANIZATION}/default-region", '{ "defaultRegionId": "us"}'),
        (
            "POST",
            f"{ORGANIZATION}/sandbox-default-limited-network-egress",
            '{ "sandboxDefaultLimitedNetworkEgress": true}',
        ),
        (
            "PUT",
            f"{ORGANIZATION}/experimental-config",
            '{ "otel": { "endpoint": "http://otel-collector:4317", "headers": { "api-key": "XXX" } }}',
        ),
    ],
    "dotenv": [
        ("GET", "/api/v1/organizations", ""),
        ("POST", "/api/v1/organizations", '{ "name": "Acme Corporation" }'),
        ("GET", "/api/v1/organizations/{}", ""),
        ("GET", "/api/v1/organization", ""),
        ("PATCH", "/api/v1/organizations/{}", '{ "name": "Acme Corp (renamed)" }'),
        ("PUT", "/api/v1/organizations/{}", '{ "name": "Acme Corp (renamed)" }'),
        ("DELETE", "/api/v1/organizations/{}", ""),
        # The address is hidden in the document: "[email protected]".
        ("POST", "/api/v1/organizations/{}/members", '{ "email": "member@example.com", "role": "member" }'),
    ],
}
# What stands elsewhere: in Daytona's published clients, and in dotenv.cloud's reference of API keys, which has no PATCH.
REGION, ADMIN = "/api/regions/{}", f"/api/admin{ORGANIZATION[4:]}/quota/{{}}"
KEYS, KEYS_V1 = "/api/api-keys", "/api/v1/organizations/{}/api-keys"
PUBLISHED = {
    "daytona": [
        ("POST", KEYS),
        ("GET", KEYS),
        ("GET", f"{KEYS}/current"),
        ("GET", f"{KEYS}/{{}}"),
        ("DELETE", f"{KEYS}/{{}}"),
        ("DELETE", f"{KEYS}/{{}}/{{}}"),
        ("GET", "/api/users/me"),
        *((verb, f"{ORGANIZATION}/otel-config") for verb in ("PUT", "GET", "DELETE")),
        ("POST", f"{ORGANIZATION}/suspend"),
        ("POST", f"{ORGANIZATION}/unsuspend"),
        ("GET", "/api/shared-regions"),
        *((verb, "/api/regions") for verb in ("GET", "POST")),
        *((verb, REGION) for verb in ("GET", "PATCH", "DELETE")),
        ("POST", f"{REGION}/regenerate-proxy-api-key"),
        ("POST", f"{REGION}/regenerate-ssh-gateway-api-key"),
        ("POST", f"{REGION}/regenerate-snapshot-manager-credentials"),
        ("PATCH", f"{ORGANIZATION}/quota"),
        ("PATCH", f"{ORGANIZATION}/quota/{{}}"),
        *((verb, ADMIN) for verb in ("POST", "PATCH")),
        *((verb, f"{ADMIN}/{{}}") for verb in ("GET", "DELETE")),
        ("GET", "/api/sandbox/{}/organization"),
        ("GET", "/api/sandbox/{}/region-quota"),
        ("GET", "/api/organizations/by-sandbox-id/{}"),
        ("GET", "/api/organizations/otel-config/by-sandbox-auth-token/{}"),
        ("GET", "/api/organizations/region-quota/by-sandbox-id/{}"),
    ],
    "dotenv": [
        ("GET", KEYS_V1),
        ("POST", KEYS_V1),
        *((verb, f"{KEYS_V1}/{{}}") for verb in ("GET", "PUT", "PATCH", "DELETE")),
        ("POST", f"{KEYS_V1}/{{}}/rotate"),
        ("GET", "/api/v1/user"),
    ],
}
# What an object is known by: the first of these that it has. A new key has only its secret, telemetry where it goes, and usage
# only its rows.
KNOWN_BY = ("id", "userId", "value", "organizationId", "apiKey", "password", "regionUsage", "endpoint")
ROWS, SHARED = Some("rows", lambda value: isinstance(value, list)), matching("[a-z][a-z0-9._-]*")
ENDPOINT = "https://otel.example.com"
FILES = {dialect: read(f"{dialect}.http") for dialect in DOCUMENTED}
CALLS = [pytest.param(dialect, call, id=f"{dialect}-{call.title}") for dialect, file in FILES.items() for call in file.calls]

Played = dict[tuple[str, str], dict[int, Answer | str]]


@pytest.fixture(scope="session")
def _played() -> Played:
    """The answers to all requests of a file, by line, for every engine: the file runs once, each request is a test."""
    return {}


@pytest.fixture
def answers(dialect: str, engine: str, world: World, http: Http, _played: Played) -> dict[int, Answer | str]:
    """The answers to the requests of the dialect's file."""
    if (dialect, engine) not in _played:
        _played[dialect, engine] = dict(_play(dialect, world, http))
    return _played[dialect, engine]


def _play(dialect: str, world: World, http: Http) -> Iterator[tuple[int, Answer | str]]:
    owner, member = world.person("owner"), world.person("member")
    people = {
        "owner": owner.token,
        "member": member.token,
        "member_email": member.email,
        "member_id": to_uuid(member.id),
        "operator": world.platform_token(),
        **_sandbox(world),
    }
    run = Run({**FILES[dialect].variables, "host": f"http://{http.address}", **people})
    for call in FILES[dialect].calls:
        try:
            yield call.line, run.play(http, call)
        except KeyError as unknown:
            yield call.line, f"not sent: {unknown} had no answer"


def _sandbox(world: World) -> dict[str, str]:
    """A sandbox, and its token, of an organization that exports telemetry."""
    acme, token = Metered(world, cpu=1), fresh("sandbox-token-")
    lease, telemetry = acme.reserve(cpu=1), {"endpoint": "https://otel.example.com", "headers": {"api-key": "XXX"}}
    acme.service("QuotaService.Commit", lease_id=lease.id, resource_token=token, **acme.here)
    acme.owner.rpc("OrganizationService.SetOtelConfig", otel_config=telemetry, **acme.here)
    return {"sandbox": lease.resource_id, "sandbox_token": token}


def binding_of(dialect: str, call: Call) -> Binding:
    """What a request calls."""
    return next(each for each in bindings(dialect) if (each.verb, each.shape) == (call.verb, call.shape))


@pytest.mark.parametrize(("dialect", "call"), CALLS)
def test_a_request_of_the_http_files_is_answered_as_it_says(dialect: str, call: Call, answers: dict[int, Answer | str]) -> None:
    answer = answers[call.line]
    assert isinstance(answer, Answer), answer
    assert answer.status == call.status, answer.raw
    if binding_of(dialect, call).has_answer:
        assert answer.headers["content-type"] == "application/json"
        first = answer.body if dialect == "daytona" else answer.body.get("data") or answer.body["api_key"]
        first = first[0] if isinstance(first, list) else first
        known_by = [{"daytona": UUID, "dotenv": ULID}[dialect], secret("usr"), secret("rgn"), ROWS, SHARED, ENDPOINT]
        assert first == exactly(1) or next(first[name] for name in KNOWN_BY if name in first) in known_by
    else:
        assert (answer.raw, answer.headers["content-type"]) == (b"", None)


@pytest.mark.parametrize("dialect", FILES)
def test_the_http_files_call_every_path_and_expect_its_declared_status(dialect: str) -> None:
    called = {(call.verb, call.shape, call.status) for call in FILES[dialect].calls}
    assert called == {(each.verb, each.shape, each.status) for each in bindings(dialect)}


@pytest.mark.parametrize("dialect", FILES)
def test_every_documented_path_is_served_and_no_other(dialect: str) -> None:
    documented = Counter((verb, path) for verb, path, _ in DOCUMENTED[dialect])
    assert documented + Counter(PUBLISHED[dialect]) == Counter((each.verb, each.shape) for each in bindings(dialect))


@pytest.mark.parametrize("dialect", FILES)
def test_the_http_files_send_every_documented_body_as_it_stands(dialect: str) -> None:
    run = Run({**FILES[dialect].variables, "member_email": "member@example.com"})
    sent = [(call.verb, call.shape, _read(run.filled(call.body))) for call in FILES[dialect].calls]
    missing = [path for verb, path, body in DOCUMENTED[dialect] if (verb, path, _read(body)) not in sent]
    assert missing == []


def _read(body: str) -> object:
    return json.loads(body) if body else None
