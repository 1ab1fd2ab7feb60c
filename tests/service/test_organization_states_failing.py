"""A change of an organization's state that fails anywhere has not happened; asked for again, it happens once."""

from collections.abc import Callable

import pytest
from support import raw
from support.operators import fail_everywhere
from support.rpc import Client
from support.world import World

_OWNERS = ("DeleteOrganization", "UndeleteOrganization")
# Each with what it needs to have happened before.
_CHANGES = {
    "DeleteOrganization": "",
    "UndeleteOrganization": "DeleteOrganization",
    "SuspendOrganization": "",
    "UnsuspendOrganization": "SuspendOrganization",
}


@pytest.mark.parametrize("method", _CHANGES)
def test_a_change_of_state_that_fails_anywhere_has_not_happened(deploy_own: Callable[..., World], method: str) -> None:
    world = deploy_own()
    ana = world.person()
    acme = world.organization(ana)
    world.member(acme, ana)
    actor: Client = ana.rpc if method in _OWNERS else world.platform()
    here = {"organization_id": acme.id}
    if _CHANGES[method]:
        actor(f"OrganizationService.{_CHANGES[method]}", **here)
    told = raw.count(world.deployment.database, "audit_events", **here)
    _, places = fail_everywhere(world, lambda: actor(f"OrganizationService.{method}", **here))
    assert places >= 3  # what counts it, the state, and the trail
    assert raw.count(world.deployment.database, "audit_events", **here) == told + 1
