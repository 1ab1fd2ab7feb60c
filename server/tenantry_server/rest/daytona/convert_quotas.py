"""Regions, quotas and usage in the spelling of this dialect: limits of sandboxes by their names, numbers that may be null."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue

from tenantry.rest.daytona.v1 import quota_service_pb2 as quota_pb
from tenantry.rest.daytona.v1 import region_service_pb2 as region_pb

from ...domain import ids
from ...domain.clock import isoformat
from ...domain.errors import InvalidRequest, Violation
from ...domain.leases import RegionQuota
from ...domain.metrics import Metrics
from ...domain.rates import SETTABLE, RateClass, RateOverride
from ...domain.regions import Endpoint, Region
from ...services.quotas import GpuTypes, NewLimits, QuotaView
from ...services.reports import MetricUse, RegionUse, Use

_TOTALS = {f"total_{name}_quota": name for name in ("cpu", "memory", "disk", "gpu")}
_CAPS = {
    "max_cpu_per_sandbox": "region-max-cpu-per-sandbox",
    "max_memory_per_sandbox": "region-max-memory-per-sandbox",
    "max_disk_per_sandbox": "region-max-disk-per-sandbox",
    "max_disk_per_non_ephemeral_sandbox": "max-disk-per-non-ephemeral-sandbox",
    "max_cpu_per_gpu_sandbox": "max-cpu-per-gpu-sandbox",
    "max_memory_per_gpu_sandbox": "max-memory-per-gpu-sandbox",
    "max_disk_per_gpu_sandbox": "max-disk-per-gpu-sandbox",
}
_ORGANIZATION = {
    "max_cpu_per_sandbox": "max-cpu-per-sandbox",
    "max_memory_per_sandbox": "max-memory-per-sandbox",
    "max_disk_per_sandbox": "max-disk-per-sandbox",
    "snapshot_quota": "snapshot",
    "max_snapshot_size": "max-snapshot-size",
    "volume_quota": "volume",
    "snapshot_deactivation_timeout_minutes": "snapshot-deactivation-timeout",
    "max_concurrent_snapshot_processing": "max-concurrent-snapshots",
}
# Of which 0 and less means no limit.
_BOUNDLESS = "max_concurrent_snapshot_processing"
_URLS = {f"{endpoint}_url": endpoint for endpoint in Endpoint}
_MOST = 1_000_000_000
_DAY = 86_400
SNAPSHOT_MANAGER = "snapshot-manager"


def region(record: Region) -> region_pb.Region:
    """A region."""
    return region_pb.Region(
        id=region_id(record.id),
        name=record.name,
        organization_id=ids.to_uuid(record.organization_id) if record.organization_id else None,
        region_type=record.type,
        created_at=isoformat(record.create_time),
        updated_at=isoformat(record.update_time),
        **{name: record.url(endpoint) or None for name, endpoint in _URLS.items()},
    )


def new_region(record: Region) -> region_pb.CreateRegionResponse:
    """A new region, with the keys of its services."""
    is_managed = bool(record.url(Endpoint.SNAPSHOT_MANAGER))
    return region_pb.CreateRegionResponse(
        id=region_id(record.id),
        proxy_api_key=record.key(Endpoint.PROXY) or None,
        ssh_gateway_api_key=record.key(Endpoint.SSH_GATEWAY) or None,
        snapshot_manager_username=SNAPSHOT_MANAGER if is_managed else None,
        snapshot_manager_password=record.key(Endpoint.SNAPSHOT_MANAGER) or None,
    )


def region_id(kept: str) -> str:
    """A region's id: those of custom regions are ours."""
    known = ids.find(kept)
    return ids.to_uuid(known) if known else kept


def urls(request: Message) -> dict[Endpoint, str]:
    """Where services are, as far as it is said; null is nowhere. Raises InvalidRequest."""
    given = _given(request, _URLS)
    wrong = [name for name, value in given.items() if value is not None and not _is_web_address(value)]
    if wrong:
        raise InvalidRequest(Violation(name, "must be a web address, or null", "WEB_ADDRESS") for name in wrong)
    return {_URLS[name]: value or "" for name, value in given.items()}


def organization_limits(request: Message) -> NewLimits:
    """What is to become of an organization's limits. Null keeps one: the published clients send it for all that is to stay."""
    given = {name: value for name, value in _given(request, _ORGANIZATION).items() if value is not None}
    if type(given.get(_BOUNDLESS)) in (int, float) and given[_BOUNDLESS] <= 0:
        given[_BOUNDLESS] = None
    wanted = _limits(given, _ORGANIZATION)
    return NewLimits(limits=wanted.limits, cleared=wanted.cleared, rates=_rates(request))


def region_limits(request: Message, *, required: bool) -> NewLimits:
    """What is to become of the limits in a region. A total is not cleared by null; `required`, it must be there."""
    given = _given(request, {**_TOTALS, **_CAPS})
    totals = {name: given.pop(name, None) for name in _TOTALS}
    missing = [Violation(name, "must be there", "REQUIRED") for name, value in totals.items() if value is None]
    if required and missing:
        raise InvalidRequest(missing)
    given |= {name: value for name, value in totals.items() if value is not None}
    wanted = _limits(given, {**_TOTALS, **_CAPS})
    return NewLimits(limits=wanted.limits, cleared=wanted.cleared, gpu_types=_gpu_types(request))


def region_quota(view: QuotaView, metrics: Metrics) -> quota_pb.RegionQuota:
    """A quota in a region."""
    record, own = view.quota, view.own
    totals: dict[str, Any] = {name: metrics.regional_limit(metric, record.limits, own) for name, metric in _TOTALS.items()}
    return quota_pb.RegionQuota(
        organization_id=ids.to_uuid(record.organization_id),
        region_id=region_id(record.region_id),
        sandbox_class=record.resource_class,
        allowed_gpu_types=_types(record),
        **totals,
        **_own_caps(record),
    )


def usage(record: Use) -> quota_pb.OrganizationUsageOverview:
    """What an organization uses: what is committed, and not what is reserved."""
    uses = {use.metric: use for use in record.metrics}
    return quota_pb.OrganizationUsageOverview(
        region_usage=[_region_usage(each, each.quota) for each in record.regions if each.quota is not None],
        total_snapshot_quota=_limit(uses["snapshot"]),
        current_snapshot_usage=uses["snapshot"].used,
        total_volume_quota=_limit(uses["volume"]),
        current_volume_usage=uses["volume"].used,
    )


def _region_usage(record: RegionUse, quota: RegionQuota) -> quota_pb.RegionUsageOverview:
    uses = {use.metric: use for use in record.metrics}
    return quota_pb.RegionUsageOverview(
        region_id=region_id(record.region_id),
        sandbox_class=record.resource_class,
        allowed_gpu_types=_types(quota),
        **{name: _limit(uses[metric]) for name, metric in _TOTALS.items()},
        **{f"current_{metric}_usage": uses[metric].used for metric in _TOTALS.values()},
        **_own_caps(quota),
    )


def _limit(use: MetricUse) -> int:
    """A limit; where there is none, more than any can be."""
    return _MOST if use.limit is None else use.limit


def _own_caps(quota: RegionQuota) -> dict[str, Any]:
    return {name: quota.limits.get(metric) for name, metric in _CAPS.items()}


def _types(quota: RegionQuota) -> ListValue | None:
    if quota.gpu_types is None:
        return None
    types = ListValue()
    types.extend(quota.gpu_types)
    return types


def _given(request: Message, fields: Iterable[str]) -> dict[str, Any]:
    """The fields that are there, null as None."""
    return {name: MessageToDict(getattr(request, name)) for name in fields if request.HasField(name)}


def _limits(given: Mapping[str, Any], metrics: Mapping[str, str]) -> NewLimits:
    wrong = [name for name, value in given.items() if value is not None and not _is_limit(value)]
    if wrong:
        text = f"must be a whole number from 0 to {_MOST:,}, or null"
        raise InvalidRequest(Violation(name, text, "QUANTITY") for name in wrong)
    return NewLimits(
        limits=[(metrics[name], int(value)) for name, value in given.items() if value is not None],
        cleared=[metrics[name] for name, value in given.items() if value is None],
    )


def _rates(request: Message) -> dict[RateClass, RateOverride]:
    """The rate limits that are given, in part or whole. Raises InvalidRequest."""
    calls, seconds = ({f"{each}_rate_limit{end}": each for each in SETTABLE} for end in ("", "_ttl_seconds"))
    given = {name: value for name, value in _given(request, [*calls, *seconds]).items() if value is not None}
    wrong = [name for name, value in given.items() if not _is_limit(value) or (name in seconds and not 1 <= value <= _DAY)]
    if wrong:
        texts = {**dict.fromkeys(calls, f"from 0 to {_MOST:,}"), **dict.fromkeys(seconds, f"from 1 to {_DAY:,}")}
        raise InvalidRequest(Violation(name, f"must be a whole number {texts[name]}, or null", "QUANTITY") for name in wrong)
    rates: dict[RateClass, RateOverride] = {}
    for (most, rate_class), window in zip(calls.items(), seconds, strict=True):
        if most in given or window in given:
            rates[rate_class] = RateOverride(*(int(given[name]) if name in given else None for name in (most, window)))
    return rates


def _is_limit(value: Any) -> bool:
    is_whole = isinstance(value, float) and value.is_integer()
    return (is_whole or (isinstance(value, int) and not isinstance(value, bool))) and 0 <= value <= _MOST


def _is_web_address(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 500 and re.fullmatch(r"(https?://[^\s/@]+(/\S*)?)?", value) is not None


def _gpu_types(request: Message) -> GpuTypes | None:
    given = _given(request, ["allowed_gpu_types"])
    if not given:
        return None
    names = given["allowed_gpu_types"]
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InvalidRequest.of("allowed_gpu_types", "must be a list of names, or null", "GPU_TYPES")
    return GpuTypes(None if names is None else tuple(sorted(set(names))))
