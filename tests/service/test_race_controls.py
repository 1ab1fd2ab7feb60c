"""Negative controls of the races: with the protection taken away, the same threads at the same places break the same rule.

What is broken here is broken on a server of the test's own.
"""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from support import raw, weaken
from support.interleave import Meeting, at_once, refused
from support.race import Race, Scene
from support.race_owners import leaves
from support.race_scenes import RACES
from support.rpc import Refused
from support.world import World

pytest_plugins = ("support.only",)

_ROUNDS = 5
# As many as meet at once: a server on SQLite has four threads.
_CROWD = 4


def _broken(race: Race, world: World, judge: Callable[[Scene, list[Any]], str]) -> list[str]:
    """What was wrong, in the rounds where something was. In every round everybody meets."""
    wrong = []
    for _ in range(_ROUNDS):
        scene = race.stage(world, min(race.crowd, _CROWD))
        with Meeting(world.deployment.database, *race.meet, parties=len(scene.acts)) as meeting:
            results = at_once(*[act.do for act in scene.acts])
        assert meeting.met
        if verdict := judge(scene, results):
            wrong.append(verdict)
    return wrong


def _own(race: Race, deploy: Callable[..., World]) -> World:
    return deploy() if race.limits is None else deploy(limits=race.limits)


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_without_the_lock_and_the_constraints_the_rule_is_broken(
    race: Race, deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _own(race, deploy_own)
    weaken.table(world.deployment.url, *race.constraints)
    weaken.lock(monkeypatch, world.deployment.database)
    assert len(_broken(race, world, Scene.verdict)) == _ROUNDS


# On PostgreSQL alone: on SQLite the lock is the transaction itself, and half a change is no sound one.
@pytest.mark.parametrize("race", [race for race in RACES if race.constraints], ids=lambda race: race.name)
def test_without_the_lock_the_constraints_still_keep_the_data_sound(
    race: Race, on_postgresql: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _own(race, on_postgresql)
    weaken.lock(monkeypatch, world.deployment.database)
    assert _broken(race, world, lambda scene, results: scene.wrong(results)) == []


def test_without_the_lock_the_audit_trails_key_still_lets_one_change_have_a_revision(
    on_postgresql: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = on_postgresql()
    weaken.plain_revision(monkeypatch)
    for _ in range(_ROUNDS):
        ana, bo = world.person("ana"), world.person("bo")
        organization = world.organization(ana)
        with raw.connect(world.deployment.url) as connection:
            raw.insert(
                connection,
                "memberships",
                organization_id=organization.id,
                user_id=bo.id,
                role="owner",
                revision=1,
                create_time=0,
                update_time=0,
            )
        scene = Scene([leaves(organization, ana), leaves(organization, bo)])
        with Meeting(world.deployment.database, *RACES[0].meet) as meeting:
            results = at_once(*[act.do for act in scene.acts])
        assert meeting.met
        (loser,) = [result for result in results if refused(result)]
        assert isinstance(loser, Refused)
        assert (loser.code, loser.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert raw.count(world.deployment.database, "memberships", organization_id=organization.id, role="owner") == 1


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_the_lock_keeps_the_rule_at_every_isolation_level(level: str, on_postgresql: Callable[..., World]) -> None:
    world = on_postgresql(prepare=lambda services: weaken.isolation(services.store.database, level))
    database = world.deployment.database
    assert database.execute_sql("SHOW transaction_isolation").fetchone() == (level,)  # type: ignore[no-untyped-call]
    seen = [race for race in RACES if not race.by_reading or level != "repeatable read"]
    for race in [race for race in seen if race.crowd == 2 and not race.limits] * 3:
        scene = race.stage(world, 2)
        with Meeting(database, *race.meet, patience=0.02) as meeting:
            results = at_once(*[act.do for act in scene.acts])
        assert scene.verdict(results) == "", race.name
        assert scene.misspoken(results) == [], race.name
        assert not meeting.met
    assert world.breaches() == []
