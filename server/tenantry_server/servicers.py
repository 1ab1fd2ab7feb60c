"""Every servicer: which services there are, and what each is made of."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import grpc

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
    limit_service_pb2,
    limit_service_pb2_grpc,
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

from .envoy.servicer import AuthorizationServicer as EnvoyAuthorization
from .rest.authzen.access import AccessServicer as AuthzenAccess
from .rest.daytona.api_keys import ApiKeysServicer as DaytonaApiKeys
from .rest.daytona.invitations import InvitationsServicer as DaytonaInvitations
from .rest.daytona.members import MembersServicer as DaytonaMembers
from .rest.daytona.organizations import OrganizationsServicer as DaytonaOrganizations
from .rest.daytona.quotas import QuotasServicer as DaytonaQuotas
from .rest.daytona.regions import RegionsServicer as DaytonaRegions
from .rest.daytona.roles import RolesServicer as DaytonaRoles
from .rest.daytona.users import UsersServicer as DaytonaUsers
from .rest.dotenv.api_keys import ApiKeysServicer as DotenvApiKeys
from .rest.dotenv.members import MembersServicer as DotenvMembers
from .rest.dotenv.organizations import OrganizationsServicer as DotenvOrganizations
from .rest.dotenv.users import UsersServicer as DotenvUsers
from .rpc.api_tokens import ApiTokensServicer
from .rpc.audit import AuditServicer
from .rpc.authorization import AuthorizationServicer
from .rpc.invitations import InvitationsServicer
from .rpc.members import MembersServicer
from .rpc.organizations import OrganizationsServicer
from .rpc.platform_tokens import PlatformTokensServicer
from .rpc.quotas import QuotasServicer
from .rpc.rate_limits import LimitsServicer
from .rpc.regions import RegionsServicer
from .rpc.roles import RolesServicer
from .rpc.users import UsersServicer
from .services.admission import Admission
from .services.permission_lists import PermissionLists
from .wiring import Services

# The module of its service's descriptor, how it is registered, and how it is made.
SERVICERS: tuple[tuple[ModuleType, Callable[[Any, grpc.Server], None], Callable[[Services], Any]], ...] = (
    (
        organization_service_pb2,
        organization_service_pb2_grpc.add_OrganizationServiceServicer_to_server,
        lambda services: OrganizationsServicer(services.organizations, services.suspensions, services.telemetry),
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
        limit_service_pb2,
        limit_service_pb2_grpc.add_LimitServiceServicer_to_server,
        lambda services: LimitsServicer(services.rate_limits),
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
        lambda services: DaytonaOrganizations(services.organizations, services.suspensions, services.telemetry),
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
SERVICE_NAMES = tuple(
    service.full_name for module, _, _ in SERVICERS for service in module.DESCRIPTOR.services_by_name.values()
)
