"""Usage: read at a glance, and set right by reports of what is really there."""

from datetime import timedelta

import pytest
from grpc import StatusCode
from support import raw
from support.metered import COMMIT, REPORT, USAGE, Metered, told
from support.world import World

from tenantry_server.domain.organizations import OrganizationState

WHOLE = ["member", "secret", "snapshot", "snapshot-size", "volume"]


@pytest.fixture
def acme(world: World) -> Metered:
    """A hundred cores in a region."""
    return Metered(world, cpu=100)


def test_usage_shows_every_metric_zeros_included(acme: Metered) -> None:
    usage = acme.owner.rpc(USAGE, **acme.here)
    assert [each.metric for each in usage.metrics] == WHOLE
    assert [(each.used, each.reserved) for each in usage.metrics] == [(1, 0), (0, 0), (0, 0), (0, 0), (0, 0)]
    (there,) = usage.regions
    assert (there.region_id, there.resource_class) == ("us", "container")
    assert [(each.metric, each.limit, each.used, each.reserved) for each in there.metrics] == [
        ("cpu", 100, 0, 0),
        ("disk", 30, 0, 0),
        ("gpu", 0, 0, 0),
        ("memory", 10, 0, 0),
    ]


def test_usage_has_a_row_for_every_quota_and_for_every_place_where_something_is_used(acme: Metered) -> None:
    acme.grant(resource_class="windows")
    cellar = acme.owner.rpc("RegionService.CreateRegion", name="Cellar", **acme.here)
    acme.reserve(cpu=7, region_id=cellar.id, resource_class="android")
    rows = [(each.region_id, each.resource_class) for each in acme.owner.rpc(USAGE, **acme.here).regions]
    assert rows == sorted([("us", "container"), ("us", "windows"), (cellar.id, "android")])
    assert acme.usage(place=(cellar.id, "android")) == (None, 0, 7)


def test_members_read_usage_also_while_the_organization_is_suspended_and_strangers_never_do(acme: Metered) -> None:
    member = acme.world.member(acme.organization, acme.owner)
    acme.world.set_state(acme.organization.id, OrganizationState.SUSPENDED)
    assert member.rpc(USAGE, **acme.here) == acme.owner.rpc(USAGE, **acme.here)
    refusal = acme.world.person().rpc.refusal(USAGE, **acme.here)
    assert (refusal.code, refusal.reason) == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE")


# -- reports -----------------------------------------------------------------------------------------------------------


def test_a_report_of_what_is_known_finds_nothing(acme: Metered) -> None:
    acme.committed(cpu=2, resource_id="a")
    acme.committed(cpu=1, resource_id="a")
    acme.committed(cpu=4, resource_id="b")
    answer = acme.report(("b", {"cpu": 4}), ("a", {"cpu": 3, "memory": 0}))
    assert (list(answer.differences), list(answer.skipped_resource_ids)) == ([], [])
    assert acme.usage() == (100, 7, 0)


def test_a_report_makes_leases_say_the_truth_and_tells_what_differed(acme: Metered) -> None:
    acme.committed(cpu=2, resource_id="same")
    acme.committed(cpu=3, memory=1, resource_id="other")
    gone = acme.committed(cpu=4, resource_id="gone")
    answer = acme.report(("same", {"cpu": 2}), ("other", {"cpu": 1}), ("new", {"cpu": 1, "disk": 5}))
    found = [(each.resource_id, told(each.recorded), told(each.reported)) for each in answer.differences]
    assert found == [
        ("gone", {"cpu": 4}, {}),
        ("new", {}, {"cpu": 1, "disk": 5}),
        ("other", {"cpu": 3, "memory": 1}, {"cpu": 1}),
    ]
    assert (acme.usage(), acme.usage("memory"), acme.usage("disk")) == ((100, 4, 0), (10, 0, 0), (30, 5, 0))
    again = acme.report(("same", {"cpu": 2}), ("other", {"cpu": 1}), ("new", {"cpu": 1, "disk": 5}))
    assert list(again.differences) == []
    named = {"resource_type": "sandbox", "resource_id": "new"}
    assert acme.service("QuotaService.FindOrganizationByResource", **named).id == acme.organization.id
    refusal = acme.service.refusal(COMMIT, lease_id=gone.id, **acme.here)
    assert refusal.reason == "LEASE_ENDED"
    assert acme.world.breaches() == []


def test_the_truth_may_be_more_than_the_limit_and_then_nothing_is_added(acme: Metered) -> None:
    acme.report(("huge", {"cpu": 500}))
    assert acme.usage() == (100, 500, 0)
    assert acme.reserve_refused(cpu=1).reason == "QUOTA_EXCEEDED"
    acme.report()
    assert acme.usage() == (100, 0, 0)


def test_what_is_being_made_or_changed_since_is_left_as_it_is(acme: Metered) -> None:
    clock = acme.world.clock
    early, released = acme.committed(cpu=1, resource_id="early"), acme.committed(cpu=1, resource_id="released")
    clock.advance(timedelta(seconds=1))
    observed = clock.now()
    clock.advance(timedelta(seconds=1))
    acme.committed(cpu=1, resource_id="late")
    making = acme.reserve(cpu=1, resource_id="making")
    acme.release(released)
    truth = [("released", {"cpu": 1}), ("making", {"cpu": 1})]
    answer = acme.report(*truth, observe_time=observed)
    assert [each.resource_id for each in answer.differences] == ["early"]
    assert list(answer.skipped_resource_ids) == ["late", "making", "released"]
    assert acme.commit(making).state == 2
    assert acme.usage() == (100, 2, 0)
    assert acme.release(early).state == 3


def test_a_report_is_of_one_type_one_region_and_one_class(acme: Metered) -> None:
    acme.grant(resource_class="windows", cpu=10)
    acme.committed(cpu=1, resource_id="container")
    acme.committed(cpu=1, resource_id="windows", resource_class="windows")
    acme.committed(cpu=1, resource_id="machine", resource_type="machine")
    acme.committed(volume=1, resource_id="volume", resource_type="volume")
    assert [each.resource_id for each in acme.report().differences] == ["container"]
    answer = acme.service(REPORT, resource_type="volume", **acme.here)
    assert [(each.resource_id, told(each.recorded)) for each in answer.differences] == [("volume", {"volume": 1})]
    assert (acme.usage(), acme.usage("volume", None)) == ((100, 1, 0), (100, 0, 0))
    assert acme.usage(place=("us", "windows")) == (10, 1, 0)


def test_a_report_that_names_a_resource_twice_or_anothers_changes_nothing(acme: Metered, world: World) -> None:
    acme.committed(cpu=1, resource_id="mine")
    there = [{"resource_id": "a", "amounts": [{"metric": "cpu", "amount": 1}]}]
    refusal = acme.service.refusal(REPORT, resource_type="sandbox", region_id="us", resources=there * 2, **acme.here)
    assert refusal.violations == {"resources[1].resource_id": "RESOURCES"}
    Metered(world, cpu=1).committed(cpu=1, resource_id="theirs")
    there[0]["resource_id"] = "theirs"
    refusal = acme.service.refusal(REPORT, resource_type="sandbox", region_id="us", resources=there, **acme.here)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "RESOURCE_TAKEN", {"resource": "sandbox/theirs"})
    assert acme.usage() == (100, 1, 0)


def test_a_dry_report_tells_what_differs_and_changes_nothing(acme: Metered) -> None:
    acme.committed(cpu=1, resource_id="gone")
    before = raw.snapshot(acme.world.deployment.url)["usage_leases"]
    assert [each.resource_id for each in acme.report(validate_only=True).differences] == ["gone"]
    assert raw.snapshot(acme.world.deployment.url)["usage_leases"] == before
