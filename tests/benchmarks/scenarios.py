"""What is measured: every call as a row of data. A new RPC is measured by adding its row.

A builder makes the number-th request: whose token it carries, and its message. Reads are spread over all organizations by
a fixed random sequence; changes are numbered, because no two may be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from tenantry.envoy import external_auth_pb2
from tenantry.v1 import (
    authorization_pb2,
    authorization_service_pb2,
    invitation_service_pb2,
    member_pb2,
    member_service_pb2,
    organization_service_pb2,
)

from . import signing
from .data import GROUPS, Size, organization_id, secret, user_id

HEALTH = "/grpc.health.v1.Health/Check"
# The same handler on the bench's own server: as a call of nobody in particular, and as one of somebody who is known.
EMPTY, KNOWN = "/benchmarks.Empty/Check", "/benchmarks.Known/Check"

_PERMISSION = "sandbox:write"

READS, CHANGES = 20_000, 60_000
_SEED = 7


@dataclass(frozen=True, slots=True)
class Making:
    """What builders draw from: the data, a fixed random sequence, a prefix that no other run has, and a page's token."""

    size: Size
    random: Random
    run: str
    last_page: str

    @property
    def organization(self) -> int:
        """Some organization of five."""
        return self.random.randint(1, self.size.organizations)


Request = tuple[str, Message]
Builder = Callable[[Making, int], Request]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A call: how it is made, how many are in flight, and what it is compared with; `goal` is the product's, by engine.

    A read's goal is on the server's own CPU, a change's includes PostgreSQL's.
    """

    name: str
    path: str
    build: Builder
    is_change: bool = False
    beside: str = "empty call"
    goal: Mapping[str, float] = field(default_factory=dict)
    in_large: bool = False

    @property
    def in_flight(self) -> int:
        """How many calls are in flight at once."""
        return 16 if self.is_change else 32

    def requests(self, making: Making) -> list[tuple[str, bytes]]:
        """All prebuilt requests: tokens and bodies."""
        built = (self.build(making, number) for number in range(CHANGES if self.is_change else READS))
        return [(token, message.SerializeToString()) for token, message in built]


def _empty(making: Making, number: int) -> Request:
    return "", health_pb2.HealthCheckRequest()


def _known(making: Making, number: int) -> Request:
    return secret(making.organization), health_pb2.HealthCheckRequest()


def _signed_in(making: Making, number: int) -> Request:
    return signing.token(number % signing.PEOPLE), health_pb2.HealthCheckRequest()


def _check(making: Making, number: int) -> Request:
    """About the caller, as a service asks that passes on the credential which it was sent."""
    organization = making.organization
    caller = making.random.choice(making.size.members(organization))
    message = authorization_service_pb2.CheckPermissionRequest(
        organization_id=organization_id(organization), permission=_PERMISSION
    )
    return secret(caller), message


def _check_many(making: Making, number: int) -> Request:
    """About every member of an organization of 100."""
    group = making.random.randrange(GROUPS)
    members = making.size.group_members(group)
    items = [
        authorization_service_pb2.BatchCheckPermissionsRequest.Item(
            subject=authorization_pb2.Subject(user_id=user_id(member)),
            organization_id=organization_id(making.size.group(group)),
            permission=_PERMISSION,
        )
        for member in members
    ]
    return secret(making.random.choice(members)), authorization_service_pb2.BatchCheckPermissionsRequest(items=items)


def _pass_through(making: Making, number: int) -> Request:
    """The same, as Envoy asks about a request to a service behind it."""
    organization = making.organization
    caller = making.random.choice(making.size.members(organization))
    http = external_auth_pb2.AttributeContext.HttpRequest(
        method="POST",
        path=f"/v1/organizations/{organization_id(organization)}/sandboxes",
        host="api.example.com",
        headers={"authorization": f"Bearer {secret(caller)}", "x-request-id": f"request-{number:08}"},
    )
    attributes = external_auth_pb2.AttributeContext(
        request=external_auth_pb2.AttributeContext.Request(http=http),
        context_extensions={"permission": _PERMISSION, "organization": "path:/v1/organizations/{organization}/**"},
    )
    return "", external_auth_pb2.CheckRequest(attributes=attributes)


def _get_organization(making: Making, number: int) -> Request:
    organization = making.organization
    caller = making.random.choice(making.size.members(organization))
    return secret(caller), organization_service_pb2.GetOrganizationRequest(organization_id=organization_id(organization))


def _list_organizations(making: Making, number: int) -> Request:
    return secret(making.organization), organization_service_pb2.ListOrganizationsRequest()


def _get_member(making: Making, number: int) -> Request:
    organization = making.organization
    caller, member = making.random.sample(making.size.members(organization), 2)
    message = member_service_pb2.GetMemberRequest(organization_id=organization_id(organization), user_id=user_id(member))
    return secret(caller), message


def _list_members(making: Making, number: int) -> Request:
    group = making.random.randrange(GROUPS)
    caller = making.random.choice(making.size.group_members(group))
    return secret(caller), member_service_pb2.ListMembersRequest(organization_id=organization_id(making.size.group(group)))


def first_page(making: Making, number: int) -> Request:
    """The crowd's first page."""
    caller = secret(making.size.crowd_members[0])
    return caller, member_service_pb2.ListMembersRequest(organization_id=organization_id(making.size.crowd))


def _last_page(making: Making, number: int) -> Request:
    caller, message = first_page(making, number)
    assert isinstance(message, member_service_pb2.ListMembersRequest)
    message.page_token = making.last_page
    return caller, message


def _create_invitation(making: Making, number: int) -> Request:
    organization = number % making.size.organizations + 1
    message = invitation_service_pb2.CreateInvitationRequest(
        organization_id=organization_id(organization),
        email=f"{making.run}{number}@example.com",
        role=member_pb2.MEMBER_ROLE_MEMBER,
    )
    return secret(organization), message


def _rename(making: Making, number: int) -> Request:
    organization = number % making.size.organizations + 1
    message = organization_service_pb2.UpdateOrganizationRequest(
        organization_id=organization_id(organization), name=f"Organization {making.run}{number}"
    )
    return secret(organization), message


_SERVICES = "/tenantry.v1"
FLOOR = Scenario("empty call", EMPTY, _empty, in_large=True)
SCENARIOS = (
    FLOOR,
    Scenario("authenticated empty call", KNOWN, _known, goal={"sqlite": 1.15, "postgresql": 1.15}, in_large=True),
    Scenario("empty call, signed in (JWT)", KNOWN, _signed_in),
    Scenario(
        "CheckPermission",
        f"{_SERVICES}.AuthorizationService/CheckPermission",
        _check,
        goal={"sqlite": 1.3, "postgresql": 1.8},
        in_large=True,
    ),
    Scenario("Check, asked by Envoy", "/envoy.service.auth.v3.Authorization/Check", _pass_through),
    Scenario(
        "BatchCheckPermissions, 100",
        f"{_SERVICES}.AuthorizationService/BatchCheckPermissions",
        _check_many,
        goal={"sqlite": 8.0, "postgresql": 15.0},
        in_large=True,
    ),
    Scenario(
        "GetOrganization",
        f"{_SERVICES}.OrganizationService/GetOrganization",
        _get_organization,
        goal={"sqlite": 1.5, "postgresql": 2.0},
        in_large=True,
    ),
    Scenario("ListOrganizations", f"{_SERVICES}.OrganizationService/ListOrganizations", _list_organizations, in_large=True),
    Scenario("GetMember", f"{_SERVICES}.MemberService/GetMember", _get_member, in_large=True),
    Scenario("ListMembers, 100 of 100", f"{_SERVICES}.MemberService/ListMembers", _list_members),
    Scenario("ListMembers, first 100 of 100,000", f"{_SERVICES}.MemberService/ListMembers", first_page),
    Scenario(
        "ListMembers, last 100 of 100,000",
        f"{_SERVICES}.MemberService/ListMembers",
        _last_page,
        beside="ListMembers, first 100 of 100,000",
    ),
    Scenario(
        "CreateInvitation",
        f"{_SERVICES}.InvitationService/CreateInvitation",
        _create_invitation,
        is_change=True,
        goal={"sqlite": 2.8, "postgresql": 2.9},
        in_large=True,
    ),
    Scenario("UpdateOrganization", f"{_SERVICES}.OrganizationService/UpdateOrganization", _rename, is_change=True),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def making(size: Size, run: str, last_page: str) -> Making:
    """What the builders of one scenario draw from."""
    return Making(size, Random(_SEED), run, last_page)
