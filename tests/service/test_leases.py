"""Leases: reserved before a resource is made, then committed or released; and never more than there may be."""

from datetime import UTC, timedelta
from typing import Any

import google.rpc.error_details_pb2 as details_pb2
import pytest
from grpc import StatusCode
from support import raw
from support.metered import (
    COMMIT,
    COMMITTED,
    EXPIRED,
    RELEASE,
    RELEASED,
    RESERVE,
    RESERVED,
    Metered,
    amounts,
    exceeded,
    told,
)
from support.world import MILLISECOND, World, fresh

from tenantry_server.domain import ids
from tenantry_server.domain.organizations import OrganizationState

ENDED = (StatusCode.FAILED_PRECONDITION, "LEASE_ENDED")


@pytest.fixture
def acme(world: World) -> Metered:
    """Ten cores in a region."""
    return Metered(world, cpu=10, memory=100, disk=100)


def test_what_is_reserved_is_held_until_it_is_committed_and_then_used(acme: Metered) -> None:
    lease = acme.reserve(cpu=2, memory=4, resource_id="sandbox-1")
    assert (lease.state, lease.region_id, lease.resource_class) == (RESERVED, "us", "container")
    assert (lease.resource_type, lease.resource_id, told(lease.amounts)) == ("sandbox", "sandbox-1", {"cpu": 2, "memory": 4})
    assert lease.expire_time.ToDatetime() - lease.create_time.ToDatetime() == timedelta(minutes=5)
    assert (acme.usage(), acme.usage("memory")) == ((10, 0, 2), (100, 0, 4))
    committed = acme.commit(lease)
    assert (committed.state, committed.id, told(committed.amounts)) == (COMMITTED, lease.id, {"cpu": 2, "memory": 4})
    assert not committed.HasField("expire_time")
    assert (acme.usage(), acme.usage("memory")) == ((10, 2, 0), (100, 4, 0))
    released = acme.release(committed)
    assert (released.state, told(released.amounts)) == (RELEASED, {"cpu": 2, "memory": 4})
    assert (acme.usage(), acme.usage("memory")) == ((10, 0, 0), (100, 0, 0))


def test_more_than_is_left_is_refused_and_nothing_of_it_is_reserved(acme: Metered) -> None:
    acme.committed(cpu=4)
    acme.reserve(cpu=4)
    refusal = acme.reserve_refused(memory=1, cpu=3)
    assert refusal.seen == exceeded("cpu", 10, 8, 3)
    (failure,) = [detail for detail in refusal.details if isinstance(detail, details_pb2.QuotaFailure)]
    assert [violation.subject for violation in failure.violations] == ["cpu"]
    assert acme.usage("memory") == (100, 0, 0)
    acme.reserve(cpu=2)
    assert acme.reserve_refused(cpu=1).seen == exceeded("cpu", 10, 10, 1)


def test_a_reservation_that_is_given_back_makes_room_at_once(acme: Metered) -> None:
    acme.regional_limit(cpu=4)
    lease = acme.reserve(cpu=4)
    assert acme.reserve_refused(cpu=1).reason == "QUOTA_EXCEEDED"
    assert acme.release(lease).state == RELEASED
    assert acme.reserve(cpu=4).state == RESERVED


def test_after_a_crash_between_reserving_and_committing_things_are_as_before_once_the_time_is_over(acme: Metered) -> None:
    lease = acme.reserve(cpu=4, ttl={"seconds": 60})
    assert acme.usage() == (10, 0, 4)
    until = lease.expire_time.ToDatetime(UTC)
    with acme.world.at(until - MILLISECOND):
        assert acme.usage() == (10, 0, 4)
    with acme.world.at(until):
        assert acme.usage() == (10, 0, 0)
        refusal = acme.service.refusal(COMMIT, lease_id=lease.id, **acme.here)
        assert refusal.seen == (*ENDED, {"lease_id": lease.id, "state": "expired"})
        ended = acme.release(lease)
        assert (ended.state, ended.expire_time) == (EXPIRED, lease.expire_time)
        assert acme.usage() == (10, 0, 0)
        assert acme.reserve(cpu=4).state == RESERVED
    assert acme.world.breaches() == []


def test_committing_and_releasing_again_changes_nothing(acme: Metered) -> None:
    lease = acme.committed(cpu=3)
    assert acme.commit(lease) == lease
    assert acme.usage() == (10, 3, 0)
    released = acme.release(lease)
    assert acme.release(lease) == released
    assert acme.usage() == (10, 0, 0)
    refusal = acme.service.refusal(COMMIT, lease_id=lease.id, **acme.here)
    assert refusal.seen == (*ENDED, {"lease_id": lease.id, "state": "released"})
    assert acme.usage() == (10, 0, 0)


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_part_can_be_given_back_but_never_more_than_is_held(acme: Metered, is_committed: bool) -> None:
    lease = acme.committed(cpu=4, memory=8) if is_committed else acme.reserve(cpu=4, memory=8)

    def held(metric: str) -> int:
        return sum(acme.usage(metric)[1:])

    assert told(acme.release(lease, cpu=1).amounts) == {"cpu": 3, "memory": 8}
    assert (held("cpu"), held("memory")) == (3, 8)
    for wanted, metric, has in (({"cpu": 4}, "cpu", 3), ({"disk": 1}, "disk", 0)):
        refusal = acme.service.refusal(RELEASE, lease_id=lease.id, amounts=amounts(**wanted), **acme.here)
        words = {"lease_id": lease.id, "metric": metric, "held": str(has), "amount": str(wanted[metric])}
        assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "LEASE_HOLDS_LESS", words)
    assert (held("cpu"), held("memory")) == (3, 8)
    assert acme.release(lease, cpu=3, memory=8).state == RELEASED
    assert (held("cpu"), held("memory")) == (0, 0)
    refusal = acme.service.refusal(RELEASE, lease_id=lease.id, amounts=amounts(cpu=1), **acme.here)
    assert refusal.seen == (*ENDED, {"lease_id": lease.id, "state": "released"})


def test_a_resource_that_grows_reserves_what_it_needs_more(acme: Metered) -> None:
    first = acme.committed(cpu=2, resource_id="growing")
    second = acme.committed(cpu=1, resource_id="growing")
    assert acme.usage() == (10, 3, 0)
    acme.release(first)
    assert acme.usage() == (10, 1, 0)
    acme.release(second)
    assert raw.count(acme.world.deployment.database, "leased_resources", organization_id=acme.organization.id) == 0


def test_a_limit_of_0_allows_none_and_no_limit_any_number(acme: Metered) -> None:
    acme.regional_limit(memory=0)
    assert acme.reserve_refused(memory=1).seen == exceeded("memory", 0, 0, 1)
    assert acme.reserve(snapshot_size=20, resource_type="archive").state == RESERVED
    acme.limit(volume=0)
    assert acme.reserve_refused(volume=1).seen == exceeded("volume", 0, 0, 1, region_id="")


def test_a_limit_below_what_is_used_takes_nothing_and_lets_nothing_be_added(acme: Metered) -> None:
    lease = acme.committed(cpu=4)
    acme.regional_limit(cpu=1)
    assert acme.usage() == (1, 4, 0)
    assert acme.reserve_refused(cpu=1).seen == exceeded("cpu", 1, 4, 1)
    assert told(acme.release(lease, cpu=3).amounts) == {"cpu": 1}
    assert acme.reserve_refused(cpu=1).seen == exceeded("cpu", 1, 1, 1)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"amounts": [{"metric": "cpu", "amount": -1}]}, "amounts[0].amount"),
        ({"amounts": [{"metric": "cpu", "amount": 10**9 + 1}]}, "amounts[0].amount"),
        ({"amounts": [{"metric": "cpu", "amount": 2**63 - 1}]}, "amounts[0].amount"),
        ({"amounts": []}, "amounts"),
        ({"amounts": amounts(cpu=0, memory=0)}, "amounts"),
        ({"amounts": [{"metric": "cpu", "amount": 1}] * 2}, "amounts[1].metric"),
        ({"amounts": amounts(cpu=1, horses=1)}, "amounts[1].metric"),
        ({"amounts": amounts(member=1)}, "amounts[0].metric"),
        ({"amounts": amounts(max_cpu_per_sandbox=1)}, "amounts[0].metric"),
        ({"amounts": amounts(cpu=1), "region_id": ""}, "amounts[0].metric"),
        ({"cpu": 1, "resource_class": "mainframe"}, "resource_class"),
        ({"volume": 1, "resource_class": "container"}, "resource_class"),
        ({"cpu": 1, "gpu_type": "Z80"}, "gpu_type"),
        ({"cpu": 1, "resource_id": "a b"}, "resource_id"),
        ({"cpu": 1, "resource_id": ""}, "resource_id"),
        ({"cpu": 1, "resource_type": "Sandbox!"}, "resource_type"),
        ({"cpu": 1, "ttl": {"seconds": 0}}, "ttl"),
        ({"cpu": 1, "ttl": {"seconds": 86401}}, "ttl"),
    ],
)
def test_what_cannot_be_reserved_is_named(acme: Metered, wanted: dict[str, Any], field: str) -> None:
    refusal = acme.reserve_refused(**{"region_id": "us", **wanted} if "volume" not in wanted else wanted)
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert field in refusal.violations
    assert raw.count(acme.world.deployment.database, "usage_leases", organization_id=acme.organization.id) == 0


def test_a_region_that_is_unknown_or_anothers_cannot_be_used(acme: Metered, world: World) -> None:
    other = Metered(world)
    foreign = other.owner.rpc("RegionService.CreateRegion", name="Cellar", **other.here)
    for region_id in ("mars", foreign.id, ids.new()):
        refusal = acme.reserve_refused(cpu=1, region_id=region_id)
        assert refusal.seen == (StatusCode.NOT_FOUND, "REGION_NOT_FOUND", {"region_id": region_id})
    assert acme.reserve_refused(cpu=1, region_id="eu").seen == exceeded("cpu", 0, 0, 1, region_id="eu")


def test_in_a_region_of_its_own_an_organization_uses_what_it_likes(acme: Metered) -> None:
    cellar = acme.owner.rpc("RegionService.CreateRegion", name="Cellar", **acme.here)
    lease = acme.committed(cpu=1000, gpu=8, region_id=cellar.id)
    assert acme.usage(place=(cellar.id, "container")) == (None, 1000, 0)
    assert acme.usage("gpu", place=(cellar.id, "container")) == (None, 8, 0)
    acme.release(lease)


def test_only_an_active_organization_reserves_but_what_it_holds_can_still_be_given_back(acme: Metered) -> None:
    world, id_ = acme.world, acme.organization.id
    lease, other = acme.reserve(cpu=1), acme.reserve(cpu=1)
    world.set_state(id_, OrganizationState.SUSPENDED)
    refusal = acme.reserve_refused(cpu=1)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED", {"organization_id": id_})
    assert acme.commit(lease).state == COMMITTED
    assert acme.release(lease).state == RELEASED
    world.set_state(id_, OrganizationState.ACTIVE)
    acme.owner.rpc("OrganizationService.DeleteOrganization", **acme.here)
    refusal = acme.reserve_refused(cpu=1)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": id_})
    assert acme.release(other).state == RELEASED


def test_an_organization_that_does_not_exist_reserves_nothing(acme: Metered) -> None:
    unknown = ids.new()
    refusal = acme.service.refusal(RESERVE, **acme.request(cpu=1) | {"organization_id": unknown})
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": unknown})


def test_leases_count_no_revision_and_write_no_event_but_say_who_made_them(acme: Metered) -> None:
    database = acme.world.deployment.database
    with acme.world.unchanged(acme.organization):
        events = raw.count(database, "audit_events")
        lease = acme.committed(cpu=1)
        acme.release(lease)
        acme.report()
        assert raw.count(database, "audit_events") == events
    me = acme.service("ApiTokenService.GetCurrentApiToken").api_token.id
    for column in ("reserved_by", "committed_by", "released_by"):
        assert raw.values(database, "usage_leases", column, id=lease.id) == [me]


def test_a_repetition_reserves_once_and_another_request_under_its_id_is_refused(acme: Metered) -> None:
    key = fresh("key")
    request = acme.request(cpu=2, request_id=key)
    first = acme.service(RESERVE, **request)
    assert acme.service(RESERVE, **request) == first
    assert acme.usage() == (10, 0, 2)
    refusal = acme.service.refusal(RESERVE, **request | {"amounts": amounts(cpu=3)})
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": key})
    assert acme.usage() == (10, 0, 2)


def test_a_dry_run_holds_nothing_and_tells_whether_there_is_room(acme: Metered) -> None:
    assert acme.reserve(cpu=4, validate_only=True).state == RESERVED
    assert acme.usage() == (10, 0, 0)
    acme.committed(cpu=4)
    acme.committed(cpu=4)
    assert acme.reserve_refused(cpu=4, validate_only=True).seen == exceeded("cpu", 10, 8, 4)


def test_what_ended_long_ago_is_forgotten_and_what_is_held_is_not(acme: Metered) -> None:
    world, database = acme.world, acme.world.deployment.database
    kept, gone, lapsed = acme.committed(cpu=1), acme.committed(cpu=1), acme.reserve(cpu=1)
    acme.release(gone)
    world.clock.advance(timedelta(days=7, minutes=6))
    fresh_one = acme.reserve(cpu=1)
    assert set(raw.values(database, "usage_leases", "id", organization_id=acme.organization.id)) == {kept.id, fresh_one.id}
    for lease in (gone, lapsed):
        refusal = acme.service.refusal(RELEASE, lease_id=lease.id, **acme.here)
        assert refusal.seen == (StatusCode.NOT_FOUND, "LEASE_NOT_FOUND", {"lease_id": lease.id})
    assert acme.usage() == (10, 1, 1)


def test_a_lease_is_found_in_its_own_organization_alone(acme: Metered, world: World) -> None:
    other = Metered(world, cpu=10)
    lease = other.committed(cpu=1)
    for act in (COMMIT, RELEASE):
        refusal = acme.service.refusal(act, lease_id=lease.id, **acme.here)
        assert refusal.seen == (StatusCode.NOT_FOUND, "LEASE_NOT_FOUND", {"lease_id": lease.id})
    assert other.usage() == (10, 1, 0)


def test_a_resource_is_one_organizations_until_it_is_released(acme: Metered, world: World) -> None:
    other = Metered(world, cpu=10)
    mine, theirs = acme.committed(cpu=1, resource_id="shared"), other.reserve(cpu=1, resource_id="shared")
    refusal = other.service.refusal(COMMIT, lease_id=theirs.id, **other.here)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "RESOURCE_TAKEN", {"resource": "sandbox/shared"})
    assert other.usage() == (10, 0, 1)
    acme.release(mine)
    assert other.commit(theirs).state == COMMITTED


def test_a_resource_leads_to_its_organization_and_its_quota_while_it_is_committed(acme: Metered) -> None:
    named = {"resource_type": "sandbox", "resource_id": fresh("sandbox")}
    finds = [f"QuotaService.Find{what}ByResource" for what in ("Organization", "RegionQuota")]
    lease = acme.reserve(cpu=1, resource_id=named["resource_id"])
    missing = (StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", {"resource": f"sandbox/{named['resource_id']}"})
    assert [acme.service.refusal(find, **named).seen for find in finds] == [missing, missing]
    acme.commit(lease)
    organization, quota = (acme.service(find, **named) for find in finds)
    assert organization == acme.owner.rpc("OrganizationService.GetOrganization", **acme.here)
    assert quota == acme.operator("QuotaService.GetRegionQuota", region_id="us", **acme.here)
    acme.release(lease)
    assert [acme.service.refusal(find, **named).seen for find in finds] == [missing, missing]
