"""Races, forced: whoever comes second finds what the first one did, whatever the two are.

Each round brings everybody to the moment before the first write, where nobody may meet: the lock lets one in at a time.
`test_race_controls.py` shows that without it the same races end badly.
"""

from collections.abc import Callable

import pytest
from support.interleave import Meeting, at_once, refused
from support.race import Race, Scene
from support.race_scenes import RACES
from support.rpc import Refused
from support.world import World

# How long the first one waits for somebody else who got as far: nobody does.
_MOMENT = 0.02


def _patiently(scene: Scene) -> list[Callable[[], object]]:
    """The acts, repeated for as long as the server's queue has no room for so many."""

    def patient(do: Callable[[], object]) -> Callable[[], object]:
        def act() -> object:
            while True:
                try:
                    return do()
                except Refused as refusal:
                    if refusal.reason != "OVERLOADED":
                        raise

        return act

    return [patient(act.do) for act in scene.acts]


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_whoever_comes_second_finds_what_the_first_one_did(race: Race, world: World, deploy_own: Callable[..., World]) -> None:
    if race.limits is not None:
        world = deploy_own(limits=race.limits)
    for _ in range(race.rounds):
        scene = race.stage(world, race.crowd)
        before = world.revision(scene.organization_id) if scene.organization_id else 0
        with Meeting(world.deployment.database, *race.meet, patience=_MOMENT) as meeting:
            results = at_once(*_patiently(scene))
        assert scene.verdict(results) == ""
        assert scene.misspoken(results) == []
        assert not meeting.met
        if scene.organization_id:
            changes = sum(not refused(result) for result in results)
            assert world.revision(scene.organization_id) == before + changes
    assert world.breaches() == []
