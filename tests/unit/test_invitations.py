"""Invitations: the table of moves, in every state and at every instant, and how long one lives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.records import NOW, invitation

from tenantry_server.domain.errors import InvalidRequest, InvitationExpired, InvitationNotPending
from tenantry_server.domain.invitations import MAX_LIFETIME, InvitationState, Move, expiry, move

PENDING, ACCEPTED, DECLINED, CANCELLED, EXPIRED = InvitationState
MILLISECOND = timedelta(milliseconds=1)

# Every move that exists: from where, how, to where.
MOVES = {
    (PENDING, Move.UPDATE): PENDING,
    (PENDING, Move.RESEND): PENDING,
    (PENDING, Move.ACCEPT): ACCEPTED,
    (PENDING, Move.DECLINE): DECLINED,
    (PENDING, Move.CANCEL): CANCELLED,
    (EXPIRED, Move.RESEND): PENDING,
}


@pytest.mark.parametrize("state", InvitationState)
@pytest.mark.parametrize("step", Move)
def test_there_are_these_moves_and_no_others(state: InvitationState, step: Move) -> None:
    if (state, step) in MOVES:
        assert move(invitation(state=state), step, NOW) is MOVES[state, step]
    elif state is EXPIRED:
        with pytest.raises(InvitationExpired) as expired:
            move(invitation(state=state), step, NOW)
        assert expired.value.metadata == {"invitation_id": "I", "expire_time": "2030-01-03T03:04:05.678Z"}
    else:
        with pytest.raises(InvitationNotPending) as refusal:
            move(invitation(state=state), step, NOW)
        assert refusal.value.metadata == {"invitation_id": "I", "state": state.value}


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (NOW + timedelta(days=1) - MILLISECOND, PENDING),
        (NOW + timedelta(days=1), EXPIRED),
        (NOW + timedelta(days=1) + MILLISECOND, EXPIRED),
    ],
)
def test_a_pending_invitation_expires_at_its_instant(now: datetime, state: InvitationState) -> None:
    assert invitation().state_at(now) is state


@pytest.mark.parametrize("state", [ACCEPTED, DECLINED, CANCELLED])
def test_a_final_state_does_not_expire(state: InvitationState) -> None:
    assert invitation(state=state).state_at(NOW + MAX_LIFETIME) is state


def lives_until(wanted: datetime | None) -> datetime:
    """The expire time of an invitation made now."""
    return expiry(NOW, wanted, lifetime=timedelta(days=7), field="expire_time")


def test_it_lives_for_the_servers_lifetime_when_nothing_is_said() -> None:
    assert lives_until(None) == NOW + timedelta(days=7)


@pytest.mark.parametrize("wanted", [NOW + MILLISECOND, NOW + timedelta(days=1), NOW + MAX_LIFETIME])
def test_it_lives_until_when_it_is_told(wanted: datetime) -> None:
    assert lives_until(wanted) == wanted


def test_an_expire_time_is_kept_in_whole_milliseconds() -> None:
    assert lives_until(NOW + timedelta(days=1, microseconds=999)) == NOW + timedelta(days=1)


@pytest.mark.parametrize(
    "wanted",
    [
        NOW,
        NOW - MILLISECOND,
        NOW + timedelta(microseconds=999),  # the same millisecond
        NOW + MAX_LIFETIME + MILLISECOND,
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ],
)
def test_an_instant_that_is_past_or_far_away_is_refused(wanted: datetime) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        lives_until(wanted)
    assert [(v.field, v.rule) for v in refusal.value.violations] == [("expire_time", "EXPIRE_TIME")]
