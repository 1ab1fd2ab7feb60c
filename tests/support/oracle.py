"""Who may call what: the expected verdict on a call, decided anew from what the proto and permissions.yaml say.

It shares no code with the server's policy and principal modules, so that one has to agree with the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import yaml

from tenantry.policy.v1 import policy_pb2

SCOPED = (policy_pb2.ACCESS_LEVEL_UNSPECIFIED, policy_pb2.ACCESS_LEVEL_SCOPED)

USER = policy_pb2.PRINCIPAL_KIND_USER
USER_IN_ORGANIZATION = policy_pb2.PRINCIPAL_KIND_USER_IN_ORGANIZATION
ORGANIZATION = policy_pb2.PRINCIPAL_KIND_ORGANIZATION
PLATFORM = policy_pb2.PRINCIPAL_KIND_PLATFORM

_FILE = Path(__file__).resolve().parents[2] / "server" / "permissions.yaml"


class Credential(Enum):
    """What is presented."""

    NONE = "none"
    BAD = "bad"
    GOOD = "good"


@dataclass(frozen=True)
class Facts:
    """What is true of a caller: the credential, and the standing in the request's organization."""

    credential: Credential = Credential.GOOD
    kind: int = USER
    bound_to: str = ""  # the organization that the token is bound to
    narrowed: frozenset[str] | None = None  # what the token carries; None: it narrows nothing
    member_role: str = ""  # "owner", "member", or none
    granted: frozenset[str] = field(default=frozenset())  # by assigned roles


@dataclass(frozen=True)
class Refusal:
    """What a refused caller is told."""

    code: grpc.StatusCode
    reason: str
    metadata: tuple[tuple[str, str], ...] = ()


def _denied(reason: str, **metadata: str) -> Refusal:
    return Refusal(grpc.StatusCode.PERMISSION_DENIED, reason, tuple(sorted(metadata.items())))


# Reasons that only access gives.
ACCESS_REASONS = frozenset(
    {
        "MISSING_CREDENTIAL",
        "INVALID_CREDENTIAL",
        "PRINCIPAL_KIND_NOT_ALLOWED",
        "ORGANIZATION_NOT_ACCESSIBLE",
        "ORGANIZATION_SUSPENDED",
        "PERMISSION_MISSING",
    }
)


@cache
def permissions_file() -> Any:
    """`permissions.yaml` as data."""
    return yaml.safe_load(_FILE.read_text())


@cache
def grantable() -> frozenset[str]:
    """What roles can grant."""
    return frozenset(permissions_file()["permissions"]) - frozenset(permissions_file()["owner_only"])


def verdict(declared: policy_pb2.Access, caller: Facts, state: str, organization_id: str) -> Refusal | None:
    """What the caller is refused with; None when access is granted. `state` is the request's organization's."""
    if declared.level == policy_pb2.ACCESS_LEVEL_PUBLIC:
        return None
    if caller.credential is Credential.NONE:
        return Refusal(grpc.StatusCode.UNAUTHENTICATED, "MISSING_CREDENTIAL")
    if caller.credential is Credential.BAD:
        return Refusal(grpc.StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIAL")
    if caller.kind not in _kinds(declared):
        kind = policy_pb2.PrincipalKind.Name(caller.kind).removeprefix("PRINCIPAL_KIND_").lower()  # type: ignore[arg-type]
        return _denied("PRINCIPAL_KIND_NOT_ALLOWED", principal_kind=kind)
    if declared.level not in SCOPED:
        return _missing(declared, caller.narrowed)
    if not _has_to_do_with(caller, organization_id) or (state == "deleted" and not declared.allow_deleted):
        return _denied("ORGANIZATION_NOT_ACCESSIBLE", organization_id=organization_id)
    if state == "suspended" and not declared.allow_suspended:
        return _denied("ORGANIZATION_SUSPENDED", organization_id=organization_id)
    return _missing(declared, _held(caller))


def judged_there(
    declared: policy_pb2.Access, caller: Facts, state: str, organization_id: str, *, as_bound: bool
) -> tuple[bool, set[Refusal]]:
    """Of a caller who may call and names an organization to which the method is not scoped: whether the answer can be a good
    one, and which refusals for want of access there may be. `as_bound`: a token bound elsewhere means its own organization.
    """
    named = caller.bound_to if as_bound and caller.bound_to else organization_id
    if not _has_to_do_with(caller, named) or caller.kind == PLATFORM:
        return False, {_denied("ORGANIZATION_NOT_ACCESSIBLE", organization_id=named)}
    held = _held(caller) if named == organization_id else None
    refusals = [_missing(declared, held)]
    if state == "suspended":
        refusals.append(_denied("ORGANIZATION_SUSPENDED", organization_id=named))
    if state == "deleted":
        refusals.append(_denied("ORGANIZATION_NOT_ACCESSIBLE", organization_id=named))
    return True, {refusal for refusal in refusals if refusal}


def may_have_lost_its_organization(caller: Facts, state: str, organization_id: str) -> bool:
    """Whether the caller's token is bound to an organization that is gone, as far as the caller is concerned."""
    return caller.bound_to == organization_id and state == "deleted"


def _kinds(declared: policy_pb2.Access) -> set[int]:
    """The kinds of principal that may call."""
    if declared.level == policy_pb2.ACCESS_LEVEL_PLATFORM:
        return {PLATFORM}
    return set(declared.principals) or {USER, USER_IN_ORGANIZATION, ORGANIZATION}


def _missing(declared: policy_pb2.Access, held: frozenset[str] | None) -> Refusal | None:
    missing = [] if held is None else [name for name in declared.permissions if name not in held]
    return _denied("PERMISSION_MISSING", permissions=",".join(missing)) if missing else None


def _has_to_do_with(caller: Facts, organization_id: str) -> bool:
    if caller.bound_to not in ("", organization_id):
        return False
    return caller.kind == ORGANIZATION or caller.member_role != ""


def _held(caller: Facts) -> frozenset[str]:
    held = frozenset(permissions_file()["permissions"])
    if caller.member_role == "member":
        held = frozenset(permissions_file()["implicit"]) | caller.granted
    return held if caller.narrowed is None else held & caller.narrowed
