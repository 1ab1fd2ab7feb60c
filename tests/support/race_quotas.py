"""Races about quotas: what is used and the seats of an organization; see `race_scenes.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tenantry_server.store.queries import invitations, members, organizations, quotas, regions

from . import raw
from .metered import Metered, exceeded
from .race import Act, Code, Race, Refusal, Scene
from .world import World, fresh

_LIMIT = 10
_GONE = regions.DELETE


def _wrong_count(acme: Metered, most: int = _LIMIT) -> Callable[[list[Any]], str]:
    """What is counted is what leases hold, no more than there may be, and never less than nothing."""

    def wrong(results: list[Any]) -> str:
        database, organization_id = acme.world.deployment.database, acme.organization.id
        held = len(raw.values(database, "usage_leases", "id", organization_id=organization_id, state="committed"))
        reserved = len(raw.values(database, "usage_leases", "id", organization_id=organization_id, state="reserved"))
        counted = sum(raw.values(database, "usages", "amount", organization_id=organization_id))
        if counted != held or not 0 <= counted + reserved <= most:
            return f"{counted} counted, {held} committed, {reserved} reserved, of {most}"
        return ""

    return wrong


def _last_of_a_quota(world: World, crowd: int) -> Scene:
    acme = Metered(world, cpu=_LIMIT)
    for _ in range(_LIMIT - 2):
        acme.committed(cpu=1)
    acme.reserve(cpu=1)
    full = exceeded("cpu", _LIMIT, _LIMIT, 1)
    return Scene([Act(lambda: acme.reserve(cpu=1), (full,))] * crowd, wrong=_wrong_count(acme))


def _committed_or_released(world: World, crowd: int) -> Scene:
    acme = Metered(world, cpu=_LIMIT)
    acme.committed(cpu=1)
    lease = acme.reserve(cpu=1)
    ended: Refusal = (Code.FAILED_PRECONDITION, "LEASE_ENDED", {"lease_id": lease.id, "state": "released"})
    count = _wrong_count(acme)

    def wrong(results: list[Any]) -> str:
        (state,) = raw.values(world.deployment.database, "usage_leases", "state", id=lease.id)
        return count(results) or ("" if state == "released" else f"what was released is {state}")

    acts = [Act(partial(acme.commit, lease), (ended,)), Act(partial(acme.release, lease))]
    return Scene(acts, (1, 2), wrong)


def _released_many_times(world: World, crowd: int) -> Scene:
    acme = Metered(world, cpu=_LIMIT)
    for _ in range(crowd):
        acme.committed(cpu=1)
    lease = acme.committed(cpu=1)
    return Scene([Act(partial(acme.release, lease))] * crowd, (crowd,), _wrong_count(acme))


def _committed_many_times(world: World, crowd: int) -> Scene:
    acme = Metered(world, cpu=_LIMIT)
    lease = acme.reserve(cpu=1)
    return Scene([Act(partial(acme.commit, lease))] * crowd, (crowd,), _wrong_count(acme))


def _reported_and_released(world: World, crowd: int) -> Scene:
    acme = Metered(world, cpu=_LIMIT)
    kept, gone = acme.committed(cpu=1, resource_id=fresh("kept")), acme.committed(cpu=1)
    acts = [Act(lambda: acme.report((kept.resource_id, {"cpu": 1}))), Act(partial(acme.release, gone))]
    return Scene(acts, (2,), _wrong_count(acme))


def _region_deleted_or_used(world: World, crowd: int) -> Scene:
    acme = Metered(world)
    cellar = acme.owner.rpc("RegionService.CreateRegion", name="Cellar", **acme.here)
    used = (Code.FAILED_PRECONDITION, "REGION_IN_USE", {"region_id": cellar.id})
    gone = (Code.NOT_FOUND, "REGION_NOT_FOUND", {"region_id": cellar.id})
    delete = Act(lambda: acme.owner.rpc("RegionService.DeleteRegion", region_id=cellar.id, **acme.here), (used,))
    reserve = Act(lambda: acme.reserve(cpu=1, region_id=cellar.id), (gone,))
    return Scene([delete, reserve])


def _platform_region_deleted_or(what: str) -> Callable[[World, int], Scene]:
    """A region of the platform is deleted, and in another organization's transaction somebody begins to need it."""

    def stage(world: World, crowd: int) -> Scene:
        acme = Metered(world)
        given = {"id": fresh("region"), "type": "REGION_TYPE_SHARED", "without_quotas": what != "granted"}
        region = acme.operator("RegionService.CreatePlatformRegion", **given)
        used = (Code.FAILED_PRECONDITION, "REGION_IN_USE", {"region_id": region.id})
        gone = (Code.NOT_FOUND, "REGION_NOT_FOUND", {"region_id": region.id})
        unknown = (Code.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "default_region_id"})
        there: dict[str, Any] = {"region_id": region.id, **acme.here}
        choice = {"default_region_id": region.id, **acme.here}
        begins = {
            "used": Act(lambda: acme.reserve(cpu=1, region_id=region.id), (gone,)),
            "granted": Act(lambda: acme.operator("QuotaService.CreateRegionQuota", **there), (gone,)),
            "chosen": Act(lambda: acme.owner.rpc("OrganizationService.SetDefaultRegion", **choice), (unknown,)),
        }
        delete = partial(acme.operator, "RegionService.DeletePlatformRegion", platform_region_id=region.id)
        return Scene([Act(delete, (used,)), begins[what]])

    return stage


def _last_seat(world: World, crowd: int) -> Scene:
    acme = Metered(world)
    acme.limit(member=2)
    newcomers = [world.person("newcomer") for _ in range(crowd // 2)]
    full = exceeded("member", 2, 2, 1, region_id="")
    acts = [Act(partial(world.join, acme.organization, acme.owner, one), (full,)) for one in newcomers]
    invite = Act(lambda: world.invite(acme.organization, acme.owner, f"{fresh('guest')}@example.com"), (full,))
    return Scene([*acts, *[invite] * (crowd - len(acts))], organization_id=acme.organization.id)


RACES = (
    Race("the last of a quota is reserved", _last_of_a_quota, (quotas.INSERT_LEASE,), 50, rounds=5),
    Race("a reservation is committed and released", _committed_or_released, (quotas.COMMIT_LEASE, quotas.RELEASE_LEASE)),
    Race("a lease is released many times", _released_many_times, (quotas.RELEASE_LEASE,), 4, rounds=10),
    Race("a reservation is committed many times", _committed_many_times, (quotas.CLAIM,), 4, rounds=10),
    Race("a lease is released and reported gone", _reported_and_released, (quotas.RELEASE_LEASE,)),
    Race("a region is deleted and used", _region_deleted_or_used, (regions.DELETE, quotas.INSERT_LEASE)),
    *(
        Race(
            f"a region of the platform is deleted and {what}",
            _platform_region_deleted_or(what),
            (_GONE, place),
            by_reading=True,
        )
        for what, place in (
            ("used", quotas.INSERT_LEASE),
            ("granted", quotas.INSERT),
            ("chosen", organizations.SET_REGION),
        )
    ),
    Race("the last seat is taken", _last_seat, (members.INSERT, invitations.INSERT), 50, rounds=5),
)
