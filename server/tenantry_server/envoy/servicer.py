"""envoy.service.auth.v3.Authorization: what a route demands is asked of the service, and the answer told to Envoy."""

import grpc
import structlog

from tenantry.envoy import external_auth_pb2 as pb
from tenantry.envoy.external_auth_pb2_grpc import AuthorizationServicer as EnvoyServicer

from ..domain.call import Call, current
from ..domain.errors import InvalidCredential, MissingCredential, TenantryError
from ..services.admission import Admission, Admitted
from . import answers
from .paths import ensure_normal
from .routes import NoSuchPath, Request, Route, RouteMisconfigured, route_of

log = structlog.get_logger("tenantry.envoy")

_LONGEST = 200


class AuthorizationServicer(EnvoyServicer):
    """Speaks envoy.service.auth.v3.Authorization. Every refusal is an answer; what is unforeseen is an error of the call,
    at which Envoy does not let the request pass either.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def Check(self, request: pb.CheckRequest, context: grpc.ServicerContext) -> pb.CheckResponse:
        attributes, call = request.attributes, current.get()
        http = attributes.request.http
        is_grpc = _is_grpc(http.headers.get("content-type", ""))
        try:
            route = route_of(frozenset(attributes.context_extensions.items()), self._admission.permissions)
            admitted = self._admit(call, route, http)
        except RouteMisconfigured as problem:
            log.error("route misconfigured", problem=str(problem), **_told(call, http))
            return answers.closed(is_grpc=is_grpc)
        except NoSuchPath as problem:
            log.warning("request outside of its route's template", problem=str(problem), **_told(call, http))
            return answers.absent(is_grpc=is_grpc)
        except TenantryError as refusal:
            log.info("refused", reason=refusal.reason, **_told(call, http))
            return answers.refused(refusal, is_grpc=is_grpc)
        return answers.passed(admitted, forwards_credential=route.forwards_credential)

    def _admit(self, call: Call, route: Route, http: pb.AttributeContext.HttpRequest) -> Admitted:
        """Who calls, if they may pass. Who has no good credential is told so, and nothing else."""
        path, _, query = http.path.partition("?")
        bearer = _bearer(http.headers.get("authorization", ""))
        if route.locate is None:
            admitted = self._admission.recognize(call, bearer)
            ensure_normal(path)
            return admitted
        try:
            ensure_normal(path)
            named = route.locate(Request(path, query, http.host, http.headers))
        except (NoSuchPath, TenantryError):
            self._admission.recognize(call, bearer)
            raise
        return self._admission.admit(call, bearer, organization_id=named, permission=route.permission)


def _bearer(header: str) -> str:
    """The bearer credential. Raises MissingCredential or InvalidCredential."""
    if not header:
        raise MissingCredential
    scheme, _, credential = header.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise InvalidCredential
    return credential.strip()


def _is_grpc(kind: str) -> bool:
    """What Envoy answers as gRPC; gRPC-Web is that when it comes here, if Envoy speaks it."""
    return kind == "application/grpc" or kind.startswith(("application/grpc+", "application/grpc;"))


def _told(call: Call, http: pb.AttributeContext.HttpRequest) -> dict[str, str]:
    """What the log says of a request: no query, and no header that may hold a secret."""
    return {
        "call_id": call.call_id,
        "request_id": http.headers.get("x-request-id", "")[:_LONGEST],
        "request": f"{http.method[:20]} {http.path.partition('?')[0][:_LONGEST]}",
        "principal": call.caller.id if call.caller else "",
    }
