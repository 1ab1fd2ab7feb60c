"""QuotaService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from support.clock import MovableClock
from support.desk import NOW, Desk, Somebody

from tenantry.v1 import quota_pb2, quota_service_pb2
from tenantry_server.domain.quota_errors import QuotaNotFound
from tenantry_server.wire import timestamp

AT = timestamp(NOW)
CPU = [quota_pb2.Amount(metric="cpu", amount=2)]
WANTED = [{"metric": "cpu", "amount": 2}]

WISH: dict[str, Any] = {"region_id": "us", "resource_type": "sandbox", "amounts": WANTED}


@pytest.fixture
def operator(desk: Desk) -> Somebody:
    """Who may do everything that the platform does."""
    return desk.operator()


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization, which has a quota in its default region."""
    return ana("OrganizationService.CreateOrganization", name="Acme", default_region_id="us")


@pytest.fixture
def lease(operator: Somebody, acme: Any) -> Any:
    """A reservation."""
    return operator("QuotaService.Reserve", organization_id=acme.id, resource_id="s", ttl=Duration(seconds=60), **WISH)


def limit(quota: Any, metric: str) -> Any:
    """A limit of a quota."""
    return next(each for each in quota.limits if each.metric == metric)


def test_list_metrics_answers_by_pages(ana: Somebody) -> None:
    first = ana("QuotaService.ListMetrics", page_size=1)
    metric = quota_pb2.Metric(
        name="cpu",
        description="CPU",
        unit="cores",
        kind=quota_pb2.METRIC_KIND_USED,
        regional=True,
        default_limit=10,
    )
    assert list(first.metrics) == [metric]
    second = ana("QuotaService.ListMetrics", page_token=first.next_page_token)
    assert {each.kind for each in second.metrics} == {1, 2, 3, 4}
    assert second.next_page_token == ""


def test_the_organizations_quotas_are_answered_whole(operator: Somebody, acme: Any) -> None:
    quotas = operator("QuotaService.GetOrganizationQuotas", organization_id=acme.id)
    assert (quotas.organization_id, quotas.revision, quotas.etag) == (acme.id, 1, "r1")
    assert limit(quotas, "volume") == quota_pb2.QuotaLimit(metric="volume", limit=100, is_default=True)
    assert limit(quotas, "member") == quota_pb2.QuotaLimit(metric="member", is_default=True)


def test_update_sets_and_clears(operator: Somebody, acme: Any) -> None:
    update = "QuotaService.UpdateOrganizationQuotas"
    changed = operator(update, organization_id=acme.id, limits=[{"metric": "volume", "limit": 0}])
    assert limit(changed, "volume") == quota_pb2.QuotaLimit(metric="volume", limit=0)
    assert (changed.revision, changed.etag) == (2, "r2")
    changed = operator(update, organization_id=acme.id, cleared_metrics=["volume"])
    assert limit(changed, "volume").is_default


def test_a_quota_in_a_region_is_answered_whole(operator: Somebody, acme: Any) -> None:
    here = {"organization_id": acme.id, "region_id": "us"}
    given = {"resource_class": "windows", "allowed_gpu_types": {"gpu_types": ["RTX-PRO-6000", "H100"]}}
    made = operator(
        "QuotaService.CreateRegionQuota",
        limits=[{"metric": "cpu", "limit": 7}],
        cleared_metrics=["max-cpu-per-gpu-sandbox"],
        **given,
        **here,
    )
    assert (made.organization_id, made.region_id, made.resource_class) == (acme.id, "us", "windows")
    assert limit(made, "cpu") == quota_pb2.QuotaLimit(metric="cpu", limit=7)
    assert limit(made, "max-cpu-per-gpu-sandbox") == quota_pb2.QuotaLimit(metric="max-cpu-per-gpu-sandbox", is_default=True)
    assert list(made.allowed_gpu_types.gpu_types) == ["H100", "RTX-PRO-6000"]
    assert (made.revision, made.etag, made.create_time, made.update_time) == (2, "r2", AT, AT)
    assert operator("QuotaService.GetRegionQuota", resource_class="windows", **here) == made


def test_update_of_a_region_keeps_what_is_left_out(operator: Somebody, acme: Any) -> None:
    here = {"organization_id": acme.id, "region_id": "us"}
    update = "QuotaService.UpdateRegionQuota"
    narrowed = operator(update, allowed_gpu_types={"gpu_types": ["H100"]}, **here)
    changed = operator(update, limits=[{"metric": "cpu", "limit": 7}], **here)
    assert changed.allowed_gpu_types == narrowed.allowed_gpu_types
    assert limit(changed, "cpu").limit == 7
    assert not operator(update, allowed_gpu_types={"all": True}, **here).HasField("allowed_gpu_types")


def test_delete_answers_with_the_revision(operator: Somebody, ana: Somebody, acme: Any) -> None:
    here = {"organization_id": acme.id, "region_id": "us", "resource_class": "windows"}
    operator("QuotaService.CreateRegionQuota", **here)
    answer = operator("QuotaService.DeleteRegionQuota", **here)
    assert answer == quota_service_pb2.DeleteRegionQuotaResponse(revision=3)
    with pytest.raises(QuotaNotFound):
        operator("QuotaService.GetRegionQuota", **here)


def test_reserve_answers_with_the_whole_lease(acme: Any, lease: Any) -> None:
    assert lease == quota_pb2.Lease(
        id=lease.id,
        organization_id=acme.id,
        region_id="us",
        resource_class="container",
        resource_type="sandbox",
        resource_id="s",
        state=quota_pb2.LEASE_STATE_RESERVED,
        amounts=CPU,
        expire_time=timestamp(NOW + timedelta(seconds=60)),
        create_time=AT,
        update_time=AT,
        reserved_by=lease.reserved_by,
    )
    assert lease.reserved_by


def test_leases_are_listed_as_they_are(operator: Somebody, acme: Any, lease: Any) -> None:
    other = operator("QuotaService.Reserve", **{**WISH, "organization_id": acme.id, "resource_id": "t"})
    everything = {"resource_type": "sandbox", "region_id": "us", "resource_class": "container", "include_ended": True}
    first = operator("QuotaService.ListLeases", organization_id=acme.id, page_size=1, **everything)
    assert list(first.leases) == [lease]
    token = first.next_page_token
    last = operator("QuotaService.ListLeases", organization_id=acme.id, page_size=1, page_token=token, **everything)
    assert last == quota_service_pb2.ListLeasesResponse(leases=[other])
    (found,) = operator("QuotaService.ListLeases", organization_id=acme.id, resource_id="t").leases
    assert found == other


def test_commit_and_release_answer_with_what_became_of_it(operator: Somebody, acme: Any, lease: Any) -> None:
    named = {"organization_id": acme.id, "lease_id": lease.id}
    committed = operator("QuotaService.Commit", **named)
    assert (committed.state, committed.HasField("expire_time")) == (quota_pb2.LEASE_STATE_COMMITTED, False)
    partly = operator("QuotaService.Release", amounts=[{"metric": "cpu", "amount": 1}], **named)
    assert (partly.state, partly.amounts[0].amount) == (quota_pb2.LEASE_STATE_COMMITTED, 1)
    assert operator("QuotaService.Release", **named).state == quota_pb2.LEASE_STATE_RELEASED


def test_a_lease_that_was_not_committed_in_time_has_expired(
    operator: Somebody, acme: Any, lease: Any, clock: MovableClock
) -> None:
    clock.stopped = NOW + timedelta(seconds=60)
    released = operator("QuotaService.Release", organization_id=acme.id, lease_id=lease.id)
    assert (released.state, released.expire_time) == (quota_pb2.LEASE_STATE_EXPIRED, lease.expire_time)


def test_usage_is_answered_whole(ana: Somebody, operator: Somebody, acme: Any, lease: Any) -> None:
    usage = ana("QuotaService.GetUsage", organization_id=acme.id)
    (there,) = usage.regions
    assert (there.region_id, there.resource_class) == ("us", "container")
    assert there.metrics[0] == quota_pb2.MetricUsage(metric="cpu", limit=10, used=0, reserved=2)
    assert quota_pb2.MetricUsage(metric="member", used=1) in usage.metrics


def test_a_report_answers_with_what_differed(operator: Somebody, acme: Any, lease: Any) -> None:
    there = [{"resource_id": id_, "amounts": WANTED} for id_ in ("t", "s")]
    named = {"organization_id": acme.id, "region_id": "us", "resource_type": "sandbox"}
    answer = operator("QuotaService.ReportUsage", resources=there, observe_time=AT, **named)
    difference = quota_service_pb2.ReportUsageResponse.Difference(resource_id="t", reported=CPU)
    assert answer == quota_service_pb2.ReportUsageResponse(differences=[difference], skipped_resource_ids=["s"])


def test_a_resource_leads_to_its_organization_and_its_quota(ana: Somebody, operator: Somebody, acme: Any, lease: Any) -> None:
    operator("QuotaService.Commit", organization_id=acme.id, lease_id=lease.id)
    named = {"resource_type": "sandbox", "resource_id": "s"}
    assert operator("QuotaService.FindOrganizationByResource", **named) == acme
    quota = operator("QuotaService.GetRegionQuota", organization_id=acme.id, region_id="us")
    assert operator("QuotaService.FindRegionQuotaByResource", **named) == quota
