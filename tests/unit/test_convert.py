"""Update masks (AIP-134), and that every enumeration of the domain has its value in the API and back."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from tenantry.policy.v1 import policy_pb2
from tenantry.v1 import invitation_pb2, member_pb2, organization_pb2, role_service_pb2
from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.domain.invitations import InvitationState
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.principal import PrincipalKind
from tenantry_server.domain.roles import MemberRole
from tenantry_server.rpc import convert

FIELDS = ["name", "description", "permissions"]


def chosen(*paths: str, **given: Any) -> frozenset[str]:
    """What an update of a role with this mask is to change."""
    mask = FieldMask(paths=paths) if paths else None
    return convert.chosen(role_service_pb2.UpdateRoleRequest(update_mask=mask, **given), FIELDS)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, set()),
        ({"name": "N"}, {"name"}),
        ({"name": "", "description": ""}, {"name", "description"}),
        ({"permissions": ["a:b"]}, {"permissions"}),
        ({"permissions": []}, set()),
    ],
)
def test_without_a_mask_what_is_present_is_changed(given: dict[str, Any], fields: set[str]) -> None:
    assert chosen(**given) == fields


@pytest.mark.parametrize(
    ("paths", "given", "fields"),
    [
        (["name"], {"name": "N", "description": "D"}, {"name"}),
        (["name", "name"], {"name": "N"}, {"name"}),
        (["permissions"], {}, {"permissions"}),  # a list may be emptied
        (["*"], {"name": "N", "description": "D"}, set(FIELDS)),
    ],
)
def test_a_mask_chooses(paths: list[str], given: dict[str, Any], fields: set[str]) -> None:
    assert chosen(*paths, **given) == fields


@pytest.mark.parametrize(
    ("paths", "given", "field"),
    [
        (["nickname"], {}, "update_mask"),
        (["id"], {"name": "N"}, "update_mask"),
        (["organization_id"], {"organization_id": "O"}, "update_mask"),
        (["name.first"], {"name": "N"}, "update_mask"),
        (["name", "*"], {"name": "N"}, "update_mask"),
        (["Name"], {"name": "N"}, "update_mask"),
        ([""], {"name": "N"}, "update_mask"),
        (["name"], {"description": "D"}, "name"),
        (["*"], {"name": "N"}, "description"),
    ],
)
def test_a_mask_that_names_what_cannot_be_changed_is_refused(paths: list[str], given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        chosen(*paths, **given)
    assert [(v.field, v.rule) for v in refusal.value.violations] == [(field, "UPDATE_MASK")]


@pytest.mark.parametrize(
    ("table", "domain", "public"),
    [
        (convert._ORGANIZATION_STATES, OrganizationState, organization_pb2.OrganizationState),
        (convert._MEMBER_ROLES, MemberRole, member_pb2.MemberRole),
        (convert._INVITATION_STATES, InvitationState, invitation_pb2.InvitationState),
        (convert._PRINCIPAL_KINDS, PrincipalKind, policy_pb2.PrincipalKind),
    ],
    ids=["organization state", "member role", "invitation state", "principal kind"],
)
def test_every_value_of_the_domain_has_one_in_the_api_by_the_same_name(
    table: dict[Enum, int], domain: type[Enum], public: Any
) -> None:
    assert list(table) == list(domain)
    names = [public.Name(number).rpartition(f"{member.name}")[1] for member, number in table.items()]
    assert names == [member.name for member in domain]
    assert set(table.values()) == set(public.values()) - {0}


def test_standings_and_states_come_back() -> None:
    assert [convert.member_role(convert._MEMBER_ROLES[role]) for role in MemberRole] == list(MemberRole)
    states = [convert.invitation_state(convert._INVITATION_STATES[state]) for state in InvitationState]
    assert states == list(InvitationState)
    assert convert.invitation_state(0) is None
