"""What operators do to organizations, and where those export telemetry to: what each request means, and what it becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.clock import MovableClock
from support.desk import NOW, Desk, Somebody

from tenantry.v1 import organization_pb2
from tenantry_server.domain.errors import InvalidRequest, OrganizationDeleted, OtelConfigNotFound
from tenantry_server.wire import timestamp

AT, TOMORROW = timestamp(NOW), timestamp(NOW + timedelta(days=1))
OTEL = organization_pb2.OtelConfig(endpoint="https://otel.example/v1", headers={"api-key": "hunter2", "team": "red"})
MASKED = organization_pb2.OtelConfig(endpoint="https://otel.example/v1", headers={"api-key": "******", "team": "******"})
SUSPENDED, ACTIVE = organization_pb2.ORGANIZATION_STATE_SUSPENDED, organization_pb2.ORGANIZATION_STATE_ACTIVE


@pytest.fixture
def operator(desk: Desk) -> Somebody:
    """Who may do everything that the platform does."""
    return desk.operator()


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


def test_suspend_answers_with_since_when_why_and_until_when(operator: Somebody, acme: Any) -> None:
    suspended = operator(
        "OrganizationService.SuspendOrganization",
        organization_id=acme.id,
        reason="Unpaid",
        until=TOMORROW,
        cleanup_grace_hours=48,
    )
    assert suspended.state == SUSPENDED
    assert suspended.suspension == organization_pb2.Suspension(time=AT, reason="Unpaid", until=TOMORROW)
    assert (suspended.cleanup_grace_hours, suspended.revision) == (48, 2)


def test_suspending_again_keeps_since_when_and_the_grace(operator: Somebody, acme: Any, clock: MovableClock) -> None:
    operator("OrganizationService.SuspendOrganization", organization_id=acme.id, cleanup_grace_hours=48)
    clock.stopped = NOW + timedelta(hours=1)
    again = operator("OrganizationService.SuspendOrganization", organization_id=acme.id, reason="Abuse", cleanup_grace_hours=0)
    assert again.suspension == organization_pb2.Suspension(time=AT, reason="Abuse")
    assert again.cleanup_grace_hours == 48


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(days=1)])
def test_a_suspension_ends_in_the_future(operator: Somebody, acme: Any, ago: timedelta) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        operator("OrganizationService.SuspendOrganization", organization_id=acme.id, until=timestamp(NOW - ago))
    assert [(found.field, found.rule) for found in refusal.value.violations] == [("until", "FUTURE")]


def test_unsuspend_answers_with_the_active_organization(operator: Somebody, acme: Any) -> None:
    operator("OrganizationService.SuspendOrganization", organization_id=acme.id, reason="Unpaid")
    active = operator("OrganizationService.UnsuspendOrganization", organization_id=acme.id)
    assert (active.state, active.HasField("suspension"), active.revision) == (ACTIVE, False, 3)


@pytest.mark.parametrize("name", ["SuspendOrganization", "UnsuspendOrganization"])
def test_what_is_deleted_is_not_suspended(operator: Somebody, ana: Somebody, acme: Any, name: str) -> None:
    ana("OrganizationService.DeleteOrganization", organization_id=acme.id)
    with pytest.raises(OrganizationDeleted) as refusal:
        operator(f"OrganizationService.{name}", organization_id=acme.id)
    assert refusal.value.metadata == {"organization_id": acme.id}


def test_telemetry_is_set_masked_and_read_in_clear(ana: Somebody, operator: Somebody, acme: Any) -> None:
    changed = ana("OrganizationService.SetOtelConfig", organization_id=acme.id, otel_config=OTEL)
    assert changed.settings.otel_config == MASKED
    assert ana("OrganizationService.GetOrganization", organization_id=acme.id) == changed
    assert operator("OrganizationService.GetOtelConfig", organization_id=acme.id) == OTEL


def test_telemetry_is_found_by_the_token_of_a_resource(ana: Somebody, operator: Somebody, acme: Any) -> None:
    ana("OrganizationService.SetOtelConfig", organization_id=acme.id, otel_config=OTEL)
    volume = {"resource_type": "volume", "resource_id": "v", "amounts": [{"metric": "volume", "amount": 1}]}
    lease, token = operator("QuotaService.Reserve", organization_id=acme.id, **volume), "a-token-of-a-volume"
    operator("QuotaService.Commit", organization_id=acme.id, lease_id=lease.id, resource_token=token)
    find = "OrganizationService.FindOtelConfigByResourceToken"
    assert operator(find, resource_type="volume", resource_token=token) == OTEL


def test_telemetry_that_is_deleted_is_not_there(ana: Somebody, operator: Somebody, acme: Any) -> None:
    ana("OrganizationService.SetOtelConfig", organization_id=acme.id, otel_config=OTEL)
    changed = ana("OrganizationService.DeleteOtelConfig", organization_id=acme.id)
    assert not changed.settings.HasField("otel_config")
    with pytest.raises(OtelConfigNotFound) as refusal:
        operator("OrganizationService.GetOtelConfig", organization_id=acme.id)
    assert refusal.value.metadata == {"organization_id": acme.id}
