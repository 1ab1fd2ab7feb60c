"""Quotas: what an organization may use, as a whole and in regions. Operators set them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..domain import ids
from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.errors import InvalidRequest, OrganizationNotAccessible, PermissionMissing, Violation
from ..domain.etags import etag
from ..domain.leases import RegionQuota
from ..domain.metrics import Limits, Metric, Metrics
from ..domain.organizations import Organization
from ..domain.paging import Page
from ..domain.quota_errors import LastDefaultQuota, QuotaExists, QuotaNotFound, QuotasNotEnforced, RegionNotFound
from ..domain.rates import RateClass, RateOverride, refined
from ..domain.regions import canonical
from ..store.change import Change
from ..store.queries import organizations as organization_statements
from ..store.queries import quotas as statements
from ..store.queries import regions as region_statements
from ..store.transactions import change, lock_usage
from ..store.values import milliseconds
from .service import PageRequest, Service

_LIMIT = "organization:limit"


@dataclass(frozen=True, slots=True)
class GpuTypes:
    """The types of GPUs that may be used; None: all."""

    names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLimits:
    """What is to become of a quota: limits set, limits cleared, and types of GPUs, unless they stay; and of rate limits, whose
    parts that are None stay.
    """

    limits: Sequence[tuple[str, int]] = ()
    cleared: Sequence[str] = ()
    gpu_types: GpuTypes | None = None
    rates: Mapping[RateClass, RateOverride] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuotaView:
    """A quota in a region, and the limits of its organization that it falls back to."""

    quota: RegionQuota
    own: Limits


class Quotas(Service):
    """Use cases of quotas."""

    @property
    def metrics(self) -> Metrics:
        """What there can be quotas of."""
        return self.store.catalog.metrics

    def list_metrics(self, call: Call, page: PageRequest) -> Page[Metric]:
        """A page of the metrics, by name."""
        scope = self.scope(call)
        after = self.page_tokens.position(scope, page.token)
        rows = [metric for name, metric in self.metrics.all.items() if name > after]
        return self.page_tokens.page(scope, page.limit, rows, lambda metric: metric.name)

    def of_organization(self, organization_id: str) -> Organization:
        """The organization, which has its limits. Raises OrganizationNotAccessible."""
        known = ids.find_or_nil(organization_id)
        organization = self.database.row(organization_statements.GET, organization_id=known)
        if organization is None:
            raise OrganizationNotAccessible(organization_id=organization_id)
        return organization

    def update_organization(self, call: Call, wanted: NewLimits, *, organization_id: str) -> Organization:
        """Sets and clears limits of the organization as a whole. Raises PermissionMissing for rate limits, which need a
        permission of their own.
        """
        if wanted.rates and _LIMIT not in call.principal.narrows(self.store.catalog.platform):
            raise PermissionMissing(permissions=_LIMIT)

        def body(change: Change) -> Organization:
            before = change.organization
            change.ensure_etag(etag(before.revision - 1))
            limits = self.metrics.changed(before.quotas, wanted.limits, wanted.cleared, regional=False)
            after = replace(before, quotas=limits, limits=refined(before.limits, wanted.rates))
            change.database.later(organization_statements.SET_QUOTAS, organization_id=after.id, quotas=_json(limits))
            if wanted.rates:
                kept = after.limits.kept() if after.limits else ""
                change.database.later(organization_statements.SET_LIMITS, organization_id=after.id, limits=kept)
            change.record("quota.update", "organization", after.id, differences(before, after))
            return after

        return change(self.store, call, ids.find_or_nil(organization_id), body, Organization)

    def create_region(
        self, call: Call, wanted: NewLimits, *, organization_id: str, region_id: str, resource_class: str
    ) -> QuotaView:
        """Gives the organization a quota in a region. Raises RegionNotFound, QuotasNotEnforced or QuotaExists."""
        name = self.metrics.resource_class(resource_class, in_region=True)

        def body(change: Change) -> QuotaView:
            organization = change.organization
            key = {"organization_id": organization.id, "region_id": canonical(region_id)}
            region = change.database.row(region_statements.ANY, **key)
            if region is None:
                raise RegionNotFound(region_id=region_id)
            if not region.enforce_quotas:
                raise QuotasNotEnforced(region_id=region_id)
            quota = RegionQuota(
                organization_id=organization.id,
                region_id=region.id,
                resource_class=name,
                limits=self.metrics.changed(self.metrics.initial(), wanted.limits, wanted.cleared, regional=True),
                gpu_types=self._gpu_types(wanted, None),
                revision=organization.revision,
                create_time=change.now,
                update_time=change.now,
            )
            if not change.database.run(statements.INSERT, **_slots(quota)):
                raise QuotaExists(quota=_named(quota.region_id, name))
            change.record("quota.create", "region_quota", _named(quota.region_id, name), differences(None, quota))
            return QuotaView(quota, organization.quotas)

        return change(self.store, call, ids.find_or_nil(organization_id), body, QuotaView)

    def get_region(self, *, organization_id: str, region_id: str, resource_class: str) -> QuotaView:
        """A quota in a region. Raises OrganizationNotAccessible or QuotaNotFound."""
        organization = self.of_organization(organization_id)
        name = self.metrics.resource_class(resource_class, in_region=True)
        key = {"organization_id": organization.id, "region_id": canonical(region_id), "resource_class": name}
        quota = self.database.row(statements.GET, **key)
        if quota is None:
            raise QuotaNotFound(quota=_named(region_id, name))
        return QuotaView(quota, organization.quotas)

    def update_region(
        self, call: Call, wanted: NewLimits, *, organization_id: str, region_id: str, resource_class: str
    ) -> QuotaView:
        """Sets and clears limits of a quota in a region. Raises QuotaNotFound."""

        def body(change: Change) -> QuotaView:
            before = self._load(change, region_id, resource_class)
            after = replace(
                before,
                limits=self.metrics.changed(before.limits, wanted.limits, wanted.cleared, regional=True),
                gpu_types=self._gpu_types(wanted, before.gpu_types),
                revision=change.organization.revision,
                update_time=change.now,
            )
            change.database.later(statements.UPDATE, now=milliseconds(change.now), **_slots(after))
            target = _named(after.region_id, after.resource_class)
            change.record("quota.update", "region_quota", target, differences(before, after))
            return QuotaView(after, change.organization.quotas)

        return change(self.store, call, ids.find_or_nil(organization_id), body, QuotaView)

    def delete_region(self, call: Call, *, organization_id: str, region_id: str, resource_class: str) -> Organization:
        """Takes a quota in a region away. Raises QuotaNotFound or LastDefaultQuota."""

        def body(change: Change) -> Organization:
            quota, organization = self._load(change, region_id, resource_class), change.organization
            there = change.database.rows(statements.LIST, organization_id=organization.id)
            target = _named(quota.region_id, quota.resource_class)
            is_last = sum(each.region_id == quota.region_id for each in there) == 1
            if is_last and organization.default_region_id == quota.region_id:
                raise LastDefaultQuota(quota=target)
            key = {"region_id": quota.region_id, "resource_class": quota.resource_class}
            change.database.later(statements.DELETE, organization_id=organization.id, **key)
            change.record("quota.delete", "region_quota", target, differences(quota, None))
            return organization

        return change(self.store, call, ids.find_or_nil(organization_id), body, Organization)

    def _load(self, change: Change, region_id: str, resource_class: str) -> RegionQuota:
        """A quota that may be changed: of the expected etag. Nothing is reserved under it meanwhile."""
        name = self.metrics.resource_class(resource_class, in_region=True)
        lock_usage(change.database, change.organization.id)
        key = {"organization_id": change.organization.id, "region_id": canonical(region_id), "resource_class": name}
        quota = change.database.row(statements.GET, **key)
        if quota is None:
            raise QuotaNotFound(quota=_named(region_id, name))
        change.ensure_etag(etag(quota.revision))
        return quota

    def _gpu_types(self, wanted: NewLimits, before: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if wanted.gpu_types is None:
            return before
        names = wanted.gpu_types.names
        text, field = "is not a type of GPUs of the catalog", "allowed_gpu_types.gpu_types"
        unknown = [(index, name) for index, name in enumerate(names or ()) if name not in self.metrics.gpu_types]
        if unknown:
            raise InvalidRequest(Violation(f"{field}[{index}]", f"{name!r} {text}", "GPU_TYPE") for index, name in unknown)
        return None if names is None else tuple(sorted(names))


def _named(region_id: str, resource_class: str) -> str:
    """What a quota in a region is called."""
    return f"{region_id}/{resource_class}"


def _slots(quota: RegionQuota) -> dict[str, object]:
    """What the statements of a quota need."""
    return {
        "organization_id": quota.organization_id,
        "region_id": quota.region_id,
        "resource_class": quota.resource_class,
        "limits": _json(quota.limits),
        "gpu_types": None if quota.gpu_types is None else " ".join(quota.gpu_types),
        "revision": quota.revision,
        "create_time": milliseconds(quota.create_time),
        "update_time": milliseconds(quota.update_time),
    }


def _json(limits: Limits) -> str:
    return json.dumps(dict(limits), separators=(",", ":"))
