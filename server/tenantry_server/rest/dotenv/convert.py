"""All spelling of this dialect: ids as ULIDs, answers under `data`."""

from tenantry.rest.dotenv.v1 import member_service_pb2, organization_service_pb2

from ...domain.organizations import Organization
from ...services.members import Addition


def organization(record: Organization) -> organization_service_pb2.Organization:
    """An organization."""
    return organization_service_pb2.Organization(id=record.id, name=record.name, slug=record.slug, status=record.state)


def one(record: Organization) -> organization_service_pb2.OrganizationResponse:
    """An organization in its envelope."""
    return organization_service_pb2.OrganizationResponse(data=organization(record))


def page(records: list[Organization], number: int, size: int) -> organization_service_pb2.ListOrganizationsResponse:
    """A numbered page of a whole list, with where it stands."""
    last = max(1, -(-len(records) // size))
    return organization_service_pb2.ListOrganizationsResponse(
        data=map(organization, records[(number - 1) * size : number * size]),
        meta=organization_service_pb2.Meta(current_page=number, per_page=size, total=len(records), last_page=last),
    )


def addition(record: Addition, *, email: str, role: str) -> member_service_pb2.AddMemberResponse:
    """Who was added, in its envelope: a member, an invitation, or a request about which no more is told."""
    data = member_service_pb2.Addition(type="request", email=email, role=role, status="accepted")
    if record.member is not None:
        data.type, data.id, data.status = "member", record.member.user_id, "active"
        data.email = record.member.email
    if record.invitation is not None:
        data.type, data.id, data.status = "invitation", record.invitation.id, record.invitation.state
        data.email = record.invitation.email
    return member_service_pb2.AddMemberResponse(data=data)
