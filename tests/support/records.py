"""Records to judge rules by, without a database: sensible values, and whatever a test says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tenantry_server.domain.invitations import Invitation, InvitationState
from tenantry_server.domain.membership import Member
from tenantry_server.domain.organizations import Organization, OrganizationState
from tenantry_server.domain.principal import Access
from tenantry_server.domain.roles import MemberRole, Role
from tenantry_server.domain.tokens import ApiToken, TokenKind
from tenantry_server.operator_files import load_catalog

NOW = datetime(2030, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
CATALOG = load_catalog()
HERE, THERE = "0" * 25 + "A", "0" * 25 + "B"


def organization(**given: Any) -> Organization:
    """An active, collaborative organization."""
    values: dict[str, Any] = {
        "id": HERE,
        "name": "Acme",
        "slug": "acme",
        "personal": False,
        "state": OrganizationState.ACTIVE,
        "creator_user_id": "",
        "default_region_id": "",
        "limited_network_egress": False,
        "experimental_config": {},
        "revision": 1,
        "create_time": NOW,
        "update_time": NOW,
    }
    return Organization(**values | given)


def role(*permissions: str, **given: Any) -> Role:
    """A role of the organization."""
    values: dict[str, Any] = {"id": "R", "organization_id": HERE, "name": "Custom", "description": ""}
    return Role(permissions=permissions, **values | given)


def member(standing: MemberRole = MemberRole.MEMBER, *roles: Role, **given: Any) -> Member:
    """A member of the organization."""
    values: dict[str, Any] = {
        "organization_id": HERE,
        "user_id": "U",
        "email": "member@example.com",
        "name": "Member",
        "revision": 1,
        "create_time": NOW,
        "update_time": NOW,
    }
    return Member(role=standing, assigned_roles=roles, **values | given)


def invitation(**given: Any) -> Invitation:
    """A pending invitation, good for another day."""
    values: dict[str, Any] = {
        "id": "I",
        "organization_id": HERE,
        "organization_name": "Acme",
        "email": "invited@example.com",
        "state": InvitationState.PENDING,
        "role": MemberRole.MEMBER,
        "assigned_roles": (),
        "inviter_email": "",
        "granter_user_id": "U",
        "granter_token_id": "",
        "expire_time": NOW + timedelta(days=1),
        "revision": 1,
        "create_time": NOW,
        "update_time": NOW,
    }
    return Invitation(**values | given)


def api_token(*permissions: str, **given: Any) -> ApiToken:
    """A token of a person, bound to the organization, that never expires; without permissions one that narrows nothing."""
    values: dict[str, Any] = {
        "id": "T",
        "kind": TokenKind.USER,
        "name": "Token",
        "description": "",
        "user_id": "U",
        "organization_id": HERE,
        "creator_id": "U",
        "hint": "tnt_usr_abcd",
        "permissions": permissions or None,
        "expire_time": None,
        "revision": 1,
        "create_time": NOW,
        "update_time": NOW,
    }
    return ApiToken(**values | given)


def access(*permissions: str, **given: Any) -> Access:
    """What somebody with these permissions may do."""
    values: dict[str, Any] = {"organization": organization(), "holds_everything": False}
    return Access(permissions=frozenset(permissions), **values | given)
