"""Questions about permissions, by whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

from tenantry.v1 import authorization_pb2

from .descriptors import code_named
from .rpc import Client, Refused, read_details

_SERVICE = "AuthorizationService."
CHECK, BATCH = _SERVICE + "CheckPermission", _SERVICE + "BatchCheckPermissions"
EFFECTIVE, MEMBERS = _SERVICE + "ListEffectivePermissions", _SERVICE + "ListMembersWithPermission"
ORGANIZATIONS = _SERVICE + "ListAccessibleOrganizations"

Verdict = tuple[bool, int]
Refusal = tuple[grpc.StatusCode, str, dict[str, str]]


def refusal(code: grpc.StatusCode, reason: str, **metadata: str) -> Refusal:
    """What a refused caller sees."""
    return code, reason, metadata


def check(client: Client, organization_id: str, permission: str, **more: Any) -> bool:
    """Whether it is allowed."""
    return bool(client(CHECK, organization_id=organization_id, permission=permission, **more).allowed)


def verdict(client: Client, organization_id: str, permission: str, **more: Any) -> Verdict:
    """Whether it is allowed, and as of which revision."""
    answer = client(CHECK, organization_id=organization_id, permission=permission, **more)
    return answer.allowed, answer.revision


def why(client: Client, organization_id: str, permission: str, **more: Any) -> Any:
    """The explanation; it must fit the answer."""
    answer = client(CHECK, organization_id=organization_id, permission=permission, explain=True, **more)
    told = answer.explanation
    assert answer.allowed == (0 < told.decision < authorization_pb2.PERMISSION_DECISION_UNKNOWN_PERMISSION), answer
    return told


def decision(told: Any) -> str:
    """What decided, by its short name."""
    return authorization_pb2.PermissionDecision.Name(told.decision).removeprefix("PERMISSION_DECISION_")


def changes(told: Any) -> list[str]:
    """What would turn the answer around, by short names, with the role's name if there is one."""
    names = []
    for change in told.changes:
        kind = authorization_pb2.PermissionChangeKind.Name(change.kind).removeprefix("PERMISSION_CHANGE_KIND_")
        names.append(f"{kind} {change.role.name}".strip())
    return names


def batch(client: Client, items: Iterable[dict[str, Any]]) -> list[Verdict | Refusal]:
    """The answers of a batch, in order."""
    return [
        (result.answer.allowed, result.answer.revision)
        if result.HasField("answer")
        else read_details(Refused(code_named(result.error.code), result.error.message), result.error).seen
        for result in client(BATCH, items=list(items)).results
    ]


def every(client: Client, method: str, field: str, *, page_size: int = 0, **request: Any) -> list[str]:
    """A whole list, page by page; no item may come twice."""
    found: list[str] = []
    token = ""
    while True:
        page = client(method, page_size=page_size, page_token=token, **request)
        found += getattr(page, field)
        token = page.next_page_token
        if not token:
            assert found == sorted(set(found)), found
            return found


def effective(client: Client, organization_id: str, **request: Any) -> list[str]:
    """All permissions that somebody holds in an organization."""
    return every(client, EFFECTIVE, "permissions", organization_id=organization_id, **request)


def members_with(client: Client, organization_id: str, permission: str, **request: Any) -> list[str]:
    """All members of an organization who hold a permission."""
    return every(client, MEMBERS, "user_ids", organization_id=organization_id, permission=permission, **request)


def organizations_with(client: Client, permission: str, **request: Any) -> list[str]:
    """All organizations in which somebody holds a permission."""
    return every(client, ORGANIZATIONS, "organization_ids", permission=permission, **request)
