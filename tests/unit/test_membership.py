"""Who may give whom which access: each guard, on both sides of its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import CATALOG, HERE, access, member, organization, role

from tenantry_server.domain.errors import (
    GrantExceedsOwn,
    LastOwner,
    OwnAccess,
    OwnerProtected,
    PersonalOrganization,
)
from tenantry_server.domain.membership import (
    Grant,
    ensure_holds,
    ensure_may_touch,
    ensure_other,
    ensure_owner_remains,
    ensure_shared,
)
from tenantry_server.domain.principal import Principal, PrincipalKind
from tenantry_server.domain.roles import MemberRole

OWNER, MEMBER = MemberRole
READER, WRITER = role("a:read", id="A"), role("a:read", "a:write", id="B")
PERMISSIONS = st.frozensets(st.sampled_from(sorted(CATALOG.all)))


@given(PERMISSIONS, PERMISSIONS)
def test_nobody_grants_what_they_do_not_hold(held: frozenset[str], granted: frozenset[str]) -> None:
    if granted <= held:
        ensure_holds(access(*held), granted)
    else:
        with pytest.raises(GrantExceedsOwn) as refusal:
            ensure_holds(access(*held), granted)
        assert refusal.value.metadata == {"permissions": ",".join(sorted(granted - held))}


def test_a_personal_organization_is_not_shared() -> None:
    ensure_shared(organization())
    with pytest.raises(PersonalOrganization) as refusal:
        ensure_shared(organization(personal=True))
    assert refusal.value.metadata == {"organization_id": HERE}


def test_nobody_changes_their_own_access() -> None:
    person = Principal(kind=PrincipalKind.USER, user_id="U")
    ensure_other(person, "V")
    ensure_other(Principal(kind=PrincipalKind.ORGANIZATION, organization_id=HERE), "U")
    with pytest.raises(OwnAccess):
        ensure_other(person, "U")


def test_only_who_holds_everything_touches_an_owner() -> None:
    most, everything = access(*CATALOG.all), access(*CATALOG.all, holds_everything=True)
    ensure_may_touch(everything, member(OWNER))
    ensure_may_touch(most, member(MEMBER))
    with pytest.raises(OwnerProtected) as refusal:
        ensure_may_touch(most, member(OWNER))
    assert refusal.value.metadata == {"user_id": "U"}


@pytest.mark.parametrize("owners", [0, 1])
def test_the_last_owner_stays(owners: int) -> None:
    with pytest.raises(LastOwner) as refusal:
        ensure_owner_remains(organization(), owners)
    assert refusal.value.metadata == {"organization_id": HERE}


def test_one_of_two_owners_may_go() -> None:
    ensure_owner_remains(organization(), 2)


@pytest.mark.parametrize(
    ("grant", "amounts_to"),
    [
        (Grant(OWNER), CATALOG.all),
        (Grant(OWNER, (READER,)), CATALOG.all),
        (Grant(MEMBER), set()),
        (Grant(MEMBER, (READER, WRITER)), {"a:read", "a:write"}),
    ],
)
def test_what_a_grant_amounts_to(grant: Grant, amounts_to: set[str]) -> None:
    assert grant.permissions(CATALOG.all) == amounts_to


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        (Grant(MEMBER), Grant(MEMBER), Grant(MEMBER)),
        (Grant(MEMBER, (READER,)), Grant(MEMBER, (READER, WRITER)), Grant(MEMBER, (WRITER,))),
        (Grant(MEMBER, (READER, WRITER)), Grant(MEMBER, (READER,)), Grant(MEMBER)),
        (Grant(MEMBER, (READER,)), Grant(OWNER), Grant(OWNER)),
        (Grant(OWNER), Grant(MEMBER, (WRITER,)), Grant(MEMBER)),
        (Grant(OWNER), Grant(OWNER), Grant(MEMBER)),
    ],
)
def test_somebody_answers_for_what_is_new_in_a_grant(before: Grant, after: Grant, new: Grant) -> None:
    assert after.beyond(before) == new
