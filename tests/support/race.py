"""What a race is: who does what at once, how the loser is refused, and what must be true in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from tenantry_server.services.service import Limits

from .interleave import Place, refused
from .raw import count
from .rpc import Refused
from .world import World

Refusal = tuple[grpc.StatusCode, str, dict[str, str]]
Code = grpc.StatusCode


@dataclass
class Act:
    """What somebody does, and how they may be refused when they come too late."""

    do: Callable[[], Any]
    refusals: tuple[Refusal, ...] = ()


@dataclass
class Scene:
    """A round of a race: the acts, how many of them may succeed, and what else is wrong in the end (empty: nothing)."""

    acts: list[Act]
    wins: tuple[int, ...] = (1,)
    wrong: Callable[[list[Any]], str] = lambda results: ""
    organization_id: str = ""

    def verdict(self, results: list[Any]) -> str:
        """What is wrong with the outcome; empty when nothing is."""
        successes = sum(not refused(result) for result in results)
        if successes not in self.wins:
            return f"{successes} succeeded: {[str(result) for result in results if refused(result)]}"
        return self.wrong(results)

    def misspoken(self, results: list[Any]) -> list[str]:
        """Refusals that say something else than they should."""
        return [
            str(result)
            for act, result in zip(self.acts, results, strict=True)
            if isinstance(result, Refused) and result.seen not in act.refusals
        ]


@dataclass(frozen=True)
class Race:
    """A race: how it is staged, the writes that no two may reach together, and what else than the lock protects it."""

    name: str
    stage: Callable[[World, int], Scene]
    meet: tuple[Place, ...]
    crowd: int = 2
    limits: Limits | None = None
    constraints: tuple[str, ...] = ()  # tables whose constraints alone would prevent it
    rounds: int = 20
    by_reading: bool = False  # what was waited for must be seen: by one snapshot for the whole transaction it is not


def not_one(world: World, table: str, **where: Any) -> Callable[[list[Any]], str]:
    def wrong(results: list[Any]) -> str:
        found = count(world.deployment.database, table, **where)
        return "" if found == 1 else f"{found} {table}"

    return wrong
