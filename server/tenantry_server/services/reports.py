"""What is used, told and set right: the usage of an organization, and reports of what is really there."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..domain import ids
from ..domain.call import Call
from ..domain.errors import InvalidRequest
from ..domain.leases import Amounts, Lease, LeaseState, RegionQuota, total
from ..domain.metrics import SEATS, Metric, MetricKind, Metrics
from ..domain.organizations import Organization
from ..store.change import Change
from ..store.queries import quotas as statements
from ..store.transactions import meter
from ..store.values import milliseconds
from . import ledger, seats
from .ledger import Place
from .regions import usable
from .service import MAX_LIST, Service
from .usages import Asked


@dataclass(frozen=True, slots=True)
class MetricUse:
    """What is used of a metric, what is reserved besides, and the limit, if there is one."""

    metric: str
    limit: int | None
    used: int
    reserved: int


@dataclass(frozen=True, slots=True)
class RegionUse:
    """What is used in a region, of a class of resources, and the quota there, if there is one."""

    region_id: str
    resource_class: str
    metrics: tuple[MetricUse, ...]
    quota: RegionQuota | None


@dataclass(frozen=True, slots=True)
class Use:
    """What an organization uses, as a whole and in regions."""

    organization: Organization
    metrics: tuple[MetricUse, ...]
    regions: tuple[RegionUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The resources that a report is of: those of a type, of a class, in a region."""

    type: str
    region_id: str = ""
    resource_class: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A resource of which something else was known than is true."""

    resource_id: str
    recorded: Amounts
    reported: Amounts


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What differed, and which resources were left as they are."""

    differences: tuple[Difference, ...]
    skipped: tuple[str, ...]


class UsageReports(Service):
    """Use cases of what is used in all."""

    @property
    def metrics(self) -> Metrics:
        """What can be used."""
        return self.store.catalog.metrics

    def get(self, call: Call) -> Use:
        """What the call's organization uses."""
        organization, now = call.held.organization, self.store.clock.now()
        counts = ledger.in_use(self.database, self.metrics, organization.id, now)
        quotas = self.database.rows(statements.LIST, organization_id=organization.id)
        rules = {(quota.region_id, quota.resource_class): quota for quota in quotas}
        free = self._free_regions(organization.id)
        there = sorted(({*rules, *counts}) - {ledger.NOWHERE})
        whole = dict(counts.get(ledger.NOWHERE, {}))
        if SEATS in self.metrics.all:
            whole[SEATS] = (seats.taken(self.database, organization.id, now), 0)
        limits = {metric.name: self.metrics.limit(metric.name, organization.quotas) for metric in self._shown(regional=False)}
        return Use(
            organization,
            _uses(self._shown(regional=False), limits, whole),
            tuple(self._there(organization, place, rules.get(place), counts.get(place, {}), free) for place in there),
        )

    def report(
        self,
        call: Call,
        of: Kind,
        *,
        organization_id: str,
        resources: Sequence[tuple[str, Asked]],
        observed: datetime | None = None,
    ) -> Reconciliation:
        """Makes committed leases say what is really there, whatever the limits. Raises ResourceTaken."""

        def body(change: Change) -> Reconciliation:
            kind = self._found(change, of)
            truth = self._truth(resources, in_region=bool(kind.region_id))
            held = _held(change, kind)
            skipped = _moving(change, kind, held, observed or change.now) & {*truth, *held}
            found = []
            for resource_id in sorted({*truth, *held} - skipped):
                leases, reported = held.get(resource_id, []), truth.get(resource_id, {})
                if (recorded := total(leases)) != reported:
                    _correct(change, kind, resource_id, leases, reported)
                    found.append(Difference(resource_id, recorded, reported))
            return Reconciliation(tuple(found), tuple(sorted(skipped)))

        return meter(self.store, call, ids.find_or_nil(organization_id), body, Reconciliation)

    def _shown(self, *, regional: bool) -> list[Metric]:
        return self.metrics.of(MetricKind.USED, MetricKind.COUNTED, regional=regional)

    def _free_regions(self, organization_id: str) -> frozenset[str]:
        """Where no quotas are enforced."""
        there = usable(self.database, organization_id, "", MAX_LIST)
        return frozenset(region.id for region in there if not region.enforce_quotas)

    def _there(
        self,
        organization: Organization,
        place: Place,
        quota: RegionQuota | None,
        counts: Mapping[str, tuple[int, int]],
        free: frozenset[str],
    ) -> RegionUse:
        """What is used somewhere. Where quotas are enforced and there is none, nothing may be."""
        shown = self._shown(regional=True)
        limits: dict[str, int | None] = dict.fromkeys((metric.name for metric in shown), None if place[0] in free else 0)
        if quota is not None and place[0] not in free:
            own = organization.quotas
            limits = {metric.name: self.metrics.regional_limit(metric.name, quota.limits, own) for metric in shown}
        return RegionUse(*place, _uses(shown, limits, counts), quota)

    def _found(self, change: Change, of: Kind) -> Kind:
        region = ledger.region_of(change, of.region_id)
        name = self.metrics.resource_class(of.resource_class, in_region=region is not None)
        return replace(of, region_id=region.id if region else "", resource_class=name)

    def _truth(self, resources: Sequence[tuple[str, Asked]], *, in_region: bool) -> dict[str, dict[str, int]]:
        truth: dict[str, dict[str, int]] = {}
        for index, (resource_id, amounts) in enumerate(resources):
            if resource_id in truth:
                raise InvalidRequest.of(f"resources[{index}].resource_id", "is named twice", "RESOURCES")
            field = f"resources[{index}].amounts"
            truth[resource_id] = self.metrics.amounts(amounts, in_region=in_region, field=field)
        return truth


def _uses(
    metrics: Iterable[Metric], limits: Mapping[str, int | None], counts: Mapping[str, tuple[int, int]]
) -> tuple[MetricUse, ...]:
    return tuple(MetricUse(metric.name, limits[metric.name], *counts.get(metric.name, (0, 0))) for metric in metrics)


def _held(change: Change, kind: Kind) -> Mapping[str, list[Lease]]:
    """What leases hold of such resources, by resource."""
    found: defaultdict[str, list[Lease]] = defaultdict(list)
    now = milliseconds(change.now)
    for lease in change.database.rows(statements.HOLDING, now=now, **_slots(change, kind)):
        found[lease.resource_id].append(lease)
    return found


def _moving(change: Change, kind: Kind, held: Mapping[str, list[Lease]], observed: datetime) -> set[str]:
    """The resources that are being made, or of which something changed after the truth was looked at."""
    ended = change.database.rows(statements.ENDED_SINCE, since=milliseconds(observed), **_slots(change, kind))
    moving = (
        resource_id
        for resource_id, leases in held.items()
        if any(lease.state is LeaseState.RESERVED or lease.update_time > observed for lease in leases)
    )
    return {*ended, *moving}


def _slots(change: Change, kind: Kind) -> dict[str, str]:
    place = {"region_id": kind.region_id, "resource_class": kind.resource_class}
    return {"organization_id": change.organization.id, "resource_type": kind.type, **place}


def _correct(change: Change, kind: Kind, resource_id: str, leases: Iterable[Lease], reported: Amounts) -> None:
    """One committed lease, of what was reported, takes the place of all that there were. It comes first: what is known of the
    resource stays.
    """
    if reported:
        lease = Lease(
            id=ids.new(),
            organization_id=change.organization.id,
            region_id=kind.region_id,
            resource_class=kind.resource_class,
            resource_type=kind.type,
            resource_id=resource_id,
            state=LeaseState.COMMITTED,
            amounts=reported,
            end_time=None,
            create_time=change.now,
            update_time=change.now,
            reserved_by=change.by,
            committed_by=change.by,
        )
        ledger.claim(change, lease)
        ledger.insert(change, lease)
        ledger.add(change, lease, reported)
    for lease in leases:
        ledger.end(change, lease)
