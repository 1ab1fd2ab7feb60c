"""LimitService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from support.desk import Desk, Somebody

from tenantry.policy.v1 import policy_pb2
from tenantry.v1 import limit_service_pb2, limits_pb2
from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.services.meter import Meter

GET, UPDATE = "LimitService.GetOrganizationLimits", "LimitService.UpdateOrganizationLimits"
NONE = limits_pb2.RateLimit()


@pytest.fixture
def operator(desk: Desk) -> Somebody:
    """Who may do everything that the platform does."""
    return desk.operator()


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


def test_without_settings_nothing_is_limited(ana: Somebody, acme: Any) -> None:
    found = ana(GET, organization_id=acme.id)
    assert found == limits_pb2.OrganizationLimits(
        organization_id=acme.id, etag="r1", authenticated=NONE, sandbox_create=NONE, sandbox_lifecycle=NONE
    )


def test_what_is_set_is_answered_and_read(ana: Somebody, operator: Somebody, acme: Any) -> None:
    changed = operator(
        UPDATE,
        organization_id=acme.id,
        authenticated={"limit": 7, "window": Duration(seconds=90)},
        sandbox_create={"limit": 0},
        api_calls_per_month=5_000_000_000,
    )
    assert changed == limits_pb2.OrganizationLimits(
        organization_id=acme.id,
        etag="r2",
        authenticated=limits_pb2.RateLimit(limited=True, limit=7, window=Duration(seconds=90), limit_set=True, window_set=True),
        sandbox_create=limits_pb2.RateLimit(limited=True, limit=0, window=Duration(seconds=60), limit_set=True),
        sandbox_lifecycle=NONE,
        api_calls_per_month=5_000_000_000,
    )
    assert ana(GET, organization_id=acme.id) == changed


def test_a_mask_clears_what_it_names_and_keeps_the_rest(operator: Somebody, acme: Any) -> None:
    operator(UPDATE, organization_id=acme.id, authenticated={"limit": 7}, api_calls_per_month=5)
    cleared = operator(UPDATE, organization_id=acme.id, update_mask=FieldMask(paths=["authenticated"]))
    assert (cleared.authenticated, cleared.api_calls_per_month) == (NONE, 5)
    cleared = operator(UPDATE, organization_id=acme.id, update_mask=FieldMask(paths=["*"]))
    assert not cleared.HasField("api_calls_per_month")


def test_a_window_has_whole_seconds(operator: Somebody, acme: Any) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        operator(UPDATE, organization_id=acme.id, sandbox_create={"window": Duration(seconds=1, nanos=1)})
    found = [(violation.field, violation.rule) for violation in refusal.value.violations]
    assert found == [("sandbox_create.window", "WHOLE_SECONDS")]


def test_where_nothing_counts_nothing_is_limited(operator: Somebody, acme: Any) -> None:
    rate_class = policy_pb2.RATE_LIMIT_CLASS_SANDBOX_CREATE
    state = operator("LimitService.CheckRateLimit", organization_id=acme.id, rate_limit_class=rate_class)
    assert state == limits_pb2.RateLimitState()


def test_usage_is_listed_by_pages(desk: Desk, ana: Somebody, acme: Any) -> None:
    meter = Meter(desk.services.store)
    for _ in range(3):
        meter.count(acme.id, None)
    meter.flush()
    used = limits_pb2.MeteredUsage(metric="api_calls", month="2030-01", amount=3)
    page = ana("LimitService.ListMeteredUsage", organization_id=acme.id, page_size=1)
    assert page == limit_service_pb2.ListMeteredUsageResponse(usage=[used])
