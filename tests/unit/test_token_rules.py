"""API tokens: what a new one may be granted, when it must end, and what one can do where, with what takes the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import CATALOG, HERE, NOW, access, api_token, organization

from tenantry_server.domain import tokens
from tenantry_server.domain.errors import GrantExceedsOwn, InvalidRequest, TokenOfPerson
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.principal import Access, Principal, PrincipalKind
from tenantry_server.domain.tokens import ApiToken, Effect, TokenKind, Withholding

TICK = timedelta(milliseconds=1)
NAMES = ("a:read", "b:read", "c:read")
GRANTS = st.none() | st.lists(st.sampled_from(NAMES), unique=True).map(tuple)
ENDS = st.none() | st.integers(-3, 3).map(lambda ticks: NOW + ticks * TICK)
READ, WRITE = "sandbox:read", "sandbox:write"
EVERYTHING = frozenset(NAMES)


def person(permissions: tuple[str, ...] | None = None, expire_time: datetime | None = None) -> Principal:
    """Who calls with a token of these permissions."""
    narrowed = None if permissions is None else frozenset(permissions)
    return Principal(kind=PrincipalKind.USER, user_id="U", permissions=narrowed, expire_time=expire_time)


# -- what may be granted ---------------------------------------------------------------------------------------------


def grants(maker: Principal, permissions: tuple[str, ...] | None, held: frozenset[str]) -> dict[str, str] | None:
    """How the grant is refused, by the metadata; None when it is not."""
    try:
        tokens.ensure_may_grant(maker, permissions, held=held, everything=EVERYTHING)
    except GrantExceedsOwn as refusal:
        return refusal.metadata
    return None


def test_what_goes_beyond_is_named_sorted() -> None:
    assert grants(person(), ("c:read", "a:read", "b:read"), frozenset({"b:read"})) == {"permissions": "a:read,c:read"}


@pytest.mark.parametrize(
    ("narrowed", "held", "told"),
    [
        (None, EVERYTHING, None),
        (None, frozenset({"a:read"}), {"permissions": "b:read,c:read"}),
        (NAMES, EVERYTHING, {"permissions": "*"}),
        ((), frozenset(), {"permissions": "*"}),
    ],
)
def test_a_token_that_narrows_nothing_is_made_by_who_is_not_narrowed_and_holds_everything(
    narrowed: tuple[str, ...] | None, held: frozenset[str], told: dict[str, str] | None
) -> None:
    assert grants(person(narrowed), None, held) == told


@given(GRANTS, GRANTS, st.frozensets(st.sampled_from(NAMES)))
def test_no_token_can_do_more_than_what_makes_it(
    narrowed: tuple[str, ...] | None, wanted: tuple[str, ...] | None, of_owner: frozenset[str]
) -> None:
    maker = person(narrowed)
    held = maker.narrows(of_owner)
    if grants(maker, wanted, held) is None:
        assert person(wanted).narrows(of_owner) <= held
        # Nor later, whatever its owner is given then.
        assert person(wanted).narrows(EVERYTHING) <= maker.narrows(EVERYTHING)


# -- when it ends ----------------------------------------------------------------------------------------------------


@given(ENDS, ENDS)
def test_no_token_outlives_what_makes_it(latest: datetime | None, wanted: datetime | None) -> None:
    maker = person(expire_time=latest)
    if wanted is not None and (wanted <= NOW or (latest is not None and wanted > latest)):
        with pytest.raises(InvalidRequest) as refusal:
            tokens.ensure_ends_before(maker, wanted, NOW)
        assert [(v.field, v.rule) for v in refusal.value.violations] == [("expire_time", "EXPIRE_TIME")]
        return
    end = tokens.ensure_ends_before(maker, wanted, NOW)
    assert end == (latest if wanted is None else wanted)
    assert latest is None or (end is not None and end <= latest)


@pytest.mark.parametrize(("ticks", "is_refused"), [(-1, True), (0, True), (1, False)])
def test_a_token_ends_in_the_future(ticks: int, is_refused: bool) -> None:
    end = NOW + ticks * TICK
    if not is_refused:
        assert tokens.ensure_ends_before(person(), end, NOW) == end
        return
    with pytest.raises(InvalidRequest, match="expire_time"):
        tokens.ensure_ends_before(person(), end, NOW)


@given(ENDS, ENDS)
def test_who_ends_gets_no_secret_of_what_lasts_longer(latest: datetime | None, end: datetime | None) -> None:
    lasts_longer = latest is not None and (end is None or end > latest)
    token = api_token(expire_time=end)
    if not lasts_longer:
        tokens.ensure_not_outlived_by(person(expire_time=latest), token)
        return
    with pytest.raises(InvalidRequest) as refusal:
        tokens.ensure_not_outlived_by(person(expire_time=latest), token)
    assert [(v.field, v.rule) for v in refusal.value.violations] == [("api_token_id", "EXPIRE_TIME")]


# -- what an update does ---------------------------------------------------------------------------------------------


@given(GRANTS, GRANTS, ENDS, ENDS)
def test_an_update_widens_when_something_can_be_done_that_could_not_be_or_for_longer(
    before: tuple[str, ...] | None, after: tuple[str, ...] | None, end: datetime | None, later: datetime | None
) -> None:
    def can(token: ApiToken, name: str, at: datetime) -> bool:
        holds = token.permissions is None or name in token.permissions
        return holds and (token.expire_time is None or at < token.expire_time)

    one, other = (replace(api_token(), permissions=what, expire_time=when) for what, when in ((before, end), (after, later)))
    moments = [NOW + ticks * TICK for ticks in range(-5, 5)]
    gained = any(can(other, name, at) and not can(one, name, at) for name in (*NAMES, "d:read") for at in moments)
    # Narrowing to nothing at all, or ending before all else began, gains nothing; it may be called wider, never narrower.
    assert tokens.widens(one, other) or not gained
    assert not tokens.widens(one, one)


@pytest.mark.parametrize("kind", [TokenKind.USER, TokenKind.PLATFORM])
def test_what_the_organization_does_not_own_it_does_not_change(kind: TokenKind) -> None:
    tokens.ensure_of_organization(api_token(kind=TokenKind.ORGANIZATION))
    with pytest.raises(TokenOfPerson) as refusal:
        tokens.ensure_of_organization(api_token(kind=kind))
    assert refusal.value.metadata == {"api_token_id": "T"}


# -- what it can do --------------------------------------------------------------------------------------------------


def effect(token: ApiToken, given: Access | None, *, excluded: bool = False) -> Effect:
    """What a token can do here and now."""
    return tokens.effect(CATALOG, token, HERE, given, excluded=excluded, now=NOW)


def active(*permissions: str, state: OrganizationState = OrganizationState.ACTIVE) -> Access:
    """What the token gives in an organization in a state."""
    return access(*permissions, organization=organization(state=state))


EXPIRED = {"expire_time": NOW}
CASES: dict[Withholding, tuple[dict[str, Any], Access | None, bool]] = {
    Withholding.EXPIRED: (EXPIRED, active(READ), False),
    Withholding.EXCLUDED: ({}, active(READ), True),
    Withholding.NOT_A_MEMBER: ({}, None, False),
    Withholding.ORGANIZATION_SUSPENDED: ({}, active(READ, state=OrganizationState.SUSPENDED), False),
    Withholding.ORGANIZATION_DELETED: ({}, active(READ, state=OrganizationState.DELETED), False),
}


@pytest.mark.parametrize("reason", CASES)
def test_some_things_take_everything(reason: Withholding) -> None:
    token, given, excluded = CASES[reason]
    found = effect(api_token(READ, "gone:read", **token), given, excluded=excluded)
    assert found == Effect(HERE, (), ((READ, reason), ("gone:read", reason)))


@pytest.mark.parametrize(
    ("granted", "held", "reason"),
    [
        (WRITE, (READ,), Withholding.NOT_HELD_BY_OWNER),
        ("gone:read", (READ,), Withholding.UNKNOWN_PERMISSION),
        ("user:read", (READ,), Withholding.UNKNOWN_PERMISSION),
    ],
)
def test_other_things_take_what_they_are_about(granted: str, held: tuple[str, ...], reason: Withholding) -> None:
    assert effect(api_token(READ, granted), active(*held)) == Effect(HERE, (READ,), ((granted, reason),))


def test_every_reason_has_a_case_here() -> None:
    assert {*CASES, Withholding.NOT_HELD_BY_OWNER, Withholding.UNKNOWN_PERMISSION} == set(Withholding)


@pytest.mark.parametrize(
    ("given", "excluded", "reason"),
    [
        (None, True, Withholding.EXPIRED),
        (active(state=OrganizationState.DELETED), True, Withholding.EXPIRED),
    ],
)
def test_the_tokens_own_end_is_told_before_all_else(given: Access | None, excluded: bool, reason: Withholding) -> None:
    found = effect(api_token(READ, **EXPIRED), given, excluded=excluded)
    assert found.withheld == ((READ, reason),)
    assert effect(api_token(READ, expire_time=NOW + TICK), given, excluded=True).withheld == ((READ, Withholding.EXCLUDED),)


@given(st.frozensets(st.sampled_from(sorted(CATALOG.all))))
def test_a_token_that_narrows_nothing_can_do_what_its_owner_can(held: frozenset[str]) -> None:
    found = effect(api_token(), active(*held))
    assert set(found.permissions) == held
    assert {name for name, _ in found.withheld} == CATALOG.all - held
    assert {reason for _, reason in found.withheld} <= {Withholding.NOT_HELD_BY_OWNER}


@given(
    st.lists(st.sampled_from([READ, WRITE, "gone:read"]), unique=True, min_size=1),
    st.frozensets(st.sampled_from([READ, WRITE])),
    st.sampled_from(OrganizationState),
    st.booleans(),
)
def test_whatever_was_granted_is_effective_or_withheld_and_never_both(
    granted: list[str], held: frozenset[str], state: OrganizationState, excluded: bool
) -> None:
    found = effect(api_token(*granted), active(*held, state=state), excluded=excluded)
    withheld = [name for name, _ in found.withheld]
    assert sorted([*found.permissions, *withheld]) == sorted(granted)
    assert set(found.permissions) <= held
