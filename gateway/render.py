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
from string import Template
from typing import Any, NamedTuple

import yaml
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet, MethodDescriptorProto

from tenantry.policy.v1 import policy_pb2

Json = dict[str, Any]

FOLDER = Path(__file__).resolve().parent
MAX_REQUEST_BYTES = 256 * 1024


class Answer(NamedTuple):
    """What is said about a status that no method chose."""

    reason: str
    code: str
    message: str


class Dialect(NamedTuple):
    """A family of REST paths: its prefix, its error body, and its answer to malformed JSON where that is another."""

    prefix: str
    error: Json
    malformed: tuple[int, Json] | None = None


# By package: tenantry.rest.<name>. The first whose prefix fits a path speaks for it, and the last for all other paths.
DIALECTS = {
    "dotenv": Dialect(
        "/api/v1/",
        {"error": "{code}", "message": "{message}"},
        (422, {"error": "validation_failed", "message": "{message}", "errors": {}}),
    ),
    "daytona": Dialect(
        "/api/",
        {"path": "{path}", "timestamp": "{timestamp}", "statusCode": "{status}", "error": "{reason}", "message": "{message}"},
    ),
}

# Fixed texts: they reveal nothing of what is behind.
ANSWERS = {
    400: Answer("Bad Request", "bad_request", "The request is malformed."),
    401: Answer("Unauthorized", "unauthenticated", "A valid credential is required."),
    403: Answer("Forbidden", "forbidden", "This is not allowed."),
    404: Answer("Not Found", "not_found", "There is nothing at this path."),
    405: Answer("Method Not Allowed", "method_not_allowed", "This path does not have this method."),
    408: Answer("Request Timeout", "request_timeout", "The request took too long to arrive."),
    409: Answer("Conflict", "conflict", "The request conflicts with another one."),
    413: Answer("Payload Too Large", "payload_too_large", f"A request has at most {MAX_REQUEST_BYTES} bytes."),
    415: Answer("Unsupported Media Type", "unsupported_media_type", "The body must be application/json."),
    426: Answer("Upgrade Required", "upgrade_required", "This needs HTTP/1.1 or HTTP/2."),
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
        """The template without names. In byte order, as routes must be, a literal segment precedes a variable."""
        return re.sub(r"{.*?}", "{}", self.template)


class Rpc(NamedTuple):
    """A method. A dialect's has bindings, and facts for gateway/rest.lua."""

    path: str
    streaming: bool
    request: dict[str, str]
    bindings: tuple[Binding, ...] = ()
    facts: Json | None = None


def read(descriptors: FileDescriptorSet) -> list[Rpc]:
    """Every method of the set, checked."""
    fields = dict(pair for file in descriptors.file for pair in fields_of(f".{file.package}", file.message_type))
    rpcs = []
    for file in descriptors.file:
        dialect = next((name for name in DIALECTS if file.package.startswith(f"tenantry.rest.{name}.")), None)
        for service in file.service:
            full = f"{file.package}.{service.name}"
            require(dialect is not None or file.package == "tenantry.v1", f"{full} is of no dialect, and not of the core")
            for method in service.method:
                streaming = method.client_streaming or method.server_streaming
                rpc = Rpc(f"/{full}/{method.name}", streaming, fields[method.input_type])
                rpcs.append(with_options(rpc, dialect, method, fields[method.output_type]) if dialect else rpc)
    refuse_clashes(rpcs)
    return rpcs


def fields_of(scope: str, types: Iterable[DescriptorProto]) -> Iterator[tuple[str, dict[str, str]]]:
    """Every message's fields, with their JSON names."""
    for message in types:
        yield f"{scope}.{message.name}", {field.name: field.json_name for field in message.field}
        yield from fields_of(f"{scope}.{message.name}", message.nested_type)


def with_options(rpc: Rpc, dialect: str, method: MethodDescriptorProto, response: dict[str, str]) -> Rpc:
    """A dialect's method, with what its options say."""
    rest, empty = method.options.Extensions[policy_pb2.rest], method.output_type == ".google.protobuf.Empty"
    bindings = tuple(bindings_of(method.options.Extensions[annotations_pb2.http]))
    require(bool(bindings), f"{rpc.path} has no google.api.http rule")
    require(method.options.HasExtension(policy_pb2.rest), f"{rpc.path} has no (tenantry.policy.v1.rest) option")
    require(not rpc.streaming, f"{rpc.path} is a stream, which has no REST form")
    require(not rest.unwrap or [*response] == [rest.unwrap], f"{rpc.path} unwraps {rest.unwrap}, not its response's only field")
    require(rest.status == 0 or 200 <= rest.status < 300, f"{rpc.path} has status {rest.status}, which is no success")
    require(empty or rest.status != 204, f"{rpc.path} has status 204, but its response is not google.protobuf.Empty")
    for binding in bindings:
        speaker = next((name for name, each in DIALECTS.items() if binding.template.startswith(each.prefix)), None)
        require(speaker == dialect, f"{rpc.path} has the path {binding.template}, which is not one of {dialect}'s")
        unknown = sorted(binding.variables - rpc.request.keys())
        require(not unknown, f"{rpc.path} has path variables that are no fields of its request: {', '.join(unknown)}")
    facts = {"dialect": dialect, "status": str(rest.status or 200), "empty": empty, "unwrap": response.get(rest.unwrap)}
    return rpc._replace(bindings=bindings, facts={name: fact for name, fact in facts.items() if fact})


def bindings_of(rule: http_pb2.HttpRule) -> Iterator[Binding]:
    """The verbs and paths of a google.api.http rule."""
    for each in (rule, *rule.additional_bindings):
        if each.HasField("custom"):
            yield Binding(each.custom.kind, each.custom.path, each.body)
        elif verb := each.WhichOneof("pattern"):
            yield Binding(verb.upper(), getattr(each, verb), each.body)


def refuse_clashes(rpcs: list[Rpc]) -> None:
    """Refuses what only two methods together get wrong."""
    owners: dict[tuple[str, str], str] = {}
    hidden = {name for rpc in rpcs for binding in rpc.bindings for name in binding.variables}
    for rpc in rpcs:
        for binding in rpc.bindings:
            owner = owners.setdefault((binding.verb, binding.shape), rpc.path)
            require(owner == rpc.path, f"{binding.verb} {binding.template} is both {owner} and {rpc.path}")
            # The names of path variables are ignored in every query: a query must not override the path.
            queried = set() if binding.body == "*" else rpc.request.keys() - binding.variables - {binding.body}
            lost = sorted(queried & hidden)
            require(not lost, f"{rpc.path} takes from the query what elsewhere is a path variable: {', '.join(lost)}")


# -- routes ------------------------------------------------------------------------------------------------------------

HEALTH = {"name": ":path", "string_match": {"exact": "/healthz"}}
GRPC = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}  # native, gRPC-Web, and transcoded
NOT_JSON = [
    {"name": "content-type", "present_match": True},
    {
        "name": "content-type",
        "string_match": {"safe_regex": {"regex": r"(?i)application/(json|[a-z0-9.+-]*\+json)\s*(;.*)?"}},
        "invert_match": True,
    },
]
LIMITED = {"cluster": "tenantry", "timeout": "15s"}
UNLIMITED = {"cluster": "tenantry", "timeout": "0s", "idle_timeout": "0s"}


def routes(rpcs: list[Rpc]) -> list[Json]:
    """The routes, first match first. A REST request is routed by its path, and again by its method once transcoded."""
    preflight = [one_of(["OPTIONS"]), present("origin"), present("access-control-request-method")]
    bindings = sorted((binding for rpc in rpcs for binding in rpc.bindings), key=lambda binding: binding.shape)
    return [
        # The CORS filter answers it, but only where there is a route to a cluster.
        {"match": {"prefix": "/", "headers": preflight}, "route": LIMITED},
        *(method_route(rpc) for rpc in rpcs),
        *({"match": {"prefix": f"/grpc.{name}.", "headers": [GRPC]}, "route": UNLIMITED} for name in ("health", "reflection")),
        direct(404, {"prefix": "/", "headers": [GRPC]}),
        *(route for shape, group in groupby(bindings, lambda binding: binding.shape) for route in path_routes(shape, [*group])),
        direct(404, {"prefix": "/"}),
    ]


def method_route(rpc: Rpc) -> Json:
    """The route of a method, called natively or transcoded."""
    route = {"match": {"path": rpc.path, "headers": [GRPC]}, "route": UNLIMITED if rpc.streaming else LIMITED}
    lua = {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute", "filter_context": rpc.facts}
    return route | ({"typed_per_filter_config": {"envoy.filters.http.lua": lua}} if rpc.facts else {})


def path_routes(shape: str, bindings: list[Binding]) -> list[Json]:
    """The routes of a REST path: a body that is not JSON, the path's verbs, any other verb."""
    path = {"safe_regex": {"regex": re.escape(shape).replace(r"\{\}", "[^/]+") + "/?"}}
    verbs = sorted({binding.verb for binding in bindings})
    with_body = sorted({binding.verb for binding in bindings if binding.body})
    return [
        *([direct(415, {**path, "headers": [one_of(with_body), *NOT_JSON]})] if with_body else []),
        {"match": {**path, "headers": [one_of(verbs)]}, "route": LIMITED},
        direct(405, path, allow=", ".join(verbs)),
    ]


def one_of(verbs: list[str]) -> Json:
    """A matcher of verbs."""
    return {"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(verbs)}}}


def present(name: str) -> Json:
    """A matcher of requests that have a header."""
    return {"name": name, "present_match": True}


def direct(status: int, match: Json, **headers: str) -> Json:
    """A route that Envoy answers itself: the transcoder must not come first, and the CORS filter does nothing on it."""
    headers["access-control-allow-origin"] = "*"
    transcoder = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
    return {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": ANSWERS[status].message}},
        "response_headers_to_add": [{"header": {"key": key, "value": value}} for key, value in headers.items()],
        "typed_per_filter_config": {"envoy.filters.http.grpc_json_transcoder": transcoder},
    }


# -- answers of no method ----------------------------------------------------------------------------------------------

# Envoy's words for what it alone knows.
PATH, TIME = "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"
DETAIL = "%LOCAL_REPLY_BODY%"


def filled(body: Json, status: int, **words: str) -> Json:
    """A dialect's body for a status."""
    words = {"path": PATH, "timestamp": TIME} | ANSWERS[status]._asdict() | words
    texts = {key: value.format(status=status, **words) for key, value in body.items() if isinstance(value, str)}
    return body | texts | {key: status for key, value in body.items() if value == "{status}"}


def answers_for_lua() -> Json:
    """The bodies as JSON text, by dialect and status, for errors of the server that come without one."""
    words = {"path": "$path", "timestamp": "$timestamp"}
    return {
        name: {str(status): json.dumps(filled(dialect.error, status, **words), separators=(",", ":")) for status in ANSWERS}
        for name, dialect in DIALECTS.items()
    }


def mappers() -> list[Json]:
    """The bodies of what Envoy answers itself, first match first."""
    transcoded = on(present("x-envoy-original-path"))
    native, health = [on(GRPC), on(present("x-envoy-original-path") | {"invert_match": True})], on(HEALTH)
    found = [
        mapper([*native, status_is("GE", 500)], text_format_source={"inline_string": ANSWERS[503].message}),
        mapper(native, text_format_source={"inline_string": DETAIL}),
        mapper([health, status_is("EQ", 200)], json_format={"status": "ok"}),
        mapper([health], json_format={"status": "unavailable"}),
    ]
    for dialect in DIALECTS.values():
        mine = [] if dialect is [*DIALECTS.values()][-1] else [under(dialect.prefix)]
        # Only what has been found a method is refused for its body, and only then is Envoy's reason worth telling.
        status, body = dialect.malformed or (400, dialect.error)
        detail = mapper([*mine, transcoded, status_is("EQ", 400)], json_format=filled(body, 400, message=DETAIL))
        found.append(detail | {"status_code": status})
        found += [mapper([*mine, status_is("EQ", each)], json_format=filled(dialect.error, each)) for each in ANSWERS]
        found.append(mapper([*mine, status_is("GE", 400)], json_format=filled(dialect.error, 500)) | {"status_code": 500})
    return found


def mapper(filters: list[Json], **form: object) -> Json:
    """The form of answers that pass all filters."""
    return {"filter": filters[0] if len(filters) == 1 else {"and_filter": {"filters": filters}}, "body_format_override": form}


def on(header: Json) -> Json:
    """A filter of answers by a header of the request."""
    return {"header_filter": {"header": header}}


def under(prefix: str) -> Json:
    """A filter of answers by the path, which the transcoder may have replaced already."""
    names = (":path", "x-envoy-original-path")
    return {"or_filter": {"filters": [on({"name": name, "string_match": {"prefix": prefix}}) for name in names]}}


def status_is(operator: str, status: int) -> Json:
    """A filter of answers by status."""
    value = {"default_value": status, "runtime_key": f"gateway.{operator}.{status}"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


# -- Envoy -------------------------------------------------------------------------------------------------------------

# HTTP filters stand in the order of requests; answers pass them from the last to the first.
BOOTSTRAP = Template("""
admin: {address: {pipe: {path: admin.sock, mode: 0600}}}
static_resources:
  listeners:
  - name: http
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    enable_reuse_port: false  # a second gateway must fail, not take half of the connections
    per_connection_buffer_limit_bytes: $max_request
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          use_remote_address: true  # and so drops what clients send as x-envoy-*
          normalize_path: true
          merge_slashes: true
          path_with_escaped_slashes_action: KEEP_UNCHANGED  # an escaped slash stays within its path variable
          preserve_external_request_id: true
          always_set_request_id_in_response: true
          server_header_transformation: PASS_THROUGH
          max_request_headers_kb: 16
          common_http_protocol_options: {idle_timeout: 900s, headers_with_underscores_action: REJECT_REQUEST}
          http2_protocol_options: {max_concurrent_streams: 100, connection_keepalive: {interval: 30s, timeout: 10s}}
          request_headers_timeout: 10s
          request_timeout: 30s
          stream_idle_timeout: 60s
          access_log:
          - name: access
            filter: {not_health_check_filter: {}}
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                json_format:  # paths without their query, and no header that may hold a secret
                  {time: "$time", method: "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%", path: "%PATH(NQ:ORIG_OR_PATH)%",
                  rpc: "%PATH(NQ:PATH)%", status: "%RESPONSE_CODE%", details: "%RESPONSE_CODE_DETAILS%",
                  flags: "%RESPONSE_FLAGS%", duration_ms: "%DURATION%", bytes_in: "%BYTES_RECEIVED%",
                  bytes_out: "%BYTES_SENT%", peer: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", protocol: "%PROTOCOL%",
                  request_id: "%REQ(X-REQUEST-ID)%", traceparent: "%REQ(TRACEPARENT)%"}
          local_reply_config: {mappers: $mappers}
          http_filters:
          - name: envoy.filters.http.health_check
            typed_config:
              "@type": ${http}.health_check.v3.HealthCheck
              pass_through_mode: false
              headers: [$health]
              cluster_min_healthy_percentages: {tenantry: {value: 1}}
          - name: envoy.filters.http.cors
            typed_config: {"@type": ${http}.cors.v3.Cors}
          - name: envoy.filters.http.compressor  # before lua, which could not read what is compressed
            typed_config:
              "@type": ${http}.compressor.v3.Compressor
              response_direction_config:
                common_config: {min_content_length: 1024, content_type_matcher: [{exact: application/json}]}
                uncompressible_response_codes: [204]
              compressor_library:
                name: gzip
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip
                  compression_level: COMPRESSION_LEVEL_1
          - name: envoy.filters.http.lua  # before the transcoder, whose answers it forms
            typed_config: {"@type": ${http}.lua.v3.Lua, default_source_code: {filename: rest.lua}}
          - name: envoy.filters.http.header_mutation
            typed_config:
              "@type": ${http}.header_mutation.v3.HeaderMutation
              mutations:
                request_mutations:
                - remove_on_match: {key_matcher: {suffix: -bin}}  # one that is not base64 spoils the connection for all
                - remove_on_match: {key_matcher: {prefix: x-http-}}
                - remove_on_match: {key_matcher: {prefix: x-envoy-}}
          - name: envoy.filters.http.grpc_web
            typed_config: {"@type": ${http}.grpc_web.v3.GrpcWeb}
          - name: envoy.filters.http.body_size_limit  # the transcoder's own limit misses chunked bodies
            typed_config: {"@type": ${http}.body_size_limit.v3.BodySizeLimit, max_request_bytes: $max_request}
          - name: envoy.filters.http.grpc_json_transcoder
            typed_config:
              "@type": ${http}.grpc_json_transcoder.v3.GrpcJsonTranscoder
              proto_descriptor: tenantry.binpb
              services: $services
              convert_grpc_status: true
              print_options: {always_print_primitive_fields: true}  # without it [], 0 and false vanish
              ignore_unknown_query_parameters: true
              ignored_query_parameters: $variables  # or a query could override the path
              request_validation_options:
                reject_unknown_method: true  # what is not transcoded must not reach the server as plain HTTP
                reject_binding_body_field_collisions: true  # or a body could override the path
              max_response_body_size: 33554432
          - name: envoy.filters.http.router
            typed_config: {"@type": ${http}.router.v3.Router, suppress_envoy_headers: true}
          route_config:
            name: all
            virtual_hosts:
            - name: all
              domains: ["*"]
              metadata: {filter_metadata: {envoy.filters.http.lua: $answers}}
              retry_policy: {retry_on: "connect-failure,refused-stream", num_retries: 2}  # the server saw nothing of these
              typed_per_filter_config:
                envoy.filters.http.cors:
                  "@type": ${http}.cors.v3.CorsPolicy
                  allow_origin_string_match: [{exact: "*"}]
                  allow_methods: "$verbs"
                  allow_headers: "*"  # Envoy repeats those that are asked for
                  expose_headers: "grpc-status, grpc-message, grpc-status-details-bin, x-request-id, retry-after, etag"
                  max_age: "3600"
              routes: $routes
  clusters:
  - name: tenantry
    type: STRICT_DNS
    dns_lookup_family: ALL
    connect_timeout: 1s
    per_connection_buffer_limit_bytes: $max_request
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    health_checks:
    - {timeout: 1s, interval: 1s, no_traffic_interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, grpc_health_check: {}}
    common_lb_config: {healthy_panic_threshold: {value: 0}}  # rather no answer than one of a server that is going
    load_assignment:
      cluster_name: tenantry
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 50051}}}}]}]
overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 10000
""")


def render(descriptors: FileDescriptorSet) -> str:
    """The configuration for a descriptor set. Raises Refused."""
    rpcs = read(descriptors)
    bound = [(rpc, binding) for rpc in rpcs for binding in rpc.bindings]
    values = {
        "routes": routes(rpcs),
        "mappers": mappers(),
        "answers": answers_for_lua(),
        "services": sorted({rpc.path.split("/")[1] for rpc, _ in bound}),
        "variables": sorted(
            {spelling for rpc, binding in bound for name in binding.variables for spelling in (name, rpc.request[name])}
        ),
        "health": HEALTH,
        "max_request": MAX_REQUEST_BYTES,
    }
    text = BOOTSTRAP.substitute(
        {name: json.dumps(value) for name, value in values.items()},
        http="type.googleapis.com/envoy.extensions.filters.http",
        verbs=", ".join(sorted({binding.verb for _, binding in bound})),
        time=TIME,
    )
    heading = "# Generated by gateway/render.py from gateway/tenantry.binpb; do not edit.\n"
    return heading + yaml.safe_dump(yaml.safe_load(text), sort_keys=False, width=120, default_flow_style=None)


def main() -> None:
    """Writes the configuration, or compares it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 when the file is not up to date")
    check, config = parser.parse_args().check, FOLDER / "envoy.yaml"
    try:
        text = render(FileDescriptorSet.FromString((FOLDER / "tenantry.binpb").read_bytes()))
    except Refused as refusal:
        sys.exit(f"gateway/render.py: {refusal}")
    if not check:
        config.write_text(text, encoding="utf-8")
    elif not config.exists() or config.read_text(encoding="utf-8") != text:
        sys.exit("gateway/envoy.yaml is not what the descriptors say: run python gateway/render.py")


if __name__ == "__main__":
    main()
