"""Where an organization's resources are placed: the regions that may be its default, and the quota that goes with one."""

import json

from ..domain.audit import Changes
from ..domain.errors import InvalidRequest
from ..domain.regions import Region, RegionType, canonical
from ..store.change import Change
from ..store.database import Database
from ..store.queries import quotas
from ..store.queries import regions as statements
from ..store.values import milliseconds


def default_region(database: Database, organization_id: str, region_id: str) -> Region:
    """The region that is to be the default one: a shared one, the organization's own, or one where it has a quota.

    Raises InvalidRequest. A new organization has no id yet.
    """
    known = canonical(region_id)
    region = database.row(statements.ANY, organization_id=organization_id, region_id=known)
    if region is None or (region.type is RegionType.DEDICATED and not _has_quota(database, organization_id, known)):
        raise InvalidRequest.of("default_region_id", "is not a known region", "UNKNOWN_REGION")
    return region


def give_first_quota(change: Change, region: Region | None) -> Changes:
    """Gives the organization the catalog's quota in its default region, unless it has one; what the audit trail says of it."""
    if region is None or not region.enforce_quotas:
        return {}
    metrics, now = change.catalog.metrics, milliseconds(change.now)
    limits = metrics.initial()
    key = {"organization_id": change.organization.id, "region_id": region.id, "resource_class": metrics.default_class}
    if _has_quota(change.database, change.organization.id, region.id):
        return {}
    change.database.later(
        quotas.INSERT,
        limits=json.dumps(limits, separators=(",", ":")),
        gpu_types=None,
        revision=change.organization.revision,
        create_time=now,
        update_time=now,
        **key,
    )
    return {"region_quota": (None, {"region_id": region.id, "resource_class": metrics.default_class, "limits": limits})}


def _has_quota(database: Database, organization_id: str, region_id: str) -> bool:
    rows = database.rows(quotas.LIST, organization_id=organization_id)
    return any(quota.region_id == region_id for quota in rows)
