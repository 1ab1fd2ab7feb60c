"""Renders gateway/envoy.yaml from the descriptor set: `python gateway/render.py`; with --check it only compares.

Paths, verbs, success statuses and unwrapped fields stand in the protos and nowhere else: google.api.http and
(tenantry.policy.v1.rest). What belongs to no single method stands here: the dialects' error bodies, limits, filters.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet, MethodDescriptorProto

from tenantry.policy.v1 import policy_pb2

Json = dict[str, Any]

HERE = Path(__file__).resolve().parent
CORE, CLUSTER, HEALTH = "tenantry.v1", "tenantry", "/healthz"
MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES = 256 * 1024, 32 * 1024 * 1024


class Dialect(NamedTuple):
    """A family of REST paths: its prefix, its error body, and its answer to JSON of the wrong form if that differs."""

    prefix: str
    error: dict[str, str]
    malformed: tuple[int, Json] | None = None


class Answer(NamedTuple):
    """What is said about a status that no method chose."""

    reason: str
    code: str
    message: str


# Envoy's words for what only it knows.
PATH, TIME = "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"
STATUS, DETAIL = "%RESPONSE_CODE%", "%LOCAL_REPLY_BODY%"

# By package, tenantry.rest.<name>.*. The first whose prefix fits a path speaks for it, the last for all the rest.
DIALECTS = {
    "dotenv": Dialect(
        "/api/v1/",
        {"error": "{code}", "message": "{message}"},
        malformed=(422, {"message": DETAIL, "errors": {}, "error": "validation_failed"}),
    ),
    "daytona": Dialect(
        "/api/",
        {"path": PATH, "timestamp": TIME, "statusCode": STATUS, "error": "{reason}", "message": "{message}"},
    ),
}

# Only a 400 has Envoy's own text, which names the field of the client's own body; the others reveal nothing.
ANSWERS = {
    400: Answer("Bad Request", "bad_request", DETAIL),
    404: Answer("Not Found", "not_found", "There is nothing at this path."),
    405: Answer("Method Not Allowed", "method_not_allowed", "This path does not have this method."),
    408: Answer("Request Timeout", "request_timeout", "The request took too long to arrive."),
    413: Answer("Payload Too Large", "payload_too_large", f"A request has at most {MAX_REQUEST_BYTES} bytes."),
    415: Answer("Unsupported Media Type", "unsupported_media_type", "The body must be application/json."),
    429: Answer("Too Many Requests", "rate_limited", "There are too many requests; try again later."),
    431: Answer("Request Header Fields Too Large", "headers_too_large", "The request's headers are too large."),
    500: Answer("Internal Server Error", "internal_error", "Something went wrong."),
    501: Answer("Not Implemented", "not_implemented", "This is not available."),
    503: Answer("Service Unavailable", "service_unavailable", "The service is unavailable; try again later."),
    504: Answer("Gateway Timeout", "timeout", "The service took too long to answer."),
}

# -- the contract, from the descriptors --------------------------------------------------------------------------------


class Refused(ValueError):
    """The descriptors ask for something that Envoy would serve wrongly, mostly without noticing."""


def require(holds: bool, complaint: str) -> None:
    """Refuses to render unless it holds."""
    if not holds:
        raise Refused(complaint)


class Binding(NamedTuple):
    """One verb and path of a method."""

    verb: str
    template: str
    body: str

    @property
    def variables(self) -> set[str]:
        """The request fields that the path sets."""
        return set(re.findall(r"{(.*?)}", self.template))

    @property
    def shape(self) -> str:
        """The template without its variables' names. In byte order a literal segment comes before a variable."""
        return re.sub(r"{.*?}", "{}", self.template)


class Rpc(NamedTuple):
    """A method; a dialect's has bindings, and facts for gateway/rest.lua."""

    path: str
    streaming: bool
    request: dict[str, str]
    bindings: tuple[Binding, ...] = ()
    facts: Json = {}


def read(descriptors: FileDescriptorSet) -> list[Rpc]:
    """Every method of the set."""
    fields = dict(pair for file in descriptors.file for pair in fields_of(f".{file.package}", file.message_type))
    rpcs = []
    for file in descriptors.file:
        name = next((name for name in DIALECTS if file.package.startswith(f"tenantry.rest.{name}.")), None)
        for service in file.service:
            scope = f"{file.package}.{service.name}"
            require(file.package == CORE or name is not None, f"{scope}: neither of the core nor of a known dialect")
            for method in service.method:
                rpc = Rpc(f"/{scope}/{method.name}", method.client_streaming or method.server_streaming, fields[method.input_type])
                rpcs.append(with_options(rpc, name, method, fields[method.output_type]) if name else rpc)
    refuse_clashes([(rpc, binding) for rpc in rpcs for binding in rpc.bindings])
    return rpcs


def fields_of(scope: str, types: Iterable[DescriptorProto]) -> Iterator[tuple[str, dict[str, str]]]:
    """The fields of every message, nested ones too, with their JSON names."""
    for message in types:
        yield f"{scope}.{message.name}", {field.name: field.json_name for field in message.field}
        yield from fields_of(f"{scope}.{message.name}", message.nested_type)


def with_options(rpc: Rpc, dialect: str, method: MethodDescriptorProto, response: dict[str, str]) -> Rpc:
    """A dialect's method with what its options say, checked."""
    rest, empty = method.options.Extensions[policy_pb2.rest], method.output_type == ".google.protobuf.Empty"
    bindings = tuple(bindings_of(method.options.Extensions[annotations_pb2.http]))
    require(bool(bindings), f"{rpc.path}: no google.api.http rule")
    require(method.options.HasExtension(policy_pb2.rest), f"{rpc.path}: no (tenantry.policy.v1.rest) option")
    require(not rpc.streaming, f"{rpc.path}: a stream has no REST form")
    require(not rest.unwrap or [*response] == [rest.unwrap], f"{rpc.path}: {rest.unwrap} is not the response's one field")
    require(empty or rest.status != 204, f"{rpc.path}: 204 has no body, so the response must be google.protobuf.Empty")
    for binding in bindings:
        unknown = binding.variables - rpc.request.keys()
        require(speaker(binding.template) == dialect, f"{rpc.path}: {binding.template} is not among the dialect's paths")
        require(not unknown, f"{rpc.path}: {binding.template} has variables that are no request fields: {sorted(unknown)}")
    facts = {"dialect": dialect, "status": str(rest.status or 200), "empty": empty, "unwrap": response.get(rest.unwrap)}
    return rpc._replace(bindings=bindings, facts={name: fact for name, fact in facts.items() if fact})


def bindings_of(rule: http_pb2.HttpRule) -> Iterator[Binding]:
    """The verbs and paths of a google.api.http rule."""
    for one in (rule, *rule.additional_bindings):
        if one.HasField("custom"):
            yield Binding(one.custom.kind, one.custom.path, one.body)
        elif verb := one.WhichOneof("pattern"):
            yield Binding(verb.upper(), getattr(one, verb), one.body)


def speaker(path: str) -> str | None:
    """The dialect that answers for a path."""
    return next((name for name, dialect in DIALECTS.items() if path.startswith(dialect.prefix)), None)


def refuse_clashes(bound: list[tuple[Rpc, Binding]]) -> None:
    """Refuses what only shows between methods: two on one path, and a query parameter that another's variable hides."""
    owners: dict[tuple[str, str], str] = {}
    hidden = set().union(*(binding.variables for _, binding in bound))
    for rpc, binding in bound:
        owner = owners.setdefault((binding.verb, binding.shape), rpc.path)
        require(owner is rpc.path, f"{binding.verb} {binding.template}: both {owner} and {rpc.path}")
        queried = set() if binding.body == "*" else rpc.request.keys() - binding.variables - {binding.body}
        require(not queried & hidden, f"{rpc.path}: {sorted(queried & hidden)} are path variables elsewhere, so no query")


# -- routes ------------------------------------------------------------------------------------------------------------


def typed(message: str, **config: object) -> Json:
    """The configuration of an extension."""
    return {"@type": f"type.googleapis.com/envoy.{message}", **config}


def http(name: str, message: str = "", **config: object) -> Json:
    """An HTTP filter's configuration."""
    return typed(f"extensions.filters.http.{name}.v3.{message}", **config)


def header(name: str, **match: object) -> Json:
    """A matcher of a request header."""
    return {"name": name, **match}


GRPC = header("content-type", string_match={"prefix": "application/grpc"})  # native, gRPC-Web, and transcoded requests
JSON = r"(?i)application/(json|[a-z0-9.+-]*\+json)\s*(;.*)?"
UNBOUNDED = {"cluster": CLUSTER, "timeout": "0s", "idle_timeout": "0s"}
BOUNDED = {"cluster": CLUSTER, "timeout": "15s"}


def routes(rpcs: list[Rpc]) -> list[Json]:
    """A request is routed twice: by its REST path, and once transcoded, by its method's."""
    asks = [header(name, present_match=True) for name in ("origin", "access-control-request-method")]
    preflight = {"prefix": "/", "headers": [header(":method", string_match={"exact": "OPTIONS"}), *asks]}
    by_shape = sorted((binding for rpc in rpcs for binding in rpc.bindings), key=lambda binding: binding.shape)
    return [
        {"match": preflight, "route": BOUNDED},  # the CORS filter answers; it does nothing on a direct response
        *(rpc_route(rpc) for rpc in rpcs),
        *({"match": {"prefix": f"/grpc.{name}.", "headers": [GRPC]}, "route": UNBOUNDED} for name in ("health", "reflection")),
        direct(404, {"prefix": "/", "headers": [GRPC]}),
        *(route for shape, group in groupby(by_shape, lambda binding: binding.shape) for route in rest_routes(shape, [*group])),
        direct(404, {"prefix": "/"}),
    ]


def rpc_route(rpc: Rpc) -> Json:
    """The route of a method, called natively or transcoded."""
    route: Json = {
        "match": {"path": rpc.path, "headers": [GRPC]},
        "route": UNBOUNDED if rpc.streaming else BOUNDED,
    }
    if rpc.facts:
        lua = http("lua", "LuaPerRoute", filter_context=rpc.facts)
        route["typed_per_filter_config"] = {"envoy.filters.http.lua": lua}
    return route


def rest_routes(shape: str, bindings: list[Binding]) -> list[Json]:
    """The routes of a REST path: the wrong media type, the path's own verbs, the wrong verb."""
    path = {"safe_regex": {"regex": re.escape(shape).replace(r"\{\}", "[^/]+") + "/?"}}
    verbs = sorted({binding.verb for binding in bindings})
    with_body = sorted({binding.verb for binding in bindings if binding.body})
    not_json = header("content-type", string_match={"safe_regex": {"regex": JSON}}, invert_match=True)
    media = [header("content-type", present_match=True), not_json]
    return [
        *([direct(415, {**path, "headers": [one_of(with_body), *media]})] if with_body else []),
        {"match": {**path, "headers": [one_of(verbs)]}, "route": BOUNDED},
        direct(405, path, allow=", ".join(verbs)),
    ]


def one_of(verbs: list[str]) -> Json:
    """A matcher of the request's verb."""
    return header(":method", string_match={"safe_regex": {"regex": "|".join(verbs)}})


def direct(status: int, match: Json, **headers: str) -> Json:
    """A route that Envoy answers itself; the transcoder must not reach for it, and the CORS filter does not."""
    added = {"access-control-allow-origin": "*", **headers}
    return {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": ANSWERS[status].message}},
        "response_headers_to_add": [{"header": {"key": key, "value": value}} for key, value in added.items()],
        "typed_per_filter_config": {
            "envoy.filters.http.grpc_json_transcoder": typed("config.route.v3.FilterConfig", disabled=True)
        },
    }


# -- Envoy's own answers -----------------------------------------------------------------------------------------------


def error_body(dialect: Dialect, status: int) -> Json:
    """A dialect's body for a status, its values still Envoy's words."""
    return {key: value.format(**ANSWERS[status]._asdict()) for key, value in dialect.error.items()}


def local_replies() -> Json:
    """The bodies of what Envoy answers itself. The first mapper that fits is used."""
    transcoded = {"header_filter": {"header": header("x-envoy-original-path", present_match=True)}}
    native = [
        {"header_filter": {"header": GRPC}},
        {"header_filter": {"header": header("x-envoy-original-path", present_match=True, invert_match=True)}},
    ]
    health = {"header_filter": {"header": header(":path", string_match={"exact": HEALTH})}}
    mappers = [
        mapper([*native, status_is("GE", 500)], ANSWERS[503].message),
        mapper(native, DETAIL),
        mapper([health, status_is("EQ", 200)], {"status": "ok"}),
        mapper([health], {"status": "unavailable"}),
    ]
    for dialect in DIALECTS.values():
        mine = [] if dialect is [*DIALECTS.values()][-1] else [under(dialect.prefix)]
        if dialect.malformed:
            mappers.append(mapper([*mine, transcoded, status_is("EQ", 400)], dialect.malformed[1], dialect.malformed[0]))
        mappers += [mapper([*mine, status_is("EQ", status)], error_body(dialect, status)) for status in ANSWERS]
        mappers.append(mapper([*mine, status_is("GE", 400)], error_body(dialect, 500), 500))
    return {"mappers": mappers}


def mapper(filters: list[Json], body: Json | str, status: int | None = None) -> Json:
    """What to answer when all filters fit."""
    return {
        "filter": filters[0] if len(filters) == 1 else {"and_filter": {"filters": filters}},
        **({"status_code": status} if status else {}),
        "body_format_override": {"text_format_source": {"inline_string": body}} if isinstance(body, str) else {"json_format": body},
    }


def status_is(operator: str, status: int) -> Json:
    """A filter of Envoy's own answers by status."""
    value = {"default_value": status, "runtime_key": f"gateway.status.{operator}.{status}"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def under(prefix: str) -> Json:
    """A filter of Envoy's own answers by path, before or after the transcoder replaced it."""
    names = (":path", "x-envoy-original-path")
    return {"or_filter": {"filters": [{"header_filter": {"header": header(n, string_match={"prefix": prefix})}} for n in names]}}


def lua_answers() -> Json:
    """The same bodies for gateway/rest.lua, as JSON text with $path and $timestamp left to fill."""
    def as_text(dialect: Dialect, status: int) -> str:
        words = {PATH: "$path", TIME: "$timestamp", f'"{STATUS}"': str(status), DETAIL: "The request is invalid."}
        body = json.dumps(error_body(dialect, status), separators=(",", ":"))
        for word, meaning in words.items():
            body = body.replace(word, meaning)
        return body
    return {name: {str(status): as_text(dialect, status) for status in ANSWERS} for name, dialect in DIALECTS.items()}


# -- the rest of Envoy -------------------------------------------------------------------------------------------------


def filters(rpcs: list[Rpc]) -> list[Json]:
    """The HTTP filters, in the order of requests; answers pass them from last to first."""
    variables = {(name, rpc.request[name]) for rpc in rpcs for binding in rpc.bindings for name in binding.variables}
    chain = [
        http("health_check", "HealthCheck", pass_through_mode=False, headers=[header(":path", string_match={"exact": HEALTH})], cluster_min_healthy_percentages={CLUSTER: {"value": 1}}),
        http("cors", "Cors"),
        # before lua, or lua would get compressed bodies
        http("compressor", "Compressor", response_direction_config={"uncompressible_response_codes": [204], "common_config": {"min_content_length": 1024, "content_type_matcher": [{"exact": "application/json"}]}},
             compressor_library={"name": "gzip", "typed_config": typed("extensions.compression.gzip.compressor.v3.Gzip", compression_level="COMPRESSION_LEVEL_1")}),
        # before the transcoder, so that it sees the transcoder's answers
        http("lua", "Lua", default_source_code={"filename": "rest.lua"}),
        http("header_mutation", "HeaderMutation", mutations={"request_mutations": [{"remove_on_match": {"key_matcher": m}} for m in ({"suffix": "-bin"}, {"prefix": "x-http-"}, {"prefix": "x-envoy-"})]}),
        http("grpc_web", "GrpcWeb"),
        http("body_size_limit", "BodySizeLimit", max_request_bytes=MAX_REQUEST_BYTES),
        http("grpc_json_transcoder", "GrpcJsonTranscoder",
             proto_descriptor="tenantry.binpb",
             services=sorted({rpc.path.split("/")[1] for rpc in rpcs if rpc.bindings}),
             convert_grpc_status=True,
             print_options={"always_print_primitive_fields": True},
             ignore_unknown_query_parameters=True,
             ignored_query_parameters=sorted({n for pair in variables for n in pair} | {camel(n) for n, _ in variables}),
             request_validation_options={"reject_unknown_method": True, "reject_binding_body_field_collisions": True},
             max_response_body_size=MAX_RESPONSE_BYTES),
        http("router", "Router", suppress_envoy_headers=True),
    ]
    return [{"name": f"envoy.filters.http.{c['@type'].split('.')[-3]}", "typed_config": c} for c in chain]


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda m: m[1].upper(), name)


def cors(rpcs: list[Rpc]) -> Json:
    verbs = {binding.verb for rpc in rpcs for binding in rpc.bindings} | {"POST"}
    return http("cors", "CorsPolicy",
        allow_origin_string_match=[{"exact": "*"}],
        allow_methods=", ".join(sorted(verbs)),
        allow_headers="*",
        expose_headers="grpc-status, grpc-message, grpc-status-details-bin, x-request-id, retry-after, www-authenticate, allow, etag",
        max_age="3600")


LOG = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "method": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "rpc": "%PATH(NQ:PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "ms": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "peer": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
}


def connection_manager(rpcs: list[Rpc]) -> Json:
    log = typed("extensions.access_loggers.stream.v3.StdoutAccessLog", log_format={"json_format": LOG})
    host = {
        "name": "all", "domains": ["*"],
        "metadata": {"filter_metadata": {"envoy.filters.http.lua": lua_answers()}},
        "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 2},
        "typed_per_filter_config": {"envoy.filters.http.cors": cors(rpcs)},
        "routes": routes(rpcs),
    }
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="http", codec_type="AUTO",
        use_remote_address=True, normalize_path=True, merge_slashes=True, path_with_escaped_slashes_action="KEEP_UNCHANGED",
        generate_request_id=True, preserve_external_request_id=True, always_set_request_id_in_response=True,
        server_header_transformation="PASS_THROUGH",
        common_http_protocol_options={"idle_timeout": "900s", "headers_with_underscores_action": "REJECT_REQUEST"},
        http2_protocol_options={"max_concurrent_streams": 100, "initial_stream_window_size": 65536, "initial_connection_window_size": 1048576},
        stream_idle_timeout="60s", request_timeout="30s", request_headers_timeout="10s",
        access_log=[{"name": "access", "filter": {"not_health_check_filter": {}}, "typed_config": log}],
        local_reply_config=local_replies(),
        http_filters=filters(rpcs),
        route_config={"name": "all", "virtual_hosts": [host]},
    )


def address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def bootstrap(rpcs: list[Rpc]) -> Json:
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": connection_manager(rpcs)}
    listener = {"name": "http", "address": address("127.0.0.1", 8080), "enable_reuse_port": False, "per_connection_buffer_limit_bytes": MAX_REQUEST_BYTES, "filter_chains": [{"filters": [manager]}]}
    h2 = typed("extensions.upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}})
    cluster = {
        "name": CLUSTER, "type": "STRICT_DNS", "dns_lookup_family": "ALL", "connect_timeout": "1s", "per_connection_buffer_limit_bytes": MAX_REQUEST_BYTES,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": h2},
        "health_checks": [{"timeout": "1s", "interval": "1s", "no_traffic_interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1, "grpc_health_check": {}}],
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address("127.0.0.1", 50051)}}]}]},
    }
    bound = typed("extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig", max_active_downstream_connections=10000)
    return {
        "admin": {"address": {"pipe": {"path": "admin.sock", "mode": 0o600}}},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
        "overload_manager": {"resource_monitors": [{"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": bound}]},
    }


class Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def render(descriptors: FileDescriptorSet) -> str:
    return "# Generated by gateway/render.py from gateway/tenantry.binpb; do not edit.\n" + yaml.dump(bootstrap(read(descriptors)), Dumper=Dumper, sort_keys=False, width=120, default_flow_style=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    config = HERE / "envoy.yaml"
    try:
        text = render(FileDescriptorSet.FromString((HERE / "tenantry.binpb").read_bytes()))
    except Refused as refusal:
        sys.exit(f"refused: {refusal}")
    if parser.parse_args().check:
        if not config.exists() or config.read_text() != text: sys.exit("differs")
    else:
        config.write_text(text)


if __name__ == "__main__":
    main()
