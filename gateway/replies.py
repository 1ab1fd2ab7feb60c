"""What is answered when no method answers: the dialects' error bodies, and what Envoy says in them."""

import json
import re
from typing import Any, NamedTuple

Json = dict[str, Any]

MAX_REQUEST_BYTES = 256 * 1024
HEALTH = {"name": ":path", "string_match": {"exact": "/healthz"}}
GRPC = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}  # native, gRPC-Web, and transcoded


class Answer(NamedTuple):
    """What is said about a status that no method chose."""

    reason: str
    code: str
    message: str


class Dialect(NamedTuple):
    """A family of REST paths: its prefix, its error body, its answer to malformed JSON where that is another, and its status
    for a body that is not said to be JSON.
    """

    prefix: str
    error: Json
    malformed: tuple[int, Json] | None = None
    not_json: int = 415


# By package: tenantry.rest.<name>. The first whose prefix fits a path speaks for it, and the last for all other paths.
DIALECTS = {
    "authzen": Dialect("/access/v1/", {"status": "{status}", "message": "{message}"}, not_json=400),
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

# Envoy's words for what it alone knows.
PATH, TIME = "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"
DETAIL = "%LOCAL_REPLY_BODY%"
# Where Envoy was reached, as the client knows it.
BASE = "%REQ(X-FORWARDED-PROTO)%://%REQ(:AUTHORITY)%"

# AuthZEN's metadata: where it is, and which method is at which endpoint.
DISCOVERY = "/.well-known/authzen-configuration"
ENDPOINTS = {
    "access_evaluation_endpoint": "/tenantry.rest.authzen.v1.AccessService/Evaluate",
    "access_evaluations_endpoint": "/tenantry.rest.authzen.v1.AccessService/EvaluateMany",
}


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


def mappers(endpoints: dict[str, str]) -> list[Json]:
    """The bodies of what Envoy answers itself, first match first; `endpoints` are the paths in AuthZEN's metadata."""
    transcoded = on(present("x-envoy-original-path"))
    native, health = [on(GRPC), on(present("x-envoy-original-path") | {"invert_match": True})], on(HEALTH)
    found = [
        mapper([*native, status_is("GE", 500)], text_format_source={"inline_string": ANSWERS[503].message}),
        mapper(native, text_format_source={"inline_string": DETAIL}),
        mapper([health, status_is("EQ", 200)], json_format={"status": "ok"}),
        mapper([health], json_format={"status": "unavailable"}),
    ]
    if endpoints:
        metadata = {"policy_decision_point": BASE} | {name: BASE + path for name, path in endpoints.items()}
        at = on({"name": ":path", "string_match": {"safe_regex": {"regex": re.escape(DISCOVERY) + r"(\?.*)?"}}})
        found.append(mapper([at, status_is("EQ", 200)], json_format=metadata))
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


_LOGGED: Json = {
    "time": TIME,
    "method": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "rpc": "%PATH(NQ:PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "peer": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
}


def access_log(secret: list[str]) -> list[Json]:
    """What is told of every request: no query, no header that may hold a secret, and of paths that begin like those of
    `secret` no more than that.
    """
    names = (":path", "x-envoy-original-path")
    others: list[Json] = [{"not_health_check_filter": {}}]
    loggers = []
    for prefix in secret:
        begins = [{"name": name, "string_match": {"prefix": prefix}, "treat_missing_header_as_empty": True} for name in names]
        others += [{"header_filter": {"header": {**header, "invert_match": True}}} for header in begins]
        these = {"or_filter": {"filters": [{"header_filter": {"header": header}} for header in begins]}}
        loggers.append(_logger(these, _LOGGED | {"path": prefix, "rpc": ""}))
    return [_logger({"and_filter": {"filters": others}} if loggers else others[0], _LOGGED), *loggers]


def _logger(which: Json, what: Json) -> Json:
    kind = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
    return {"name": "access", "filter": which, "typed_config": {"@type": kind, "log_format": {"json_format": what}}}


def present(name: str) -> Json:
    """A matcher of requests that have a header."""
    return {"name": name, "present_match": True}
