"""The changes that an explanation names turn the answer around, all of them together and none of them less."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from support.standings import (
    CATALOG,
    ELSEWHERE,
    HERE,
    MANAGER,
    OWN,
    PAY,
    PERMISSIONS,
    READ,
    RULE,
    TOKEN,
    UNKNOWN,
    USER,
    WRITE,
    WRITER,
    principals,
    standings,
)

from tenantry_server.domain.authorization import Decision, Standing, held
from tenantry_server.domain.explanations import ChangeKind, Remedy, explain, explain_closed, explain_unseen
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.principal import Principal, PrincipalKind
from tenantry_server.domain.roles import MemberRole, Role

# Changes that may be named in the small world, whatever they do there.
_GIVING = [
    *(Remedy(ChangeKind.ADD_MEMBER, role, MemberRole.MEMBER) for role in (None, WRITER, MANAGER, OWN)),
    Remedy(ChangeKind.ADD_MEMBER, None, MemberRole.OWNER),
    *(Remedy(ChangeKind.ASSIGN_ROLE, role) for role in (WRITER, MANAGER, OWN)),
    *(Remedy(kind) for kind in (ChangeKind.MAKE_OWNER, ChangeKind.WIDEN_TOKEN, ChangeKind.EXTEND_TOKEN)),
    *(Remedy(kind) for kind in (ChangeKind.REACTIVATE_ORGANIZATION, ChangeKind.UNDELETE_ORGANIZATION)),
]
_FINAL = {
    Decision.UNKNOWN_PERMISSION,
    Decision.UNKNOWN_CREDENTIAL,
    Decision.PLATFORM_CREDENTIAL,
    Decision.UNKNOWN_ORGANIZATION,
    Decision.OUT_OF_REACH,
    Decision.EXCLUDED,
}


def applied(standing: Standing, permission: str, changes: tuple[Remedy, ...]) -> Standing:
    """The standing after these changes, as far as each of them can be made."""
    for change in changes:
        standing = _apply(standing, permission, change)
    return standing


def _apply(standing: Standing, permission: str, change: Remedy) -> Standing:
    who, is_member = standing.principal, standing.member_role is not None
    assert who is not None
    roles = tuple(role for role in standing.roles if role is not change.role)
    match change.kind:
        case ChangeKind.ADD_MEMBER if who.user_id and not is_member:
            return replace(standing, member_role=change.member_role, roles=(change.role,) if change.role else ())
        case ChangeKind.ASSIGN_ROLE if is_member and change.role:
            return replace(standing, roles=(*roles, change.role))
        case ChangeKind.MAKE_OWNER if is_member:
            return replace(standing, member_role=MemberRole.OWNER)
        case ChangeKind.WIDEN_TOKEN if who.permissions is not None:
            return replace(standing, principal=replace(who, permissions=who.permissions | {permission}))
        case ChangeKind.NARROW_TOKEN:
            carried = CATALOG.all if who.permissions is None else who.permissions
            return replace(standing, principal=replace(who, permissions=carried - {permission}))
        case ChangeKind.REVOKE_TOKEN:
            return replace(standing, principal=None)
        case ChangeKind.EXTEND_TOKEN:
            return replace(standing, token_expired=False)
        case ChangeKind.REACTIVATE_ORGANIZATION if standing.state is OrganizationState.SUSPENDED:
            return replace(standing, state=OrganizationState.ACTIVE)
        case ChangeKind.UNDELETE_ORGANIZATION if standing.state is OrganizationState.DELETED:
            return replace(standing, state=OrganizationState.ACTIVE)
        case ChangeKind.REMOVE_MEMBER:
            return replace(standing, member_role=None, roles=())
        case ChangeKind.MAKE_MEMBER:
            return replace(standing, member_role=MemberRole.MEMBER)
        case ChangeKind.UNASSIGN_ROLE:
            return replace(standing, roles=roles)
    return standing


def _is_held(standing: Standing, permission: str, changes: tuple[Remedy, ...] = ()) -> bool:
    return permission in held(CATALOG, applied(standing, permission, changes))


def test_the_changes_turn_the_answer_around_and_none_of_them_can_be_left_out() -> None:
    for standing in standings():
        for permission in PERMISSIONS:
            told, before = explain(CATALOG, standing, permission, [OWN]), _is_held(standing, permission)
            assert told.decision.allows == before
            if not told.changes:
                assert told.decision in _FINAL or standing.secret_expired or standing.excluded
                continue
            assert _is_held(standing, permission, told.changes) != before, (standing, permission, told)
            for fewer in combinations(told.changes, len(told.changes) - 1):
                assert _is_held(standing, permission, fewer) == before, (standing, permission, told)


def test_no_smaller_set_turns_a_denial_around_and_none_of_its_size_gives_less() -> None:
    for standing in (standing for standing in standings() if standing.principal and not standing.secret_expired):
        for permission in (READ, WRITE, PAY, RULE):
            told = explain(CATALOG, standing, permission, [OWN])
            if told.decision.allows or not told.changes:
                continue
            most = len(told.changes)
            if most > 2:  # what each of them is for was just seen
                continue
            given = len(held(CATALOG, applied(standing, permission, told.changes)))
            for size in range(1, most + 1):
                for others in combinations(_GIVING, size):
                    if _is_held(standing, permission, others):
                        assert size == most, (standing, permission, others)
                        assert given <= len(held(CATALOG, applied(standing, permission, others))), (standing, others)


def _standing(principal: Principal, **facts: object) -> Standing:
    known = {"organization_id": HERE, "state": OrganizationState.ACTIVE, "revision": 7, "member_role": MemberRole.MEMBER}
    return Standing(principal=principal, **(known | facts))  # type: ignore[arg-type]


_USER = Principal(kind=PrincipalKind.USER, user_id=USER)


def _changes(standing: Standing, permission: str, *own: Role) -> list[tuple[ChangeKind, str | None]]:
    told = explain(CATALOG, standing, permission, own)
    return [(change.kind, change.role.name if change.role else change.member_role) for change in told.changes]


@pytest.mark.parametrize(
    ("standing", "permission", "changes"),
    [
        (_standing(_USER), WRITE, [(ChangeKind.ASSIGN_ROLE, "Writer")]),
        (_standing(_USER), PAY, [(ChangeKind.ASSIGN_ROLE, "Payer")]),
        (_standing(_USER), RULE, [(ChangeKind.MAKE_OWNER, None)]),
        (_standing(_USER, member_role=None), READ, [(ChangeKind.ADD_MEMBER, MemberRole.MEMBER)]),
        (_standing(_USER, member_role=None), WRITE, [(ChangeKind.ADD_MEMBER, "Writer")]),
        (_standing(_USER, member_role=None), RULE, [(ChangeKind.ADD_MEMBER, MemberRole.OWNER)]),
        (_standing(_USER, roles=(WRITER, MANAGER)), WRITE, [(ChangeKind.UNASSIGN_ROLE, r) for r in ("Writer", "Manager")]),
        (
            _standing(_USER, member_role=MemberRole.OWNER, roles=(WRITER,)),
            WRITE,
            [(ChangeKind.MAKE_MEMBER, None), (ChangeKind.UNASSIGN_ROLE, "Writer")],
        ),
        (_standing(_USER, member_role=MemberRole.OWNER), READ, [(ChangeKind.REMOVE_MEMBER, None)]),
    ],
)
def test_of_several_sets_the_one_that_gives_or_takes_the_least_is_named(
    standing: Standing, permission: str, changes: list[tuple[ChangeKind, str | None]]
) -> None:
    assert _changes(standing, permission, OWN) == changes


def test_what_a_token_needs_is_named_in_the_order_of_what_stands_in_the_way() -> None:
    token = Principal(kind=PrincipalKind.USER, user_id=USER, credential_id=TOKEN, permissions=frozenset({READ}))
    standing = _standing(token, member_role=None, state=OrganizationState.SUSPENDED, token_expired=True)
    kinds = [kind for kind, _ in _changes(standing, WRITE)]
    assert kinds == [
        ChangeKind.ADD_MEMBER,
        ChangeKind.REACTIVATE_ORGANIZATION,
        ChangeKind.EXTEND_TOKEN,
        ChangeKind.WIDEN_TOKEN,
    ]


def test_a_token_is_narrowed_and_one_that_would_carry_nothing_is_revoked() -> None:
    for permissions, kind in ((None, ChangeKind.NARROW_TOKEN), ({READ, WRITE}, ChangeKind.NARROW_TOKEN)):
        token = Principal(
            kind=PrincipalKind.USER,
            user_id=USER,
            credential_id=TOKEN,
            permissions=frozenset(permissions) if permissions else None,
        )
        assert _changes(_standing(token), READ) == [(kind, None)]
    alone = Principal(kind=PrincipalKind.USER, user_id=USER, credential_id=TOKEN, permissions=frozenset({READ, "lost:thing"}))
    assert _changes(_standing(alone), READ) == [(ChangeKind.REVOKE_TOKEN, None)]


def test_the_ownership_role_is_never_one_to_assign() -> None:
    told = explain(CATALOG, _standing(_USER), RULE, ())
    assert [change.kind for change in told.changes] == [ChangeKind.MAKE_OWNER]


def test_who_may_not_know_the_organization_is_told_the_same_whatever_stands_there() -> None:
    for permission in PERMISSIONS:
        for who in (who for who in principals() if who is not None):
            bare = Standing(organization_id=HERE, principal=who)
            expected = explain_unseen(CATALOG, bare, permission)
            assert not expected.decision.allows
            assert (expected.state, expected.member_role, expected.granting_roles) == (None, None, ())
            for standing in (standing for standing in standings() if standing.principal == who):
                assert explain_unseen(CATALOG, standing, permission) == expected


def test_who_may_not_know_the_organization_is_told_to_become_a_member() -> None:
    told = explain_unseen(CATALOG, Standing(organization_id=HERE, principal=_USER), WRITE)
    assert told.decision is Decision.NOT_A_MEMBER
    assert told.changes == (Remedy(ChangeKind.ADD_MEMBER, WRITER, MemberRole.MEMBER),)
    token = Principal(kind=PrincipalKind.ORGANIZATION, organization_id=ELSEWHERE, credential_id=TOKEN)
    assert explain_unseen(CATALOG, Standing(organization_id=HERE, principal=token), READ).decision is Decision.OUT_OF_REACH
    gone = Principal(kind=PrincipalKind.ORGANIZATION, organization_id=HERE, credential_id=TOKEN)
    assert explain_unseen(CATALOG, Standing(organization_id=HERE, principal=gone), READ).decision is Decision.NOT_A_MEMBER


def test_of_others_in_an_organization_that_is_not_active_nothing_is_told() -> None:
    told = explain_closed(CATALOG, OrganizationState.SUSPENDED, READ)
    assert told.decision is Decision.ORGANIZATION_SUSPENDED
    assert (told.member_role, told.granting_roles, told.token, told.changes) == (None, (), None, ())
    assert explain_closed(CATALOG, OrganizationState.DELETED, UNKNOWN).decision is Decision.UNKNOWN_PERMISSION
