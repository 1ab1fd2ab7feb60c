"""Renders gateway/envoy.yaml from the descriptor set: `python gateway/render.py`; with --check it only compares.

Paths, verbs, success statuses and unwrapped fields stand in the protos and nowhere else: google.api.http and
(tenantry.policy.v1.rest), read by `methods.py`. The error bodies of the dialects stand in `replies.py`; limits and filters
stand here.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from string import Template

import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from methods import Binding, Json, Refused, Rpc, read
from replies import (
    ANSWERS,
    DIALECTS,
    DISCOVERY,
    ENDPOINTS,
    GRPC,
    HEALTH,
    MAX_REQUEST_BYTES,
    access_log,
    answers_for_lua,
    mappers,
    present,
)

FOLDER = Path(__file__).resolve().parent

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
    bindings = [binding for rpc in rpcs for binding in rpc.bindings]
    return [
        # The CORS filter answers it, but only where there is a route to a cluster.
        {"match": {"prefix": "/", "headers": preflight}, "route": LIMITED},
        *(method_route(rpc) for rpc in rpcs),
        *({"match": {"prefix": f"/grpc.{name}.", "headers": [GRPC]}, "route": UNLIMITED} for name in ("health", "reflection")),
        direct(404, {"prefix": "/", "headers": [GRPC]}),
        *(route for shape in sorted({binding.shape for binding in bindings}) for route in path_routes(shape, bindings)),
        *(discovery_routes() if endpoints(rpcs) else []),
        direct(404, {"prefix": "/"}),
    ]


def method_route(rpc: Rpc) -> Json:
    """The route of a method, called natively or transcoded."""
    route = {"match": {"path": rpc.path, "headers": [GRPC]}, "route": UNLIMITED if rpc.streaming else LIMITED}
    lua = {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute", "filter_context": rpc.facts}
    return route | ({"typed_per_filter_config": {"envoy.filters.http.lua": lua}} if rpc.facts else {})


def path_routes(shape: str, bindings: list[Binding]) -> list[Json]:
    """The routes of a REST path: a body that is not JSON, the path's verbs, any other verb. Where its words could as well be
    values of a more general path, that path's verbs are its own too: one may end a key that is named `current`.
    """
    bindings = [binding for binding in bindings if binding.covers(shape)]
    path = {"safe_regex": {"regex": re.escape(shape).replace(r"\{\}", "[^/]+") + "/?"}}
    verbs = sorted({binding.verb for binding in bindings})
    with_body = sorted({binding.verb for binding in bindings if binding.body})
    refusal = next(dialect.not_json for dialect in DIALECTS.values() if shape.startswith(dialect.prefix))
    return [
        *([direct(refusal, {**path, "headers": [one_of(with_body), *NOT_JSON]})] if with_body else []),
        {"match": {**path, "headers": [one_of(verbs)]}, "route": LIMITED},
        direct(405, path, allow=", ".join(verbs)),
    ]


def endpoints(rpcs: list[Rpc]) -> dict[str, str]:
    """The paths that AuthZEN's metadata tells of, those of methods that there are."""
    paths = {rpc.path: rpc.bindings[0].template for rpc in rpcs if rpc.bindings}
    return {name: paths[method] for name, method in ENDPOINTS.items() if method in paths}


def discovery_routes() -> list[Json]:
    """The routes of AuthZEN's metadata, whose body is formed by the first mapper that fits."""
    found = direct(404, {"path": DISCOVERY, "headers": [one_of(["GET", "HEAD"])]}, **{"cache-control": "no-store"})
    return [found | {"direct_response": {"status": 200}}, direct(405, {"path": DISCOVERY}, allow="GET, HEAD")]


def one_of(verbs: list[str]) -> Json:
    """A matcher of verbs."""
    return {"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(verbs)}}}


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
          access_log: $access_log
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
                  expose_headers: "grpc-status, grpc-message, grpc-status-details-bin, x-request-id, $rate_limit, etag"
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
        "mappers": mappers(endpoints(rpcs)),
        "answers": answers_for_lua(),
        "services": sorted({rpc.path.split("/")[1] for rpc, _ in bound}),
        "variables": sorted(
            {spelling for rpc, binding in bound for name in binding.variables for spelling in (name, rpc.request[name])}
        ),
        "access_log": access_log(sorted({binding.open_part(rpc.secrets) for rpc, binding in bound} - {""})),
        "health": HEALTH,
        "max_request": MAX_REQUEST_BYTES,
    }
    text = BOOTSTRAP.substitute(
        {name: json.dumps(value) for name, value in values.items()},
        http="type.googleapis.com/envoy.extensions.filters.http",
        rate_limit="retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset",
        verbs=", ".join(sorted({binding.verb for _, binding in bound})),
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
