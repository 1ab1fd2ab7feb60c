"""What clients see of memberships that change while they look could have been seen one after the other."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from functools import partial
from typing import Any

import grpc
import pytest
from support.interleave import at_once, outcome, refused
from support.linear import Seen, is_linearizable
from support.rpc import Refused
from support.world import World

_CLIENTS, _TURNS, _USERS = 6, 12, 3
_ACTS = {"add": "MemberService.AddMember", "remove": "MemberService.RemoveMember", "look": "MemberService.GetMember"}
_NOT_DONE = (grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND)


def history_of(world: World, seed: int) -> dict[str, list[Seen]]:
    """What several clients did and saw, by whose membership it was about."""
    owner, users = world.person("owner"), [world.person("user") for _ in range(_USERS)]
    here = {"organization_id": world.organization(owner).id}

    def work(client: int) -> list[tuple[str, Seen]]:
        chance, seen = random.Random(seed * 100 + client), []
        for _ in range(_TURNS):
            user, act = chance.choice(users), chance.choice(["add", "remove", "look", "look"])
            more: dict[str, Any] = {"role": "MEMBER_ROLE_MEMBER"} if act == "add" else {}
            begin = time.monotonic()
            result = outcome(partial(owner.rpc, _ACTS[act], **here, user_id=user.id, **more))
            assert not isinstance(result, Refused) or result.code in _NOT_DONE, str(result)
            seen.append((user.id, Seen(begin, time.monotonic(), act, not refused(result))))
        return seen

    histories: dict[str, list[Seen]] = defaultdict(list)
    for result in at_once(*[partial(work, client) for client in range(_CLIENTS)]):
        assert not refused(result)
        for user_id, seen in result:
            histories[user_id].append(seen)
    return histories


@pytest.mark.parametrize("seed", range(3))
def test_memberships_change_as_if_one_after_the_other(world: World, seed: int) -> None:
    for user_id, history in history_of(world, seed).items():
        assert is_linearizable(history), f"{user_id}: {sorted(history)}"


def test_what_could_not_have_been_seen_is_found() -> None:
    added, removed = Seen(0, 1, "add", answer=True), Seen(2, 3, "remove", answer=True)
    assert is_linearizable([added, removed, Seen(4, 5, "look", answer=False)])
    assert is_linearizable([added, Seen(0.5, 2, "look", answer=False)])
    assert not is_linearizable([added, removed, Seen(4, 5, "look", answer=True)])  # stale
    assert not is_linearizable([added, Seen(0.5, 2, "add", answer=True)])  # twice
    assert not is_linearizable([added, removed, Seen(4, 5, "remove", answer=True)])
    assert not is_linearizable([Seen(0, 1, "add", answer=False)])
    looks = [Seen(0, 9, "add", answer=True), Seen(1, 2, "look", answer=True), Seen(3, 4, "look", answer=False)]
    assert not is_linearizable(looks)  # there, and then not any more
