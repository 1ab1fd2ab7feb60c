"""What a principal may do: effective permissions, and the order in which a requirement refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import CATALOG, HERE, THERE, access, organization, role

from tenantry_server.domain import principal as rules
from tenantry_server.domain.errors import (
    OrganizationNotAccessible,
    OrganizationSuspended,
    PermissionMissing,
    PrincipalKindNotAllowed,
    TenantryError,
)
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.principal import OPERATOR, Access, Level, Principal, PrincipalKind, Requirement
from tenantry_server.domain.roles import MemberRole, Role

SUSPENDED, DELETED = OrganizationState.SUSPENDED, OrganizationState.DELETED
EVERYBODY = frozenset(PrincipalKind)
PERMISSIONS = st.frozensets(st.sampled_from(sorted(CATALOG.all)))
NARROWED = st.none() | PERMISSIONS


def person(**given: Any) -> Principal:
    """A person with a token of their own."""
    return Principal(kind=PrincipalKind.USER, user_id="U", **given)


def robot(organization_id: str = HERE, **given: Any) -> Principal:
    """A token that an organization owns."""
    return Principal(kind=PrincipalKind.ORGANIZATION, organization_id=organization_id, **given)


def held(who: Principal, standing: MemberRole | None = None, *roles: Role) -> Access | None:
    """What they may do in the organization."""
    return rules.access(CATALOG, who, organization(), member_role=standing, roles=roles)


@given(NARROWED)
def test_an_owner_holds_everything_that_the_token_lets_through(narrowed: frozenset[str] | None) -> None:
    found = held(person(permissions=narrowed), MemberRole.OWNER)
    assert found is not None
    assert found.permissions == (CATALOG.all if narrowed is None else narrowed)
    assert found.holds_everything == (found.permissions == CATALOG.all)
    assert found.is_owner


@given(PERMISSIONS, PERMISSIONS, NARROWED)
def test_a_member_holds_the_implicit_permissions_and_those_of_the_roles(
    one: frozenset[str], other: frozenset[str], narrowed: frozenset[str] | None
) -> None:
    found = held(person(permissions=narrowed), MemberRole.MEMBER, role(*one, id="A"), role(*other, id="B"))
    assert found is not None
    assert found.permissions == (CATALOG.implicit | one | other) & (CATALOG.all if narrowed is None else narrowed)
    assert not found.is_owner
    assert found.role_ids == {"A", "B"}


def test_a_permission_that_the_catalog_no_longer_has_grants_nothing() -> None:
    found = held(person(), MemberRole.MEMBER, role("gone:read"))
    assert found is not None
    assert found.permissions == CATALOG.implicit


@given(NARROWED)
def test_an_organizations_token_holds_what_it_carries(narrowed: frozenset[str] | None) -> None:
    found = held(robot(permissions=narrowed))
    assert found is not None
    assert found.permissions == (CATALOG.all if narrowed is None else narrowed)
    assert not found.is_owner


def test_the_operator_holds_everything() -> None:
    found = held(OPERATOR)
    assert found is not None
    assert found.holds_everything


@pytest.mark.parametrize("who", [person(), person(organization_id=HERE), robot(THERE)])
def test_strangers_have_no_access(who: Principal) -> None:
    assert held(who) is None


def test_a_token_bound_to_another_organization_has_none_even_for_an_owner() -> None:
    assert held(person(organization_id=THERE), MemberRole.OWNER) is None


def test_a_principal_goes_by_the_user_or_by_the_organization() -> None:
    assert (person().id, person(organization_id=HERE).id, robot().id, OPERATOR.id) == ("U", "U", HERE, "")


def refusal(requirement: Requirement, found: Access | None) -> tuple[type[TenantryError], dict[str, str]] | None:
    """How the requirement refuses this access."""
    try:
        requirement.ensure_access(found, organization_id="as sent")
    except TenantryError as error:
        return type(error), error.metadata
    return None


SCOPED = Requirement(level=Level.SCOPED, permissions=("role:read", "role:update"), kinds=EVERYBODY)
NOT_ACCESSIBLE = (OrganizationNotAccessible, {"organization_id": "as sent"})


def test_a_stranger_is_told_nothing() -> None:
    assert refusal(SCOPED, None) == NOT_ACCESSIBLE


@pytest.mark.parametrize(
    ("state", "options", "told"),
    [
        (SUSPENDED, {}, (OrganizationSuspended, {"organization_id": HERE})),
        (SUSPENDED, {"allow_suspended": True}, (PermissionMissing, {"permissions": "role:update"})),
        (SUSPENDED, {"allow_deleted": True}, (OrganizationSuspended, {"organization_id": HERE})),
        (DELETED, {}, NOT_ACCESSIBLE),
        (DELETED, {"allow_suspended": True}, NOT_ACCESSIBLE),
        (DELETED, {"allow_deleted": True}, (PermissionMissing, {"permissions": "role:update"})),
    ],
)
def test_the_organizations_state_is_told_before_what_is_missing(
    state: OrganizationState, options: dict[str, bool], told: tuple[type[TenantryError], dict[str, str]]
) -> None:
    requirement = Requirement(level=Level.SCOPED, permissions=SCOPED.permissions, kinds=EVERYBODY, **options)
    assert refusal(requirement, access("role:read", organization=organization(state=state))) == told


@pytest.mark.parametrize(
    ("permissions", "missing"),
    [((), "role:read,role:update"), (("role:update",), "role:read"), (("role:read", "role:create"), "role:update")],
)
def test_all_that_is_missing_is_named(permissions: tuple[str, ...], missing: str) -> None:
    assert refusal(SCOPED, access(*permissions)) == (PermissionMissing, {"permissions": missing})


def test_who_holds_all_of_it_may() -> None:
    assert refusal(SCOPED, access("role:read", "role:update")) is None


def test_a_kind_that_may_not_call_is_told_so_before_anything_else() -> None:
    requirement = Requirement(
        level=Level.AUTHENTICATED, permissions=("role:read",), kinds=frozenset({PrincipalKind.ORGANIZATION})
    )
    with pytest.raises(PrincipalKindNotAllowed) as caught:
        requirement.ensure_principal(person(permissions=frozenset()))
    assert caught.value.metadata == {"principal_kind": "user"}


@pytest.mark.parametrize(
    ("narrowed", "missing"), [(None, None), (frozenset({"role:read"}), None), (frozenset({"role:update"}), "role:read")]
)
def test_on_the_authenticated_level_the_credential_must_carry_the_permissions(
    narrowed: frozenset[str] | None, missing: str | None
) -> None:
    requirement = Requirement(level=Level.AUTHENTICATED, permissions=("role:read",), kinds=EVERYBODY)
    if missing is None:
        requirement.ensure_principal(person(permissions=narrowed))
    else:
        with pytest.raises(PermissionMissing) as caught:
            requirement.ensure_principal(person(permissions=narrowed))
        assert caught.value.metadata == {"permissions": missing}


@pytest.mark.parametrize(
    ("narrowed", "missing"),
    [(None, None), (frozenset({"user:read", "user:update"}), None), (frozenset({"user:read"}), "user:update")],
)
def test_on_the_platforms_level_the_credential_must_carry_the_permissions(
    narrowed: frozenset[str] | None, missing: str | None
) -> None:
    kinds = frozenset({PrincipalKind.PLATFORM})
    requirement = Requirement(level=Level.PLATFORM, permissions=("user:read", "user:update"), kinds=kinds)
    service = Principal(kind=PrincipalKind.PLATFORM, credential_id="S", permissions=narrowed)
    if missing is None:
        requirement.ensure_principal(service)
    else:
        with pytest.raises(PermissionMissing) as caught:
            requirement.ensure_principal(service)
        assert caught.value.metadata == {"permissions": missing}


@pytest.mark.parametrize("who", [person(), person(organization_id=HERE), robot()])
def test_a_tenant_is_no_operator_whatever_they_carry(who: Principal) -> None:
    requirement = Requirement(level=Level.PLATFORM, permissions=("user:read",), kinds=frozenset({PrincipalKind.PLATFORM}))
    with pytest.raises(PrincipalKindNotAllowed) as caught:
        requirement.ensure_principal(replace(who, kind=kind_of(who), permissions=None))
    assert caught.value.metadata == {"principal_kind": str(kind_of(who))}


def kind_of(who: Principal) -> PrincipalKind:
    """A person through a token that is bound is another kind than a person."""
    bound = who.kind is PrincipalKind.USER and who.organization_id
    return PrincipalKind.USER_IN_ORGANIZATION if bound else who.kind
