"""Metrics: what each limits, what falls back to what, and what there is room for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from support.deployment import CATALOG

from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.domain.leases import Book, RegionQuota, Wish
from tenantry_server.domain.metrics import Metrics
from tenantry_server.domain.quota_errors import QuotaExceeded
from tenantry_server.domain.regions import Region, RegionType

METRICS = CATALOG.metrics
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def region(*, enforced: bool = True) -> Region:
    places: dict[str, Any] = {"proxy_url": "", "ssh_gateway_url": "", "snapshot_manager_url": ""}
    times: dict[str, Any] = {"revision": 1, "create_time": NOW, "update_time": NOW}
    named: dict[str, Any] = {"id": "us", "organization_id": "", "name": "us", "type": RegionType.SHARED}
    return Region(enforce_quotas=enforced, **named, **places, **times)


def book(own: dict[str, int] | None = None, there: dict[str, int] | None = None, used: dict[str, int] | None = None) -> Book:
    limits = {**METRICS.initial(), **(there or {})}
    named: dict[str, Any] = {"organization_id": "o", "region_id": "us", "resource_class": "container", "revision": 1}
    quota = RegionQuota(limits=limits, gpu_types=None, create_time=NOW, update_time=NOW, **named)
    return Book(METRICS, own or {}, quota, used or {})


def wish(*, enforced: bool = True, ephemeral: bool = False, **amounts: int) -> Wish:
    named: dict[str, Any] = {"resource_type": "sandbox", "resource_id": "s", "resource_class": "container", "gpu_type": ""}
    return Wish(amounts=amounts, region=region(enforced=enforced), ephemeral=ephemeral, **named)


def test_room_is_up_to_the_limit_and_not_one_more() -> None:
    book(used={"cpu": 8}).ensure_room(wish(cpu=2))
    with pytest.raises(QuotaExceeded) as refusal:
        book(used={"cpu": 8}).ensure_room(wish(cpu=3))
    figures = {"metric": "cpu", "limit": "10", "used": "8", "amount": "3", "region_id": "us"}
    assert refusal.value.metadata == figures


def test_where_quotas_are_not_enforced_there_is_room_for_all() -> None:
    book(used={"cpu": 8}).ensure_room(wish(enforced=False, cpu=1000, gpu=1000))


@pytest.mark.parametrize(
    ("own", "there", "wanted", "cap"),
    [
        ({}, {"cpu": 100}, {"cpu": 5}, "region-max-cpu-per-sandbox"),
        ({"max-cpu-per-sandbox": 9}, {"cpu": 100}, {"cpu": 10}, "region-max-cpu-per-sandbox"),
        ({"max-cpu-per-sandbox": 99}, {"cpu": 100, "region-max-cpu-per-sandbox": 2}, {"cpu": 3}, "region-max-cpu-per-sandbox"),
        ({}, {"cpu": 100, "gpu": 1}, {"cpu": 17, "gpu": 1}, "max-cpu-per-gpu-sandbox"),
        ({}, {"disk": 999, "max-disk-per-non-ephemeral-sandbox": 3}, {"disk": 4}, "max-disk-per-non-ephemeral-sandbox"),
        (
            {},
            {"disk": 999, "gpu": 1, "max-disk-per-non-ephemeral-sandbox": 0},
            {"disk": 1, "gpu": 1},
            "max-disk-per-non-ephemeral-sandbox",
        ),
    ],
)
def test_one_resource_has_no_more_than_its_cap(
    own: dict[str, int], there: dict[str, int], wanted: dict[str, Any], cap: str
) -> None:
    with pytest.raises(QuotaExceeded) as refusal:
        book(own, there).ensure_room(wish(**wanted))
    assert (refusal.value.metadata["metric"], refusal.value.metadata["used"]) == (cap, "0")


@pytest.mark.parametrize(
    ("own", "there", "wanted"),
    [
        ({"max-cpu-per-sandbox": 9}, {"cpu": 100}, {"cpu": 9}),
        ({}, {"cpu": 100, "region-max-cpu-per-sandbox": 20}, {"cpu": 20}),
        ({}, {"cpu": 100, "gpu": 1}, {"cpu": 16, "gpu": 1}),
        ({}, {"disk": 999, "max-disk-per-non-ephemeral-sandbox": 0}, {"disk": 10, "ephemeral": True}),
        ({}, {"disk": 999, "max-disk-per-non-ephemeral-sandbox": 50}, {"disk": 50}),
    ],
)
def test_a_cap_of_some_goes_before_that_of_all(own: dict[str, int], there: dict[str, int], wanted: dict[str, Any]) -> None:
    book(own, there).ensure_room(wish(**wanted))


def test_a_limit_is_the_quotas_else_the_organizations_else_the_catalogs() -> None:
    assert METRICS.limit("volume", {}) == 100
    assert METRICS.limit("volume", {"volume": 0}) == 0
    assert METRICS.limit("member", {}) is None
    name = "region-max-disk-per-sandbox"
    assert METRICS.regional_limit(name, {}, {}) == 10
    assert METRICS.regional_limit(name, {}, {"max-disk-per-sandbox": 70}) == 70
    assert METRICS.regional_limit(name, {name: 5}, {"max-disk-per-sandbox": 70}) == 5


def test_what_a_quota_cannot_limit_is_named_all_at_once() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        METRICS.changed({}, [("cpu", 1), ("volume", 1), ("volume", 2)], ["horse"], regional=False)
    assert [violation.field for violation in refusal.value.violations] == [
        "limits[0].metric",
        "limits[2].metric",
        "cleared_metrics[0]",
    ]


def test_without_metrics_there_is_nothing_to_limit() -> None:
    assert (Metrics().all, Metrics().classes, Metrics().initial()) == ({}, (), {})
