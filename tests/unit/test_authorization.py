"""Who may do what: one standing decides, in every combination of what can be true; and what a caller is told."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from support.standings import CATALOG, HERE, OWN, PAY, PERMISSIONS, READ, RULE, TOKEN, UNKNOWN, USER, WRITE, WRITER, standings

from tenantry_server.domain.authorization import (
    Decision,
    Sight,
    Standing,
    View,
    decide,
    ensure_reached,
    held,
    sight_of_standing,
    view,
)
from tenantry_server.domain.errors import PermissionMissing, RevisionNotReached
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.principal import Principal, PrincipalKind
from tenantry_server.domain.roles import MemberRole

ACTIVE, SUSPENDED, DELETED = OrganizationState.ACTIVE, OrganizationState.SUSPENDED, OrganizationState.DELETED
USERS = Principal(kind=PrincipalKind.USER, user_id=USER)
MEMBER = Standing(organization_id=HERE, principal=USERS, state=ACTIVE, revision=7, member_role=MemberRole.MEMBER)


def _holds(standing: Standing, permission: str) -> bool:
    """The rule, written anew."""
    who = standing.principal
    if who is None or who.kind is PrincipalKind.PLATFORM or standing.state is not ACTIVE:
        return False
    if standing.token_expired or standing.secret_expired or standing.excluded or permission not in CATALOG.permissions:
        return False
    if who.organization_id not in ("", HERE) or (who.permissions is not None and permission not in who.permissions):
        return False
    if who.kind is PrincipalKind.ORGANIZATION or standing.member_role is MemberRole.OWNER:
        return True
    granted = {name for role in standing.roles for name in role.permissions} | {READ}
    return standing.member_role is MemberRole.MEMBER and permission in granted


def test_whoever_it_is_holds_what_the_rule_says_and_nothing_else() -> None:
    for standing in standings():
        assert held(CATALOG, standing) == {name for name in PERMISSIONS if _holds(standing, name)}, standing


def test_what_decides_allows_if_and_only_if_the_permission_is_held() -> None:
    for standing in standings():
        allowed = held(CATALOG, standing)
        for permission in PERMISSIONS:
            assert decide(CATALOG, standing, permission).allows == (permission in allowed), (standing, permission)


def _token(kind: PrincipalKind = PrincipalKind.USER, **more: Any) -> Principal:
    user_id = "" if kind in (PrincipalKind.ORGANIZATION, PrincipalKind.PLATFORM) else USER
    return Principal(kind=kind, user_id=user_id, credential_id=TOKEN, **more)


def _standing(**facts: Any) -> Standing:
    return Standing(**{field.name: getattr(MEMBER, field.name) for field in fields(Standing)} | facts)


@pytest.mark.parametrize(
    ("facts", "permission", "decision"),
    [
        ({"member_role": MemberRole.OWNER}, RULE, Decision.OWNER),
        ({"member_role": MemberRole.OWNER, "roles": (WRITER,)}, WRITE, Decision.OWNER),
        ({}, READ, Decision.IMPLICIT),
        ({"roles": (WRITER,)}, WRITE, Decision.ROLE),
        ({"roles": (OWN,)}, PAY, Decision.ROLE),
        (
            {"principal": _token(PrincipalKind.ORGANIZATION, organization_id=HERE), "member_role": None},
            RULE,
            Decision.ORGANIZATION_TOKEN,
        ),
        ({}, UNKNOWN, Decision.UNKNOWN_PERMISSION),
        ({"roles": (OWN,)}, "lost:thing", Decision.UNKNOWN_PERMISSION),
        ({"principal": None}, READ, Decision.UNKNOWN_CREDENTIAL),
        ({"principal": _token(PrincipalKind.PLATFORM)}, READ, Decision.PLATFORM_CREDENTIAL),
        ({"state": None, "member_role": None}, READ, Decision.UNKNOWN_ORGANIZATION),
        (
            {"principal": _token(PrincipalKind.USER_IN_ORGANIZATION, organization_id="O2")},
            READ,
            Decision.OUT_OF_REACH,
        ),
        ({"token_expired": True, "principal": _token()}, READ, Decision.CREDENTIAL_EXPIRED),
        ({"secret_expired": True, "principal": _token()}, READ, Decision.CREDENTIAL_EXPIRED),
        ({"excluded": True, "principal": _token()}, READ, Decision.EXCLUDED),
        ({"member_role": None}, READ, Decision.NOT_A_MEMBER),
        ({"state": SUSPENDED}, READ, Decision.ORGANIZATION_SUSPENDED),
        ({"state": DELETED, "member_role": MemberRole.OWNER}, READ, Decision.ORGANIZATION_DELETED),
        ({}, WRITE, Decision.NOT_GRANTED),
        ({"roles": (WRITER,)}, RULE, Decision.NOT_GRANTED),
        ({"principal": _token(permissions=frozenset({WRITE}))}, READ, Decision.NARROWED),
        ({"principal": _token(permissions=frozenset())}, READ, Decision.NARROWED),
    ],
)
def test_the_first_of_what_denies_decides(facts: dict[str, Any], permission: str, decision: Decision) -> None:
    assert decide(CATALOG, _standing(**facts), permission) is decision


def test_decisions_are_in_the_order_in_which_they_decide() -> None:
    everything_denies = {
        "principal": _token(PrincipalKind.USER_IN_ORGANIZATION, organization_id="O2", permissions=frozenset({RULE})),
        "state": SUSPENDED,
        "token_expired": True,
        "excluded": True,
        "member_role": None,
    }
    removals: list[tuple[str, Any]] = [
        ("principal", _token(permissions=frozenset({RULE}))),
        ("token_expired", False),
        ("excluded", False),
        ("member_role", MemberRole.MEMBER),
        ("state", ACTIVE),
        ("roles", (WRITER,)),
        ("principal", USERS),
    ]
    seen = [decide(CATALOG, _standing(**everything_denies), WRITE)]
    for name, value in removals:
        everything_denies[name] = value
        seen.append(decide(CATALOG, _standing(**everything_denies), WRITE))
    order = list(Decision)
    assert seen[-1] is Decision.ROLE
    assert [order.index(decision) for decision in seen[:-1]] == sorted({order.index(decision) for decision in seen[:-1]})


# -- what a caller is told -------------------------------------------------------------------------------------------------

SEES = Sight(ACTIVE, 7, frozenset({"member:read"}))


@pytest.mark.parametrize(
    ("kind", "permissions", "sight", "is_own", "told"),
    [
        (PrincipalKind.USER, None, None, True, View.UNSEEN),
        (PrincipalKind.USER, None, None, False, View.UNSEEN),
        (PrincipalKind.USER, None, SEES, True, View.FULL),
        (PrincipalKind.USER, None, SEES, False, View.FULL),
        (PrincipalKind.USER, None, Sight(ACTIVE, 7, frozenset()), True, View.FULL),
        (PrincipalKind.USER, None, Sight(SUSPENDED, 7, SEES.permissions), True, View.FULL),
        (PrincipalKind.USER, None, Sight(SUSPENDED, 7, SEES.permissions), False, View.CLOSED),
        (PrincipalKind.ORGANIZATION, None, Sight(DELETED, 7, frozenset()), False, View.CLOSED),
        (PrincipalKind.PLATFORM, None, None, False, View.FULL),
        (PrincipalKind.PLATFORM, frozenset({"authorization:check"}), None, False, View.FULL),
        (PrincipalKind.PLATFORM, frozenset({"user:read"}), None, True, View.UNSEEN),
    ],
)
def test_a_caller_is_told_what_they_may_know(
    kind: PrincipalKind, permissions: frozenset[str] | None, sight: Sight | None, is_own: bool, told: View
) -> None:
    assert view(Principal(kind=kind, permissions=permissions), sight, is_own=is_own) is told


def test_a_caller_without_the_right_to_read_members_is_refused_only_about_others() -> None:
    caller, blind = Principal(kind=PrincipalKind.USER, user_id=USER), Sight(ACTIVE, 7, frozenset({"role:read"}))
    with pytest.raises(PermissionMissing) as refusal:
        view(caller, blind, is_own=False)
    assert refusal.value.metadata == {"permissions": "member:read"}


def test_a_sight_is_there_for_whom_the_organization_is_within_reach() -> None:
    for standing in standings():
        sight, who = sight_of_standing(CATALOG, standing), standing.principal
        is_good = who is not None and not (standing.token_expired or standing.secret_expired or standing.excluded)
        is_reached = (
            is_good and who is not None and who.kind is not PrincipalKind.PLATFORM and who.organization_id in ("", HERE)
        )
        belongs = who is not None and (not who.user_id or standing.member_role is not None)
        assert (sight is not None) == (is_reached and belongs and standing.state is not None), standing
        if sight is not None:
            assert (sight.state, sight.revision) == (standing.state, 7)


def test_data_older_than_asked_for_is_refused_with_both_revisions() -> None:
    ensure_reached(7, 0)
    ensure_reached(7, 7)
    with pytest.raises(RevisionNotReached) as refusal:
        ensure_reached(7, 8)
    assert refusal.value.metadata == {"revision": "7", "at_least_revision": "8"}
