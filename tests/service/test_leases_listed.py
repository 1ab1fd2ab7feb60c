"""Who holds what: leases, listed for operators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.metered import COMMITTED, EXPIRED, RELEASED, RESERVED, Metered, told
from support.world import World

from tenantry_server.domain import ids
from tenantry_server.domain.organizations import OrganizationState

LIST = "QuotaService.ListLeases"


@pytest.fixture
def acme(world: World) -> Metered:
    """Ten cores in a region."""
    return Metered(world, cpu=10, memory=100, disk=100)


def id_of(acme: Metered, name: str) -> str:
    """The id of a resource that no other test has."""
    return f"{name}/{acme.organization.id}"


def listed(acme: Metered, **wanted: Any) -> dict[str, int]:
    """The names of the leases' resources that are listed, in order, and the leases' states."""
    leases = acme.operator(LIST, **wanted, **acme.here).leases
    return {lease.resource_id.partition("/")[0]: lease.state for lease in leases}


def test_a_lease_tells_what_it_holds_and_by_whose_credential(acme: Metered) -> None:
    me = acme.service("ApiTokenService.GetCurrentApiToken").api_token.id
    lease = acme.committed(cpu=3, memory=4, resource_id=id_of(acme, "sandbox-1"))
    shrunk = acme.release(lease, cpu=1)
    (found,) = acme.operator(LIST, **acme.here).leases
    assert found == shrunk
    assert (found.id, found.state, told(found.amounts)) == (lease.id, COMMITTED, {"cpu": 2, "memory": 4})
    assert (found.resource_type, found.resource_id, found.region_id) == ("sandbox", id_of(acme, "sandbox-1"), "us")
    assert (found.reserved_by, found.committed_by, found.released_by) == (me, me, me)
    assert (lease.committed_by, lease.released_by) == (me, "")


def test_what_holds_something_is_listed_and_the_rest_when_it_is_asked_for(acme: Metered) -> None:
    clock = acme.world.clock
    acme.reserve(cpu=1, resource_id=id_of(acme, "lapsed"), ttl={"seconds": 1})
    acme.release(acme.committed(cpu=1, resource_id=id_of(acme, "gone")))
    acme.committed(cpu=1, resource_id=id_of(acme, "there"))
    with acme.world.at(clock.now() + timedelta(seconds=2)):
        acme.reserve(cpu=1, resource_id=id_of(acme, "coming"))
        assert listed(acme) == {"there": COMMITTED, "coming": RESERVED}
        everything = {"lapsed": EXPIRED, "gone": RELEASED, "there": COMMITTED, "coming": RESERVED}
        assert listed(acme, include_ended=True) == everything


def test_a_list_is_narrowed_to_a_type_a_resource_a_region_or_a_class(acme: Metered) -> None:
    acme.grant("windows", cpu=10)
    cellar = acme.owner.rpc("RegionService.CreateRegion", name="Cellar", **acme.here)
    acme.committed(cpu=1, resource_id=id_of(acme, "container"))
    acme.committed(cpu=1, resource_id=id_of(acme, "windows"), resource_class="windows")
    acme.committed(cpu=1, resource_id=id_of(acme, "machine"), resource_type="machine")
    acme.committed(cpu=1, resource_id=id_of(acme, "below"), region_id=cellar.id)
    acme.committed(volume=1, resource_id=id_of(acme, "volume"), resource_type="volume")
    narrowed: list[tuple[dict[str, Any], set[str]]] = [
        ({"resource_type": "sandbox"}, {"container", "windows", "below"}),
        ({"resource_type": "machine"}, {"machine"}),
        ({"resource_id": id_of(acme, "volume")}, {"volume"}),
        ({"resource_type": "sandbox", "resource_id": id_of(acme, "windows")}, {"windows"}),
        ({"resource_type": "machine", "resource_id": id_of(acme, "windows")}, set()),
        ({"region_id": "us"}, {"container", "windows", "machine"}),
        ({"region_id": cellar.id.lower()}, {"below"}),
        ({"region_id": "us", "resource_class": "windows"}, {"windows"}),
        ({"resource_type": "sandbox", "resource_id": id_of(acme, "below"), "region_id": "us"}, set()),
    ]
    for wanted, found in narrowed:
        assert set(listed(acme, **wanted)) == found, wanted


def test_pages_hold_every_lease_once_in_the_order_in_which_they_were_made(acme: Metered) -> None:
    made = [acme.committed(cpu=1).id for _ in range(5)]
    found, token = [], ""
    while True:
        page = acme.operator(LIST, page_size=2, page_token=token, **acme.here)
        found += [lease.id for lease in page.leases]
        token = page.next_page_token
        if not token:
            break
    assert found == made
    page = acme.operator(LIST, page_size=2, **acme.here)
    for other in ({"resource_type": "sandbox"}, {"include_ended": True}):
        refusal = acme.operator.refusal(LIST, page_size=2, page_token=page.next_page_token, **other, **acme.here)
        assert refusal.violations == {"page_token": "PAGE_TOKEN"}


def test_operators_see_what_a_suspended_or_deleted_organization_holds_and_members_see_no_leases(acme: Metered) -> None:
    acme.committed(cpu=1, resource_id=id_of(acme, "kept"))
    acme.world.set_state(acme.organization.id, OrganizationState.SUSPENDED)
    assert listed(acme) == {"kept": COMMITTED}
    acme.world.set_state(acme.organization.id, OrganizationState.ACTIVE)
    refusal = acme.owner.rpc.refusal(LIST, **acme.here)
    assert (refusal.code, refusal.reason) == (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED")
    assert acme.service.refusal(LIST, **acme.here).reason == "PERMISSION_MISSING"
    acme.owner.rpc("OrganizationService.DeleteOrganization", **acme.here)
    assert listed(acme) == {"kept": COMMITTED}


def test_an_organization_has_its_own_leases_alone_and_an_unknown_one_none(acme: Metered) -> None:
    other = Metered(acme.world, cpu=10)
    other.committed(cpu=1, resource_id=id_of(acme, "theirs"))
    assert listed(acme) == {}
    unknown = ids.new()
    refusal = acme.operator.refusal(LIST, organization_id=unknown)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": unknown})
