"""What SQLite acknowledged survives a power loss, at the setting that the server has. `make test-ha` does this more often."""

from __future__ import annotations

from support.power import fail_often

_TIMES = 60


def test_a_power_loss_takes_nothing_that_was_acknowledged_and_leaves_no_half_change() -> None:
    losses = fail_often(_TIMES, seed=1)
    assert losses.failures == _TIMES
    assert losses.acknowledged > 10 * _TIMES
    assert (losses.lost, losses.halved, losses.corrupt) == (0, 0, 0)


def test_at_a_lower_setting_it_would_take_some() -> None:
    losses = fail_often(_TIMES, seed=1, synchronous="normal")
    assert losses.lost > 0
    assert (losses.halved, losses.corrupt) == (0, 0)


def test_without_any_sync_it_would_ruin_the_file() -> None:
    assert fail_often(_TIMES, seed=1, synchronous="off").corrupt > 0
