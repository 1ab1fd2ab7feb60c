"""What becomes of leases inside a change: the steps that reserving, committing, releasing and reporting have in common."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ..domain import ids
from ..domain.leases import Amounts, Lease, LeaseState
from ..domain.metrics import Metrics
from ..domain.quota_errors import LeaseNotFound, RegionNotFound, ResourceTaken, ResourceTokenTaken
from ..domain.regions import Region, canonical
from ..domain.tokens import digest_of_others
from ..store.change import Change
from ..store.database import Database
from ..store.queries import quotas as statements
from ..store.queries import regions as region_statements
from ..store.tries import Again
from ..store.values import milliseconds

# Where a metric is counted: region and class, both empty for one that is not regional.
Place = tuple[str, str]
NOWHERE: Place = ("", "")
# What is used of a metric, and what is reserved besides.
Counts = Mapping[Place, dict[str, tuple[int, int]]]


def in_use(database: Database, metrics: Metrics, organization_id: str, now: datetime) -> Counts:
    """What is used and what is reserved besides, by metric, wherever it is counted."""
    found: defaultdict[Place, dict[str, tuple[int, int]]] = defaultdict(dict)
    for region_id, resource_class, metric, amount in database.rows(statements.USED, organization_id=organization_id):
        found[region_id, resource_class][metric] = (amount, 0)
    for lease in database.rows(statements.RESERVED, organization_id=organization_id, now=milliseconds(now)):
        for metric, amount in lease.amounts.items():
            place = place_of(metrics, metric, lease.region_id, lease.resource_class)
            used, reserved = found[place].get(metric, (0, 0))
            found[place][metric] = (used, reserved + amount)
    return found


def place_of(metrics: Metrics, metric: str, region_id: str, resource_class: str) -> Place:
    """Where a metric of a resource is counted."""
    known = metrics.all.get(metric)
    return (region_id, resource_class) if known is not None and known.regional else NOWHERE


def region_of(change: Change, region_id: str) -> Region | None:
    """A region that is meant, or none. Raises RegionNotFound."""
    if not region_id:
        return None
    slots = {"organization_id": change.organization.id, "region_id": canonical(region_id)}
    region = change.database.row(region_statements.ANY, **slots)
    if region is None:
        raise RegionNotFound(region_id=region_id)
    return region


def load(change: Change, lease_id: str) -> Lease:
    """A lease of the organization. Raises LeaseNotFound."""
    slots = {"organization_id": change.organization.id, "lease_id": ids.find_or_nil(lease_id)}
    lease = change.database.row(statements.GET_LEASE, **slots)
    if lease is None:
        raise LeaseNotFound(lease_id=lease_id)
    return lease


def insert(change: Change, lease: Lease) -> Lease:
    """Keeps a new lease."""
    change.database.later(
        statements.INSERT_LEASE,
        id=lease.id,
        organization_id=lease.organization_id,
        region_id=lease.region_id,
        resource_class=lease.resource_class,
        resource_type=lease.resource_type,
        resource_id=lease.resource_id,
        state=lease.state.value,
        amounts=amounts_json(lease.amounts),
        end_time=None if lease.end_time is None else milliseconds(lease.end_time),
        create_time=milliseconds(lease.create_time),
        update_time=milliseconds(lease.update_time),
        reserved_by=lease.reserved_by,
        committed_by=lease.committed_by,
        released_by=lease.released_by,
    )
    return lease


def claim(change: Change, lease: Lease) -> None:
    """A resource is one organization's. Raises ResourceTaken."""
    slots = {"resource_type": lease.resource_type, "resource_id": lease.resource_id}
    change.database.later(statements.CLAIM, organization_id=lease.organization_id, **slots)
    owner = change.database.row(statements.OWNER, **slots)
    if owner is None:  # another organization has just let go of it
        raise Again
    if owner != lease.organization_id:
        raise ResourceTaken(resource=f"{lease.resource_type}/{lease.resource_id}")


def give_token(change: Change, lease: Lease, token: str) -> None:
    """The resource of a committed lease says who it is by this token from now on. Raises ResourceTokenTaken."""
    named = {"resource_type": lease.resource_type, "resource_id": lease.resource_id}
    taken = ResourceTokenTaken(resource=f"{lease.resource_type}/{lease.resource_id}")
    slots = {"organization_id": lease.organization_id, "digest": digest_of_others(token), **named}
    change.database.later(statements.SET_TOKEN, taken, **slots)


def add(change: Change, lease: Lease, amounts: Amounts) -> None:
    """Counts what a committed lease holds from now on."""
    for slots in _counted(change, lease, amounts):
        change.database.later(statements.ADD, **slots)


def take(change: Change, lease: Lease, amounts: Amounts) -> None:
    """Counts what a committed lease holds no longer."""
    for slots in _counted(change, lease, amounts):
        change.database.later(statements.TAKE, **slots)


def end(change: Change, lease: Lease) -> Lease:
    """Gives back all that a lease holds."""
    slots = {"organization_id": lease.organization_id, "lease_id": lease.id, "now": milliseconds(change.now)}
    change.database.later(statements.RELEASE_LEASE, by=change.by, **slots)
    if lease.state is LeaseState.COMMITTED:
        take(change, lease, lease.amounts)
        resource = {"resource_type": lease.resource_type, "resource_id": lease.resource_id}
        change.database.later(statements.UNCLAIM, organization_id=lease.organization_id, **resource)
    return replace(lease, state=LeaseState.RELEASED, end_time=change.now, update_time=change.now, released_by=change.by)


def amounts_json(amounts: Amounts) -> str:
    """Amounts as they are kept."""
    return json.dumps(dict(amounts), separators=(",", ":"))


def _counted(change: Change, lease: Lease, amounts: Amounts) -> list[dict[str, object]]:
    metrics, organization_id = change.catalog.metrics, lease.organization_id
    places = {metric: place_of(metrics, metric, lease.region_id, lease.resource_class) for metric in amounts}
    return [
        {
            "organization_id": organization_id,
            "region_id": places[metric][0],
            "resource_class": places[metric][1],
            "metric": metric,
            "amount": amount,
        }
        for metric, amount in amounts.items()
    ]
