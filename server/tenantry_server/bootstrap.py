"""The composition root: settings become a wired server. The only module that imports every layer."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tenantry.envoy import external_auth_pb2, external_auth_pb2_grpc
from tenantry.rest.authzen.v1 import access_service_pb2 as authzen_access_pb2
from tenantry.rest.authzen.v1 import access_service_pb2_grpc as authzen_access_grpc
from tenantry.rest.daytona.v1 import api_key_service_pb2 as daytona_api_key_pb2
from tenantry.rest.daytona.v1 import api_key_service_pb2_grpc as daytona_api_key_grpc
from tenantry.rest.daytona.v1 import invitation_service_pb2 as daytona_invitation_pb2
from tenantry.rest.daytona.v1 import invitation_service_pb2_grpc as daytona_invitation_grpc
from tenantry.rest.daytona.v1 import member_service_pb2 as daytona_member_pb2
from tenantry.rest.daytona.v1 import member_service_pb2_grpc as daytona_member_grpc
from tenantry.rest.daytona.v1 import organization_service_pb2 as daytona_organization_pb2
from tenantry.rest.daytona.v1 import organization_service_pb2_grpc as daytona_organization_grpc
from tenantry.rest.daytona.v1 import quota_service_pb2 as daytona_quota_pb2
from tenantry.rest.daytona.v1 import quota_service_pb2_grpc as daytona_quota_grpc
from tenantry.rest.daytona.v1 import region_service_pb2 as daytona_region_pb2
from tenantry.rest.daytona.v1 import region_service_pb2_grpc as daytona_region_grpc
from tenantry.rest.daytona.v1 import role_service_pb2 as daytona_role_pb2
from tenantry.rest.daytona.v1 import role_service_pb2_grpc as daytona_role_grpc
from tenantry.rest.daytona.v1 import user_service_pb2 as daytona_user_pb2
from tenantry.rest.daytona.v1 import user_service_pb2_grpc as daytona_user_grpc
from tenantry.rest.dotenv.v1 import api_key_service_pb2 as dotenv_api_key_pb2
from tenantry.rest.dotenv.v1 import api_key_service_pb2_grpc as dotenv_api_key_grpc
from tenantry.rest.dotenv.v1 import member_service_pb2 as dotenv_member_pb2
from tenantry.rest.dotenv.v1 import member_service_pb2_grpc as dotenv_member_grpc
from tenantry.rest.dotenv.v1 import organization_service_pb2 as dotenv_organization_pb2
from tenantry.rest.dotenv.v1 import organization_service_pb2_grpc as dotenv_organization_grpc
from tenantry.rest.dotenv.v1 import user_service_pb2 as dotenv_user_pb2
from tenantry.rest.dotenv.v1 import user_service_pb2_grpc as dotenv_user_grpc
from tenantry.v1 import (
    api_token_service_pb2,
    api_token_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    authorization_service_pb2,
    authorization_service_pb2_grpc,
    invitation_service_pb2,
    invitation_service_pb2_grpc,
    member_service_pb2,
    member_service_pb2_grpc,
    organization_service_pb2,
    organization_service_pb2_grpc,
    platform_token_service_pb2,
    platform_token_service_pb2_grpc,
    quota_service_pb2,
    quota_service_pb2_grpc,
    region_service_pb2,
    region_service_pb2_grpc,
    role_service_pb2,
    role_service_pb2_grpc,
    user_service_pb2,
    user_service_pb2_grpc,
)

from . import tls
from .envoy.servicer import AuthorizationServicer as EnvoyAuthorization
from .oidc.verifier import Verifier
from .rest.authzen import errors as authzen_errors
from .rest.authzen.access import AccessServicer as AuthzenAccess
from .rest.daytona import errors as daytona_errors
from .rest.daytona.api_keys import ApiKeysServicer as DaytonaApiKeys
from .rest.daytona.invitations import InvitationsServicer as DaytonaInvitations
from .rest.daytona.members import MembersServicer as DaytonaMembers
from .rest.daytona.organizations import OrganizationsServicer as DaytonaOrganizations
from .rest.daytona.quotas import QuotasServicer as DaytonaQuotas
from .rest.daytona.regions import RegionsServicer as DaytonaRegions
from .rest.daytona.roles import RolesServicer as DaytonaRoles
from .rest.daytona.users import UsersServicer as DaytonaUsers
from .rest.dotenv import errors as dotenv_errors
from .rest.dotenv.api_keys import ApiKeysServicer as DotenvApiKeys
from .rest.dotenv.members import MembersServicer as DotenvMembers
from .rest.dotenv.organizations import OrganizationsServicer as DotenvOrganizations
from .rest.dotenv.users import UsersServicer as DotenvUsers
from .rpc import interceptors, policy
from .rpc.api_tokens import ApiTokensServicer
from .rpc.audit import AuditServicer
from .rpc.authorization import AuthorizationServicer
from .rpc.certificates import certificate_principal
from .rpc.interceptor import Chain, Interceptor
from .rpc.interceptors import ErrorRenderer
from .rpc.invitations import InvitationsServicer
from .rpc.members import MembersServicer
from .rpc.organizations import OrganizationsServicer
from .rpc.platform_tokens import PlatformTokensServicer
from .rpc.quotas import QuotasServicer
from .rpc.regions import RegionsServicer
from .rpc.roles import RolesServicer
from .rpc.users import UsersServicer
from .services.admission import Admission
from .services.credentials import Credentials
from .services.last_used import LastUsed
from .services.permission_lists import PermissionLists
from .store.database import SqliteDatabase
from .wiring import Services as Services
from .wiring import wire as wire

# What a server process does at once: SQLite runs one statement at a time anyway.
_SQLITE_THREADS, _THREADS = 4, 8
# Calls beyond this many times the threads are refused with RESOURCE_EXHAUSTED instead of queueing without end.
_QUEUE = 8

_OPTIONS = (
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.max_receive_message_length", 1 << 20),
    # Above what the gateway lets through; below the hard limit, grpc refuses at random from the soft one on.
    ("grpc.max_metadata_size", 32 << 10),
    ("grpc.absolute_max_metadata_size", 64 << 10),
    # Connections stick to the process that accepted them, so ageing spreads them anew.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


# Every servicer: the module of its service's descriptor, how it is registered, and how it is made.
_SERVICERS: tuple[tuple[ModuleType, Callable[[Any, grpc.Server], None], Callable[[Services], Any]], ...] = (
    (
        organization_service_pb2,
        organization_service_pb2_grpc.add_OrganizationServiceServicer_to_server,
        lambda services: OrganizationsServicer(services.organizations),
    ),
    (
        role_service_pb2,
        role_service_pb2_grpc.add_RoleServiceServicer_to_server,
        lambda services: RolesServicer(services.roles),
    ),
    (
        member_service_pb2,
        member_service_pb2_grpc.add_MemberServiceServicer_to_server,
        lambda services: MembersServicer(services.members),
    ),
    (
        invitation_service_pb2,
        invitation_service_pb2_grpc.add_InvitationServiceServicer_to_server,
        lambda services: InvitationsServicer(services.invitations),
    ),
    (
        audit_service_pb2,
        audit_service_pb2_grpc.add_AuditServiceServicer_to_server,
        lambda services: AuditServicer(services.audit),
    ),
    (
        authorization_service_pb2,
        authorization_service_pb2_grpc.add_AuthorizationServiceServicer_to_server,
        lambda services: AuthorizationServicer(services.authorization, PermissionLists(services.authorization)),
    ),
    (
        external_auth_pb2,
        external_auth_pb2_grpc.add_AuthorizationServicer_to_server,
        lambda services: EnvoyAuthorization(Admission(services.authorization)),
    ),
    (
        user_service_pb2,
        user_service_pb2_grpc.add_UserServiceServicer_to_server,
        lambda services: UsersServicer(services.users, services.departures, services.erasure, services.who_am_i),
    ),
    (
        api_token_service_pb2,
        api_token_service_pb2_grpc.add_ApiTokenServiceServicer_to_server,
        lambda services: ApiTokensServicer(services.api_tokens, services.own_tokens),
    ),
    (
        platform_token_service_pb2,
        platform_token_service_pb2_grpc.add_PlatformTokenServiceServicer_to_server,
        lambda services: PlatformTokensServicer(services.platform_tokens),
    ),
    (
        region_service_pb2,
        region_service_pb2_grpc.add_RegionServiceServicer_to_server,
        lambda services: RegionsServicer(services.regions),
    ),
    (
        quota_service_pb2,
        quota_service_pb2_grpc.add_QuotaServiceServicer_to_server,
        lambda services: QuotasServicer(services.quotas, services.usages, services.usage_reports),
    ),
    (
        daytona_organization_pb2,
        daytona_organization_grpc.add_OrganizationServiceServicer_to_server,
        lambda services: DaytonaOrganizations(services.organizations),
    ),
    (
        daytona_role_pb2,
        daytona_role_grpc.add_RoleServiceServicer_to_server,
        lambda services: DaytonaRoles(services.roles),
    ),
    (
        daytona_member_pb2,
        daytona_member_grpc.add_MemberServiceServicer_to_server,
        lambda services: DaytonaMembers(services.members),
    ),
    (
        daytona_invitation_pb2,
        daytona_invitation_grpc.add_InvitationServiceServicer_to_server,
        lambda services: DaytonaInvitations(services.invitations),
    ),
    (
        daytona_api_key_pb2,
        daytona_api_key_grpc.add_ApiKeyServiceServicer_to_server,
        lambda services: DaytonaApiKeys(services.own_tokens, services.api_tokens),
    ),
    (
        daytona_user_pb2,
        daytona_user_grpc.add_UserServiceServicer_to_server,
        lambda services: DaytonaUsers(services.who_am_i),
    ),
    (
        daytona_region_pb2,
        daytona_region_grpc.add_RegionServiceServicer_to_server,
        lambda services: DaytonaRegions(services.regions),
    ),
    (
        daytona_quota_pb2,
        daytona_quota_grpc.add_QuotaServiceServicer_to_server,
        lambda services: DaytonaQuotas(services.quotas, services.usages, services.usage_reports),
    ),
    (
        dotenv_organization_pb2,
        dotenv_organization_grpc.add_OrganizationServiceServicer_to_server,
        lambda services: DotenvOrganizations(services.organizations),
    ),
    (
        dotenv_member_pb2,
        dotenv_member_grpc.add_MemberServiceServicer_to_server,
        lambda services: DotenvMembers(services.members),
    ),
    (
        dotenv_api_key_pb2,
        dotenv_api_key_grpc.add_ApiKeyServiceServicer_to_server,
        lambda services: DotenvApiKeys(services.api_tokens),
    ),
    (
        dotenv_user_pb2,
        dotenv_user_grpc.add_UserServiceServicer_to_server,
        lambda services: DotenvUsers(services.who_am_i),
    ),
    (
        authzen_access_pb2,
        authzen_access_grpc.add_AccessServiceServicer_to_server,
        lambda services: AuthzenAccess(services.authorization),
    ),
)
# How each dialect, by its proto package, says what went wrong.
_RENDERERS: Mapping[str, ErrorRenderer] = {
    "tenantry.rest.daytona.v1": daytona_errors.render,
    "tenantry.rest.dotenv.v1": dotenv_errors.render,
    "tenantry.rest.authzen.v1": authzen_errors.render,
}

SERVICE_NAMES = tuple(
    service.full_name for module, _, _ in _SERVICERS for service in module.DESCRIPTOR.services_by_name.values()
)


class Health(health.HealthServicer):
    """grpc.health.v1 without Watch, which would hold a worker thread for as long as a stranger likes."""

    def Watch(self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None) -> Any:
        """Refuses."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "use Check")


class Server:
    """A gRPC server over wired services, with health and drain."""

    def __init__(
        self,
        services: Services,
        *,
        address: str,
        share_port: bool = False,
        transport: tls.Transport | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """Raises PolicyError when a method's declaration is wrong, RuntimeError when an address cannot be bound, TlsError when
        the transport's certificates cannot be used. Without a transport the port speaks plaintext, and is the only one;
        without a verifier nobody signs in.
        """
        self._clients = transport.clients if transport else None
        self.policies = policy.read((*SERVICE_NAMES, *policy.INFRASTRUCTURE), services.store.catalog)
        threads = _SQLITE_THREADS if isinstance(services.store.database, SqliteDatabase) else _THREADS
        self._verifier = verifier
        self._last_used = LastUsed(services.store.database)
        self.credentials = Credentials(services.store, services.sign_in, self._last_used, verifier)
        self.services = services = replace(services, authorization=services.authorization.presenting(self.credentials))
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._server = grpc.server(
            self._executor,
            interceptors=[Chain(self.interceptors())],
            options=(*_OPTIONS, ("grpc.so_reuseport", int(share_port))),
            maximum_concurrent_rpcs=threads * _QUEUE,
        )
        for _, register, make in _SERVICERS:
            register(make(services), self._server)
        self._health = Health(experimental_non_blocking=False)
        self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port, self.mtls_port = tls.listen(self._server, address, transport)

    def interceptors(self) -> tuple[Interceptor, ...]:
        """What surrounds every call; tests take links out to see others fail."""
        parts = (self.policies, self.services.store, self.credentials, _RENDERERS)
        if self._clients is None:
            return interceptors.chain(*parts)
        clients = self._clients
        return interceptors.chain(
            *parts, partial(certificate_principal, principals=clients.principals, revoked=clients.revoked)
        )

    def start(self) -> None:
        """Accepts calls, and says so."""
        self._last_used.start()
        if self._verifier:
            self._verifier.start()
        self._server.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)

    def announce_end(self) -> None:
        """Says that no more calls should come, while it still answers those that do."""
        self._health.enter_graceful_shutdown()

    def stop(self, grace: float) -> None:
        """Refuses new calls, waits up to `grace` seconds for running ones, and closes every connection."""
        self._server.stop(grace).wait()
        self._executor.shutdown(wait=True)
        if self._verifier:
            self._verifier.close()
        self._last_used.close()
        self.services.store.database.shut_down()
