"""Who is deleted while somebody does something else: every organization keeps an active owner, and no deleted user is left.

Each round brings both to the moment before the first write, where they may not meet; the negative controls show that they
would, and how that ends, without the locks.
"""

from collections.abc import Callable

import pytest
from support import weaken
from support.interleave import Meeting, at_once, refused
from support.race import Race
from support.race_departures import HARMLESS, RACES
from support.world import World

from tenantry_server.store.people import User
from tenantry_server.store.queries import users
from tenantry_server.store.statements import Slot, changing

pytest_plugins = ("support.only",)

_ROUNDS, _FEWER = 10, 3
# How long the first one waits for somebody else who got as far: nobody does.
_MOMENT = 0.02

_READ = changing(lambda: User.select(User.id).where((User.id == Slot("user_id")) & (User.state == "active")))


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_every_organization_keeps_an_active_owner(race: Race, world: World) -> None:
    for _ in range(_ROUNDS):
        scene = race.stage(world, race.crowd)
        before = world.revision(scene.organization_id) if scene.organization_id else 0
        with Meeting(world.deployment.database, *race.meet, patience=_MOMENT) as meeting:
            results = at_once(*[act.do for act in scene.acts])
        assert scene.verdict(results) == ""
        assert scene.misspoken(results) == []
        assert not meeting.met
        if scene.organization_id:
            changes = sum(not refused(result) for result in results)
            assert world.revision(scene.organization_id) <= before + changes
    assert world.breaches() == []


@pytest.mark.parametrize("race", [race for race in RACES if race.name not in HARMLESS], ids=lambda race: race.name)
def test_control_without_the_locks_the_rule_is_broken(
    race: Race, deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    for _ in range(_FEWER):
        scene = race.stage(world, race.crowd)
        with monkeypatch.context() as patches:
            weaken.lock(patches, world.deployment.database)
            patches.setattr(users, "TOUCH", _READ)
            with Meeting(world.deployment.database, *race.meet) as meeting:
                results = at_once(*[act.do for act in scene.acts])
        assert meeting.met
        assert scene.verdict(results) != ""


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_the_locks_keep_the_rule_at_every_isolation_level(level: str, on_postgresql: Callable[..., World]) -> None:
    world = on_postgresql(prepare=lambda services: weaken.isolation(services.store.database, level))
    for race in RACES:
        scene = race.stage(world, race.crowd)
        with Meeting(world.deployment.database, *race.meet, patience=_MOMENT) as meeting:
            results = at_once(*[act.do for act in scene.acts])
        assert scene.verdict(results) == "", race.name
        assert scene.misspoken(results) == [], race.name
        assert not meeting.met
    assert world.breaches() == []
