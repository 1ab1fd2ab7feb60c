"""Races about tokens; see `race_scenes.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from tenantry_server.services.service import Limits
from tenantry_server.store.queries import api_tokens

from .interleave import outcome, refused
from .race import Act, Code, Race, Refusal, Scene
from .raw import count
from .tokens import MINE, OURS, Made, is_good, mine, ours
from .world import World, fresh

FEW = Limits(api_tokens=5, organizations_per_user=1000)
FULL: Refusal = (
    Code.RESOURCE_EXHAUSTED,
    "LIMIT_EXCEEDED",
    {"limit": "API tokens of an owner in an organization", "maximum": "5"},
)
# Tables that refer to each other: without one's constraints the others' mean nothing.
_TABLES = ("api_tokens", "api_token_secrets", "api_token_exclusions")


@dataclass
class Owner:
    """An owner of tokens: how one is made and called for, and which organization's revision counts the changes."""

    make: Callable[..., Made]
    call: Callable[..., Any]
    organization_id: str


def a_person(world: World) -> Owner:
    """A person, of tokens that reach all of their organizations."""
    ana = world.person()
    call = lambda verb, **fields: ana.rpc(MINE.format(verb), **fields)
    return Owner(lambda **more: mine(world, ana.rpc, **more), call, ana.personal_organization_id)


def a_member(world: World) -> Owner:
    """A person, of tokens that are bound to an organization."""
    ana = world.person()
    acme = world.organization(ana)
    call = lambda verb, **fields: ana.rpc(MINE.format(verb), **fields)
    return Owner(lambda **more: mine(world, ana.rpc, bound_to=acme, **more), call, acme.id)


def an_organization(world: World) -> Owner:
    """An organization."""
    ana = world.person()
    acme = world.organization(ana)
    call = lambda verb, **fields: ana.rpc(OURS.format(verb), organization_id=acme.id, **fields)
    return Owner(lambda **more: ours(world, ana.rpc, acme, **more), call, acme.id)


def _made_alike(owner: Callable[[World], Owner]) -> Callable[[World, int], Scene]:
    def stage(world: World, crowd: int) -> Scene:
        of, name = owner(world), fresh("CI ")
        act = Act(lambda: of.make(name=name), ((Code.ALREADY_EXISTS, "TOKEN_NAME_TAKEN", {"name": name}),))
        return Scene([act] * crowd, organization_id=of.organization_id)

    return stage


def _renamed_alike(owner: Callable[[World], Owner]) -> Callable[[World, int], Scene]:
    def stage(world: World, crowd: int) -> Scene:
        of, name = owner(world), fresh("CI ")

        def rename(token_id: str) -> Act:
            taken = (Code.ALREADY_EXISTS, "TOKEN_NAME_TAKEN", {"name": name})
            return Act(lambda: of.call("Update", api_token_id=token_id, name=name), (taken,))

        return Scene([rename(of.make().id) for _ in range(crowd)], organization_id=of.organization_id)

    return stage


def _last_one(owner: Callable[[World], Owner]) -> Callable[[World, int], Scene]:
    def stage(world: World, crowd: int) -> Scene:
        of = owner(world)
        made = []
        while not refused(one := outcome(of.make)):
            made.append(one)
        of.call("Revoke", api_token_id=made[-1].id)
        return Scene([Act(of.make, (FULL,))] * crowd, organization_id=of.organization_id)

    return stage


def _rotated(owner: Callable[[World], Owner], overlap: timedelta, good: int) -> Callable[[World, int], Scene]:
    """Everybody gets a secret; in the end, that of one does not end, and as many are good as should be."""

    def stage(world: World, crowd: int) -> Scene:
        of = owner(world)
        made = of.make()

        def wrong(results: list[Any]) -> str:
            secrets = [made.secret, *(result.secret for result in results if not refused(result))]
            accepted = sum(is_good(world.client(secret)) for secret in secrets)
            kept = count(world.deployment.database, "api_token_secrets", api_token_id=made.id)
            return "" if accepted == kept == good else f"{accepted} of {len(secrets)} secrets are good, {kept} are kept"

        act = Act(lambda: of.call("Rotate", api_token_id=made.id, overlap=overlap))
        return Scene([act] * crowd, (crowd,), wrong, of.organization_id)

    return stage


def _rotated_or_revoked(owner: Callable[[World], Owner]) -> Callable[[World, int], Scene]:
    def stage(world: World, crowd: int) -> Scene:
        of = owner(world)
        made = of.make()
        gone = (Code.NOT_FOUND, "API_TOKEN_NOT_FOUND", {"api_token_id": made.id})

        def wrong(results: list[Any]) -> str:
            left = count(world.deployment.database, "api_token_secrets", api_token_id=made.id)
            return f"{left} secrets of a token that is revoked" if left else ""

        acts = [Act(partial(of.call, verb, api_token_id=made.id), (gone,)) for verb in ("Rotate", "Revoke")]
        return Scene(acts, (1, 2), wrong, of.organization_id)

    return stage


_OWNERS = {"a person": a_person, "a member": a_member, "an organization": an_organization}

RACES = tuple(
    race
    for who, owner in _OWNERS.items()
    for race in (
        Race(f"{who} makes tokens of one name", _made_alike(owner), (api_tokens.INSERT,), 8, None, _TABLES, 5),
        Race(f"{who} gives tokens one name", _renamed_alike(owner), (api_tokens.UPDATE,), 4, None, _TABLES, 5),
        Race(f"{who} makes the last token", _last_one(owner), (api_tokens.INSERT,), 50, FEW, (), 4),
        Race(f"{who} rotates a token", _rotated(owner, timedelta(), 1), (api_tokens.ADD_SECRET,), 4, None, (), 5),
        Race(
            f"{who} rotates a token with an overlap",
            _rotated(owner, timedelta(hours=1), 2),
            (api_tokens.ADD_SECRET,),
            4,
            None,
            (),
            5,
        ),
    )
)
# What the database's references keep sound even without the lock.
SAFE_RACES = tuple(
    Race(
        f"{who} rotates and revokes a token", _rotated_or_revoked(owner), (api_tokens.ADD_SECRET, api_tokens.DELETE), rounds=10
    )
    for who, owner in _OWNERS.items()
)
