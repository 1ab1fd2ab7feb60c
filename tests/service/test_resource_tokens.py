"""Tokens of resources: by them, resources say who they are to services that ask here whose they are."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.interleave import outcome, refused
from support.metered import COMMIT, COMMITTED, Metered
from support.world import World, fresh

FIND = "OrganizationService.FindOtelConfigByResourceToken"
CONFIG: dict[str, Any] = {"endpoint": "https://otel.example", "headers": {"api-key": "canary"}}


@pytest.fixture
def acme(world: World) -> Metered:
    """Ten cores, and somewhere to export telemetry to."""
    acme = Metered(world, cpu=10)
    acme.owner.rpc("OrganizationService.SetOtelConfig", otel_config=CONFIG, **acme.here)
    return acme


def commit(acme: Metered, lease: Any, token: str) -> Any:
    """The lease, committed for a resource with a token."""
    return acme.service(COMMIT, lease_id=lease.id, resource_token=token, **acme.here)


def found(acme: Metered, token: str, resource_type: str = "sandbox") -> str:
    """To where the resource of a token exports its telemetry; empty when there is none."""
    result = outcome(lambda: acme.operator(FIND, resource_type=resource_type, resource_token=token))
    if refused(result):
        assert result.seen == (StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", {"resource": resource_type})
        assert token not in str(result)
        return ""
    assert dict(result.headers) == CONFIG["headers"]
    return str(result.endpoint)


def test_a_token_leads_to_the_telemetry_of_its_organization_while_the_resource_is_there(acme: Metered) -> None:
    token = fresh("resource-token-")
    lease = acme.reserve(cpu=1)
    assert found(acme, token) == ""
    assert commit(acme, lease, token).state == COMMITTED
    assert found(acme, token) == CONFIG["endpoint"]
    assert found(acme, token, "machine") == ""
    assert found(acme, token.upper()) == ""
    assert acme.commit(lease).state == COMMITTED
    assert found(acme, token) == CONFIG["endpoint"], "a repetition without it takes nothing away"
    acme.release(lease)
    assert found(acme, token) == ""
    assert acme.world.breaches() == []


def test_another_token_ends_the_one_before(acme: Metered) -> None:
    first, second = fresh("resource-token-"), fresh("resource-token-")
    lease = acme.reserve(cpu=1)
    commit(acme, lease, first)
    assert commit(acme, lease, second).id == lease.id
    assert (found(acme, first), found(acme, second)) == ("", CONFIG["endpoint"])


def test_a_token_is_one_resources(acme: Metered, world: World) -> None:
    token, other = fresh("resource-token-"), Metered(world, cpu=10)
    commit(acme, acme.reserve(cpu=1), token)
    theirs = other.reserve(cpu=1)
    taken = {"resource": f"sandbox/{theirs.resource_id}"}
    refusal = other.service.refusal(COMMIT, lease_id=theirs.id, resource_token=token, **other.here)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "RESOURCE_TOKEN_TAKEN", taken)
    assert token not in str(refusal)
    assert other.usage() == (10, 0, 1), "and so nothing was committed"
    assert found(acme, token) == CONFIG["endpoint"]


def test_a_resource_that_grows_or_is_reported_keeps_its_token(acme: Metered) -> None:
    token = fresh("resource-token-")
    lease = acme.reserve(cpu=1, resource_id=(sandbox := fresh("sandbox")))
    commit(acme, lease, token)
    acme.committed(cpu=1, resource_id=sandbox)
    assert len(acme.report((sandbox, {"cpu": 5})).differences) == 1
    assert found(acme, token) == CONFIG["endpoint"]
    acme.report()
    assert found(acme, token) == ""


def test_a_token_is_kept_as_its_digest_and_tried_out_without_a_trace(acme: Metered) -> None:
    token, database = fresh("resource-token-"), acme.world.deployment.database
    lease = acme.reserve(cpu=1)
    acme.service(COMMIT, lease_id=lease.id, resource_token=token, validate_only=True, **acme.here)
    assert found(acme, token) == ""
    request = {"lease_id": lease.id, "resource_token": token, "request_id": fresh("key"), **acme.here}
    assert acme.service(COMMIT, **request) == acme.service(COMMIT, **request)
    kept = raw.values(database, "leased_resources", "token_digest", organization_id=acme.organization.id)
    assert kept == [hashlib.sha256(token.encode()).hexdigest()]
    assert token not in str(raw.snapshot(acme.world.deployment.url))


@pytest.mark.parametrize("token", ["x" * 15, "x" * 201, "with a blank in it", "ünvisible-letters"])
def test_what_is_no_token_is_refused(acme: Metered, token: str) -> None:
    lease = acme.reserve(cpu=1)
    refusal = acme.service.refusal(COMMIT, lease_id=lease.id, resource_token=token, **acme.here)
    assert (refusal.code, set(refusal.violations)) == (StatusCode.INVALID_ARGUMENT, {"resource_token"})
    refusal = acme.operator.refusal(FIND, resource_type="sandbox", resource_token=token)
    assert (refusal.code, set(refusal.violations)) == (StatusCode.INVALID_ARGUMENT, {"resource_token"})
    assert token not in str(refusal)


def test_the_telemetry_of_a_suspended_organization_is_told_and_that_of_a_deleted_one_is_not(acme: Metered) -> None:
    token = fresh("resource-token-")
    commit(acme, acme.reserve(cpu=1), token)
    acme.operator("OrganizationService.SuspendOrganization", **acme.here)
    assert found(acme, token) == CONFIG["endpoint"]
    acme.operator("OrganizationService.UnsuspendOrganization", **acme.here)
    acme.owner.rpc("OrganizationService.DeleteOrganization", **acme.here)
    refusal = acme.operator.refusal(FIND, resource_type="sandbox", resource_token=token)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "ORGANIZATION_DELETED", acme.here)
    assert acme.service.refusal(FIND, resource_type="sandbox", resource_token=token).reason == "PERMISSION_MISSING"
