"""Whatever fails in the middle of a change of what is used: all of it happened, or nothing did."""

from __future__ import annotations

from collections.abc import Callable

from support.metered import COMMIT, COMMITTED, RELEASE, RELEASED, REPORT, RESERVE, RESERVED, Metered
from support.operators import fail_everywhere
from support.world import World, fresh


def test_a_lease_that_fails_at_any_statement_of_its_life_is_where_it_was(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    acme = Metered(world, cpu=10, memory=10)
    request = acme.request(cpu=2, memory=3, request_id="once")
    lease, places = fail_everywhere(world, lambda: acme.service(RESERVE, **request))
    assert (lease.state, acme.usage()) == (RESERVED, (10, 0, 2))
    assert places > 5
    token = fresh("resource-token-")
    key = {"lease_id": lease.id, **acme.here}
    commit = lambda: acme.service(COMMIT, resource_token=token, request_id="twice", **key)
    committed, places = fail_everywhere(world, commit)
    assert (committed.state, acme.usage(), acme.usage("memory")) == (COMMITTED, (10, 2, 0), (10, 3, 0))
    assert places > 8
    there = [{"resource_id": lease.resource_id, "amounts": [{"metric": "cpu", "amount": 5}]}]
    report = {"resource_type": "sandbox", "region_id": "us", "resources": there, **acme.here}
    answer, places = fail_everywhere(world, lambda: acme.service(REPORT, request_id="thrice", **report))
    assert (len(answer.differences), acme.usage(), acme.usage("memory")) == (1, (10, 5, 0), (10, 0, 0))
    assert places > 10
    (held,) = acme.operator("QuotaService.ListLeases", **acme.here).leases
    release = lambda: acme.service(RELEASE, lease_id=held.id, request_id="lastly", **acme.here)
    released, places = fail_everywhere(world, release)
    assert (released.state, acme.usage()) == (RELEASED, (10, 0, 0))
    assert places > 6
    assert world.breaches() == []


def test_a_report_that_both_adds_and_removes_at_the_limit_is_counted_net(deploy_own: Callable[..., World]) -> None:
    acme = Metered(deploy_own(), cpu=10)
    for number in range(10):
        acme.committed(cpu=1, resource_id=f"old-{number}")
    kept = [(f"old-{number}", {"cpu": 1}) for number in range(5)]
    answer = acme.report(*kept, *((f"new-{number}", {"cpu": 1}) for number in range(5)))
    assert len(answer.differences) == 10
    assert acme.usage() == (10, 10, 0)
    assert acme.reserve_refused(cpu=1).reason == "QUOTA_EXCEEDED"
    acme.report(*kept, ("new-0", {"cpu": 1}))
    assert acme.usage() == (10, 6, 0)
    assert acme.world.breaches() == []
