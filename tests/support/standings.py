"""Standings of every kind, for rules that have to hold of all of them, over a small catalog."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tenantry_server.domain.authorization import Standing
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.permissions import Catalog
from tenantry_server.domain.principal import Principal, PrincipalKind
from tenantry_server.domain.roles import MemberRole, Role

HERE, ELSEWHERE, USER, TOKEN = "O1", "O2", "U1", "T1"
READ, WRITE, PAY, RULE, UNKNOWN = "thing:read", "thing:write", "bill:pay", "thing:rule", "thing:fly"
# Every member reads; owners alone rule; roles write and pay.
PERMISSIONS = (READ, WRITE, PAY, RULE, UNKNOWN)

_WRITER, _MANAGER, _OWNER = "00000000000000000000000001", "00000000000000000000000002", "00000000000000000000000009"
CATALOG = Catalog(
    {
        "permissions": dict.fromkeys((READ, WRITE, PAY, RULE), ""),
        "platform": {"authorization:check": "", "user:read": ""},
        "implicit": [READ],
        "owner_only": [RULE],
        "roles": [
            {"id": _MANAGER, "name": "Manager", "description": "", "permissions": [WRITE, PAY]},
            {"id": _WRITER, "name": "Writer", "description": "", "permissions": [WRITE]},
            {"id": _OWNER, "name": "Owner", "description": "", "permissions": [], "ownership": True},
        ],
    }
)
WRITER, MANAGER = CATALOG.roles[_WRITER], CATALOG.roles[_MANAGER]
# A role of the organization that grants something the catalog has lost, too.
OWN = Role(id="R3", organization_id=HERE, name="Payer", description="", permissions=(PAY, "lost:thing"))
ROLES = ((), (WRITER,), (OWN,), (WRITER, MANAGER, OWN))

_NARROWED = (None, frozenset({WRITE, PAY}), frozenset({READ}), frozenset({RULE, "lost:thing"}))


def principals() -> Iterator[Principal | None]:
    """Everybody whom a question can be about."""
    yield None
    yield Principal(kind=PrincipalKind.USER, user_id=USER)
    yield Principal(kind=PrincipalKind.USER, user_id=USER, credential_id="I1", signed_in=True)
    for permissions in _NARROWED:
        token = {"credential_id": TOKEN, "permissions": permissions}
        yield Principal(kind=PrincipalKind.USER, user_id=USER, **token)  # type: ignore[arg-type]
        yield Principal(kind=PrincipalKind.PLATFORM, **token)  # type: ignore[arg-type]
        for bound in (HERE, ELSEWHERE):
            yield Principal(kind=PrincipalKind.USER_IN_ORGANIZATION, user_id=USER, organization_id=bound, **token)  # type: ignore[arg-type]
            yield Principal(kind=PrincipalKind.ORGANIZATION, organization_id=bound, **token)  # type: ignore[arg-type]


def standings() -> Iterator[Standing]:
    """All that can be true of somebody: users alone are members, tokens alone expire and are kept out."""
    for principal, state in product(principals(), (None, *OrganizationState)):
        is_person = principal is not None and principal.user_id and state
        is_token = principal is not None and principal.credential_id and not principal.signed_in
        flags = (False, True) if is_token else (False,)
        for member_role in (None, *MemberRole) if is_person else (None,):
            for token_expired, secret_expired, excluded in product(flags, flags, flags):
                for roles in ROLES if member_role else ((),):
                    yield Standing(
                        organization_id=HERE,
                        principal=principal,
                        state=state,
                        revision=7 if state else 0,
                        token_expired=token_expired,
                        secret_expired=secret_expired,
                        excluded=excluded,
                        member_role=member_role,
                        roles=roles,
                    )
