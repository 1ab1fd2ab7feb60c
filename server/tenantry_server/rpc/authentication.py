"""Who calls: by a bearer credential, or by the certificate of the connection."""

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import Message

from ..domain import call as calls
from ..domain import ids
from ..domain.call import Call
from ..domain.errors import InvalidCredential, InvalidRequest, MissingCredential
from ..domain.principal import Known, Level, Principal
from ..services.credentials import Credentials
from .interceptor import Guard
from .policy import MethodPolicy
from .requests import metadata_of, note_change

# Whom the certificate of a call's connection stands for, if for anybody.
Certificates = Callable[[grpc.ServicerContext], Principal | None]


class Authentication(Guard):
    """Finds out who calls, and what they may do in the organization that the request names."""

    def __init__(self, policies: Mapping[str, MethodPolicy], credentials: Credentials, certificates: Certificates) -> None:
        super().__init__()
        self._policies = policies
        self._credentials = credentials
        self._certificates = certificates

    def before(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """Raises what a caller who cannot be told is refused with."""
        policy = self._policies[method]
        if policy.requirement.level is not Level.PUBLIC:
            call = calls.current.get()
            if policy.organization_header:
                request.organization_id = _only(context.invocation_metadata(), policy.organization_header)
            call.organization_id = _named_organization(policy, request)
            known = self._known(call, context)
            if policy.organization_header:
                named = call.organization_id
                _name_organization(policy, call, request, known, metadata_of(context))
                if call.organization_id != named:
                    known = self._known(call, context)
            call.caller, call.access = known.principal, known.access

    def _known(self, call: Call, context: grpc.ServicerContext) -> Known:
        """By bearer credential or by certificate, but not by both."""
        vouched = self._certificates(context)
        bearer = _bearer(context.invocation_metadata(), optional=vouched is not None)
        if vouched is None:
            return self._credentials.known(call, bearer, call.organization_id)
        if bearer:
            raise InvalidCredential
        return Known(vouched, None, "")


def _named_organization(policy: MethodPolicy, request: Any) -> str:
    """The organization in which the caller's standing is read together with who calls: the one that a SCOPED request must
    name and an AUTHENTICATED one may name; the latter is not refused when the caller has nothing to do with it.
    """
    level = policy.requirement.level
    if not policy.names_organization or level is Level.PLATFORM:
        return ""
    named = request.organization_id
    return ids.find_or_nil(named) if named or level is Level.SCOPED else ""


def _name_organization(policy: MethodPolicy, call: Call, request: Message, known: Known, metadata: Mapping[str, str]) -> None:
    """The organization of a request that has it from a header: a token that is bound to one means that one, whatever the
    header says. Raises InvalidRequest when there is none.
    """
    header, bound = policy.organization_header, known.principal.organization_id
    request.organization_id = bound or request.organization_id  # type: ignore[attr-defined]
    if not request.organization_id:  # type: ignore[attr-defined]
        raise InvalidRequest.of(header, "must name the organization", "ORGANIZATION_HEADER")
    if bound and call.organization_id:
        call.organization_id = bound
    if policy.is_change:
        note_change(call, request, metadata)  # anew: the organization is part of what is asked for


def _only(metadata: Any, header: str) -> str:
    """The one value of a header; "" when there is none. Two are none: who reads the first would take it for another."""
    values = [value for key, value in metadata if key == header]
    return str(values[0]) if len(values) == 1 else ""


def _bearer(metadata: Any, *, optional: bool) -> str:
    """The one bearer credential of a call; "" when there is none and need not be.

    Raises MissingCredential, or InvalidCredential when there are several.
    """
    values = [value for key, value in metadata if key == "authorization"]
    if not values:
        if optional:
            return ""
        raise MissingCredential
    scheme, _, credential = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not credential:
        raise InvalidCredential
    return str(credential.strip())
