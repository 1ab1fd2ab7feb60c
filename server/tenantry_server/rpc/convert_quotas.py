"""Between the records and the messages of regions, quotas and leases."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from tenantry.v1 import quota_pb2, quota_service_pb2, region_pb2

from ..domain.etags import etag
from ..domain.leases import DEFAULT_TTL, Amounts, Lease, LeaseState
from ..domain.metrics import Metric, MetricKind, Metrics
from ..domain.organizations import Organization
from ..domain.regions import Endpoint, FirstRegion, Region, RegionType
from ..services.quotas import GpuTypes, NewLimits, QuotaView
from ..services.reports import MetricUse, Reconciliation, Use
from ..services.usages import Reservation, Sought
from ..wire import timestamp, timestamp_or_none

_TYPES = {
    RegionType.SHARED: region_pb2.REGION_TYPE_SHARED,
    RegionType.DEDICATED: region_pb2.REGION_TYPE_DEDICATED,
    RegionType.CUSTOM: region_pb2.REGION_TYPE_CUSTOM,
}
_ENDPOINTS = {
    Endpoint.PROXY: region_pb2.REGION_ENDPOINT_PROXY,
    Endpoint.SSH_GATEWAY: region_pb2.REGION_ENDPOINT_SSH_GATEWAY,
    Endpoint.SNAPSHOT_MANAGER: region_pb2.REGION_ENDPOINT_SNAPSHOT_MANAGER,
}
_KINDS = {
    MetricKind.USED: quota_pb2.METRIC_KIND_USED,
    MetricKind.COUNTED: quota_pb2.METRIC_KIND_COUNTED,
    MetricKind.CAP: quota_pb2.METRIC_KIND_CAP,
    MetricKind.SETTING: quota_pb2.METRIC_KIND_SETTING,
}
_STATES = {
    LeaseState.RESERVED: quota_pb2.LEASE_STATE_RESERVED,
    LeaseState.COMMITTED: quota_pb2.LEASE_STATE_COMMITTED,
    LeaseState.RELEASED: quota_pb2.LEASE_STATE_RELEASED,
    LeaseState.EXPIRED: quota_pb2.LEASE_STATE_EXPIRED,
}
_TYPE_OF = {value: kind for kind, value in _TYPES.items()}
_ENDPOINT_OF = {value: endpoint for endpoint, value in _ENDPOINTS.items()}


def region(record: Region) -> region_pb2.Region:
    """A region."""
    return region_pb2.Region(
        id=record.id,
        organization_id=record.organization_id,
        name=record.name,
        type=_TYPES[record.type],
        enforce_quotas=record.enforce_quotas,
        proxy_url=record.proxy_url,
        ssh_gateway_url=record.ssh_gateway_url,
        snapshot_manager_url=record.snapshot_manager_url,
        revision=record.revision,
        etag=etag(record.revision),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
    )


def endpoint(value: int) -> Endpoint:
    """A service of a region. Validation has seen to it that it is one."""
    return _ENDPOINT_OF[value]  # type: ignore[index]


def endpoint_of(known: Endpoint) -> region_pb2.RegionEndpoint.ValueType:
    """A service of a region."""
    return _ENDPOINTS[known]


def urls(request: Any, fields: Iterable[str]) -> dict[Endpoint, str]:
    """Where services are, as the fields of a request say."""
    return {Endpoint(name.removesuffix("_url")): getattr(request, name) for name in fields}


def platform_region(request: Any) -> FirstRegion:
    """A region of the platform that is to be made."""
    return FirstRegion(
        id=request.id,
        name=request.name or request.id,
        type=_TYPE_OF[request.type],
        enforce_quotas=not request.without_quotas,
    )


def metric(record: Metric) -> quota_pb2.Metric:
    """A metric."""
    return quota_pb2.Metric(
        name=record.name,
        description=record.description,
        unit=record.unit,
        kind=_KINDS[record.kind],
        regional=record.regional,
        default_limit=record.default,
    )


def organization_quotas(record: Organization, metrics: Metrics) -> quota_pb2.OrganizationQuotas:
    """What an organization as a whole may have."""
    own = record.quotas
    return quota_pb2.OrganizationQuotas(
        organization_id=record.id,
        limits=[
            quota_pb2.QuotaLimit(metric=each.name, limit=metrics.limit(each.name, own), is_default=each.name not in own)
            for each in metrics.of(regional=False)
        ],
        revision=record.revision,
        etag=etag(record.revision),
    )


def region_quota(view: QuotaView, metrics: Metrics) -> quota_pb2.RegionQuota:
    """What an organization may have in a region."""
    record = view.quota
    types = None if record.gpu_types is None else quota_pb2.AllowedGpuTypes(gpu_types=record.gpu_types)
    return quota_pb2.RegionQuota(
        organization_id=record.organization_id,
        region_id=record.region_id,
        resource_class=record.resource_class,
        limits=[
            quota_pb2.QuotaLimit(
                metric=each.name,
                limit=metrics.regional_limit(each.name, record.limits, view.own),
                is_default=each.name not in record.limits,
            )
            for each in metrics.of(regional=True)
        ],
        allowed_gpu_types=types,
        revision=record.revision,
        etag=etag(record.revision),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
    )


def new_limits(request: Any) -> NewLimits:
    """What is to become of a quota."""
    types = None
    if "allowed_gpu_types" in request.DESCRIPTOR.fields_by_name and request.HasField("allowed_gpu_types"):
        wanted = request.allowed_gpu_types
        types = GpuTypes(None if wanted.all else tuple(wanted.gpu_types))
    limits = [(each.metric, each.limit) for each in request.limits]
    return NewLimits(limits=limits, cleared=list(request.cleared_metrics), gpu_types=types)


def amounts(request: Any) -> list[tuple[str, int]]:
    """How much, by metric."""
    return [(each.metric, each.amount) for each in request.amounts]


def reservation(request: quota_service_pb2.ReserveRequest) -> Reservation:
    """What is to be reserved."""
    ttl = timedelta(seconds=request.ttl.seconds) if request.HasField("ttl") else DEFAULT_TTL
    return Reservation(
        resource_type=request.resource_type,
        resource_id=request.resource_id,
        amounts=amounts(request),
        region_id=request.region_id,
        resource_class=request.resource_class,
        gpu_type=request.gpu_type,
        ephemeral=request.ephemeral,
        ttl=ttl,
    )


def sought(request: quota_service_pb2.ListLeasesRequest) -> Sought:
    """Which leases are meant."""
    return Sought(
        resource_type=request.resource_type,
        resource_id=request.resource_id,
        region_id=request.region_id,
        resource_class=request.resource_class,
        with_ended=request.include_ended,
    )


def lease(record: Lease, now: datetime) -> quota_pb2.Lease:
    """A lease, its state as of now."""
    state = record.state_at(now)
    is_timed = state in (LeaseState.RESERVED, LeaseState.EXPIRED)
    return quota_pb2.Lease(
        id=record.id,
        organization_id=record.organization_id,
        region_id=record.region_id,
        resource_class=record.resource_class,
        resource_type=record.resource_type,
        resource_id=record.resource_id,
        state=_STATES[state],
        amounts=_amounts(record.amounts),
        expire_time=timestamp_or_none(record.end_time) if is_timed else None,
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        reserved_by=record.reserved_by,
        committed_by=record.committed_by,
        released_by=record.released_by,
    )


def use(record: Use) -> quota_service_pb2.GetUsageResponse:
    """What an organization uses."""
    return quota_service_pb2.GetUsageResponse(
        metrics=map(_metric_use, record.metrics),
        regions=[
            quota_pb2.RegionUsage(
                region_id=each.region_id,
                resource_class=each.resource_class,
                metrics=map(_metric_use, each.metrics),
            )
            for each in record.regions
        ],
    )


def reconciliation(record: Reconciliation) -> quota_service_pb2.ReportUsageResponse:
    """What differed."""
    return quota_service_pb2.ReportUsageResponse(
        differences=[
            quota_service_pb2.ReportUsageResponse.Difference(
                resource_id=each.resource_id,
                recorded=_amounts(each.recorded),
                reported=_amounts(each.reported),
            )
            for each in record.differences
        ],
        skipped_resource_ids=record.skipped,
    )


def _metric_use(record: MetricUse) -> quota_pb2.MetricUsage:
    return quota_pb2.MetricUsage(metric=record.metric, limit=record.limit, used=record.used, reserved=record.reserved)


def _amounts(record: Amounts) -> list[quota_pb2.Amount]:
    return [quota_pb2.Amount(metric=name, amount=amount) for name, amount in record.items()]
