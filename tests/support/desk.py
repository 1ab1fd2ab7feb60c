"""The core servicers over real services on SQLite, called through grpcio-testing: translation alone, without interceptors.

What the interceptors would find out about a call is put into its context here, so that a servicer finds what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import grpc_testing

from tenantry_server.bootstrap import SERVICE_NAMES, Services
from tenantry_server.domain import call as calls
from tenantry_server.domain import ids, tokens
from tenantry_server.domain.call import Call
from tenantry_server.domain.principal import Level
from tenantry_server.rpc import policy
from tenantry_server.rpc.api_tokens import ApiTokensServicer
from tenantry_server.rpc.audit import AuditServicer
from tenantry_server.rpc.authorization import AuthorizationServicer
from tenantry_server.rpc.invitations import InvitationsServicer
from tenantry_server.rpc.members import MembersServicer
from tenantry_server.rpc.organizations import OrganizationsServicer
from tenantry_server.rpc.platform_tokens import PlatformTokensServicer
from tenantry_server.rpc.quotas import QuotasServicer
from tenantry_server.rpc.rate_limits import LimitsServicer
from tenantry_server.rpc.regions import RegionsServicer
from tenantry_server.rpc.roles import RolesServicer
from tenantry_server.rpc.users import UsersServicer
from tenantry_server.services.permission_lists import PermissionLists
from tenantry_server.store.standings import authenticate

from .descriptors import core_methods, path
from .rpc import method_of, request_of
from .world import fresh

NOW = datetime.fromisoformat("2030-01-02T03:04:05.678Z")


@dataclass(frozen=True)
class Somebody:
    """A user, or an organization's program, by a token."""

    desk: Desk
    token: str
    id: str = ""
    email: str = ""

    def __call__(self, name: str, /, **fields: Any) -> Any:
        """What the servicer's method answers, or raises."""
        return self.desk.call(self.token, name, request_of(name, **fields))


class _InCall:
    """A servicer whose methods run inside the call that the desk has prepared; grpcio-testing starts them on new threads."""

    def __init__(self, desk: Desk, servicer: Any) -> None:
        self._desk = desk
        self._servicer = servicer

    def __getattr__(self, name: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        method = getattr(self._servicer, name)

        def run(request: Any, context: grpc.ServicerContext) -> Any:
            calls.current.set(self._desk.prepared)
            try:
                return method(request, context)
            except Exception as error:
                self._desk.raised = error
                raise

        return run


class Desk:
    """The servicers, and people to call them."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.prepared: Call
        self.raised: Exception | None = None
        self._policies = policy.read(SERVICE_NAMES, services.store.catalog)
        servicers = {
            "OrganizationService": OrganizationsServicer(services.organizations, services.suspensions, services.telemetry),
            "LimitService": LimitsServicer(services.rate_limits),
            "RoleService": RolesServicer(services.roles),
            "MemberService": MembersServicer(services.members),
            "InvitationService": InvitationsServicer(services.invitations),
            "AuditService": AuditServicer(services.audit),
            "UserService": UsersServicer(services.users, services.departures, services.erasure, services.who_am_i),
            "ApiTokenService": ApiTokensServicer(services.api_tokens, services.own_tokens),
            "PlatformTokenService": PlatformTokensServicer(services.platform_tokens),
            "RegionService": RegionsServicer(services.regions),
            "QuotaService": QuotasServicer(services.quotas, services.usages, services.usage_reports),
            "AuthorizationService": AuthorizationServicer(services.authorization, PermissionLists(services.authorization)),
        }
        described = {method.containing_service.name: method.containing_service for method in core_methods()}
        self._server = grpc_testing.server_from_dictionary(
            {described[name]: _InCall(self, servicers[name]) for name in described}, grpc_testing.strict_real_time()
        )

    def person(self, name: str = "person", *, verified: bool = True) -> Somebody:
        """A new user with a token."""
        operator = calls.operator("test")
        email = f"{fresh(name)}@example.com"
        made = self.services.users.create(operator, email=email, name=name.title(), email_verified=verified)
        token = self.services.api_tokens.provision(operator, user_id=made.user.id).secret
        return Somebody(self, token, made.user.id, email)

    def program(self, organization: Any) -> Somebody:
        """A token that an organization owns."""
        token = self.services.api_tokens.provision(calls.operator("test"), organization_id=organization.id)
        return Somebody(self, token.secret, organization.id)

    def operator(self, *permissions: str) -> Somebody:
        """A platform token; one that narrows nothing, unless permissions are named."""
        token = self.services.platform_tokens.provision(calls.operator("test"), permissions=permissions or None)
        return Somebody(self, token.secret, token.id)

    def with_token(self, secret: str) -> Somebody:
        """Whoever has a token."""
        return Somebody(self, secret)

    def public(self, name: str, /, **fields: Any) -> Any:
        """What a method answers to anybody."""
        return self.call("", name, request_of(name, **fields))

    def call(self, token: str, name: str, request: Any) -> Any:
        """What a method answers. Raises what it raises."""
        method = method_of(name)
        self.raised, self.prepared = None, self._prepare(token, path(method), request)
        answer, _, code, details = self._server.invoke_unary_unary(method, (), request, None).termination()
        if self.raised is not None:
            raise self.raised
        assert code is grpc.StatusCode.OK, details
        return answer

    def _prepare(self, token: str, method: str, request: Any) -> Call:
        store, requirement = self.services.store, self._policies[method].requirement
        if requirement.level is Level.PUBLIC:
            return Call(method=method, requirement=requirement)
        named = getattr(request, "organization_id", "") if requirement.level in (Level.SCOPED, Level.AUTHENTICATED) else ""
        organization_id = ids.find_or_nil(named) if named or requirement.level is Level.SCOPED else ""
        known = authenticate(store.database, store.catalog, str(tokens.digest(token)), organization_id, store.clock.now())
        assert known is not None
        return Call(
            method=method,
            requirement=requirement,
            caller=known.principal,
            organization_id=organization_id,
            access=known.access,
            validate_only=getattr(request, "validate_only", False),
            etag=getattr(request, "etag", ""),
        )
