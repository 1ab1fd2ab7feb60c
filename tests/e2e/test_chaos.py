"""Connections that are cut and servers that are killed, at random: what was acknowledged happened, once. `make test-ha` goes on
for longer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.commands import Shell
from support.chaos import cut_connections, kill_server
from support.engines import Engines
from support.world import World

pytest_plugins = ("support.only",)
pytestmark = pytest.mark.slow

_CHANGES, _KILLS = 160, 3


def test_under_a_request_id_a_change_happens_once_however_often_connections_are_cut(
    on_postgresql: Callable[..., World],
) -> None:
    world = on_postgresql()
    outcome = cut_connections(world, _CHANGES, request_ids=True)
    assert outcome.cut > 0
    assert (outcome.lost, outcome.doubled) == (0, 0)
    assert len(outcome.there) == len(set(outcome.acknowledged)) == _CHANGES
    assert world.breaches() == []


def test_what_was_acknowledged_is_there_after_the_server_was_killed(engine: str, engines: Engines, tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"DATABASE_URL": engines.new(engine), "MAX_ORGANIZATIONS_PER_USER": "1000000"})
    outcome = kill_server(shell, _KILLS)
    assert outcome.lost == 0
    assert len(outcome.acknowledged) > 5 * _KILLS
    assert shell.run("doctor").stdout == "All invariants hold.\n"
