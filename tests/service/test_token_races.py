"""Races about tokens: each is run against the server as it is, and again with its protection taken away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support import weaken
from support.interleave import Meeting, Place, at_once, refused
from support.race import Code, Race
from support.race_tokens import RACES, SAFE_RACES
from support.tokens import PLATFORM, is_good, platforms
from support.world import World, fresh

from tenantry_server.store.queries import api_tokens

# How long the first one waits for somebody else who got as far: nobody does.
_MOMENT = 0.02
_ROUNDS, _CROWD = 20, 4


def each(races: tuple[Race, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("race", races, ids=lambda race: race.name)


def _at(world: World, race: Race, deploy: Callable[..., World]) -> World:
    return world if race.limits is None else deploy(limits=race.limits)


@each(RACES + SAFE_RACES)
def test_whoever_comes_second_finds_what_the_first_one_did(race: Race, world: World, deploy_own: Callable[..., World]) -> None:
    world = _at(world, race, deploy_own)
    for _ in range(race.rounds):
        scene = race.stage(world, race.crowd)
        before = world.revision(scene.organization_id)
        with Meeting(world.deployment.database, *race.meet, patience=_MOMENT) as meeting:
            results = at_once(*[act.do for act in scene.acts])
        assert scene.misspoken(results) == []
        assert scene.verdict(results) == ""
        assert not meeting.met
        assert world.revision(scene.organization_id) == before + sum(not refused(result) for result in results)
    assert world.breaches() == []


def _places(race: Race, engine: str) -> tuple[Place, ...]:
    """On PostgreSQL, who drops secrets second waits for the first one, and then does not see what that one has added."""
    if engine == "postgresql" and race.meet == (api_tokens.ADD_SECRET,):
        return api_tokens.DROP_SECRETS, api_tokens.DROP_ENDING_SECRETS
    return race.meet


@each(RACES)
def test_without_the_lock_and_the_constraints_the_rule_is_broken(
    race: Race, engine: str, deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own() if race.limits is None else deploy_own(limits=race.limits)
    weaken.table(world.deployment.url, *race.constraints)
    weaken.lock(monkeypatch, world.deployment.database)
    # All of them are there at once each time; but after that, chance may still let them through one after the other.
    for _ in range(_ROUNDS):
        scene = race.stage(world, min(race.crowd, _CROWD))
        with Meeting(world.deployment.database, *_places(race, engine), parties=len(scene.acts)) as meeting:
            results = at_once(*[act.do for act in scene.acts])
        assert meeting.met
        if scene.verdict(results) != "":
            return
    pytest.fail(f"{_ROUNDS} rounds broke nothing")


def test_tokens_of_the_platform_are_made_and_rotated_one_after_the_other(world: World) -> None:
    client, name = world.platform(), fresh("CI ")
    taken = (Code.ALREADY_EXISTS, "TOKEN_NAME_TAKEN", {"name": name})
    results = at_once(*[lambda: platforms(world, client, name=name)] * 8)
    (made,) = [result for result in results if not refused(result)]
    assert [result.seen for result in results if refused(result)] == [taken] * 7
    rotated = at_once(*[lambda: client(PLATFORM.format("Rotate"), api_token_id=made.id)] * 8)
    assert len({answer.api_token.revision for answer in rotated}) == 8
    last = max(rotated, key=lambda answer: answer.api_token.revision)
    assert [answer for answer in rotated if is_good(world.client(answer.secret))] == [last]
    assert world.breaches() == []
