"""What organizations use: reserved before a resource is made, then committed or released."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from ..domain import ids
from ..domain.call import Call
from ..domain.errors import InvalidRequest, OrganizationNotAccessible, OrganizationSuspended
from ..domain.leases import DEFAULT_TTL, REMEMBERED_FOR, Book, Lease, LeaseState, Wish
from ..domain.metrics import Metrics
from ..domain.organizations import Organization, OrganizationState
from ..domain.paging import Page
from ..domain.quota_errors import ResourceNotFound
from ..domain.regions import canonical
from ..store.change import Change
from ..store.queries import organizations as organization_statements
from ..store.queries import quotas as statements
from ..store.transactions import meter
from ..store.values import milliseconds
from . import ledger
from .quotas import QuotaView
from .service import PageRequest, Service

# How much, by metric, as it is asked for.
Asked = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is to be reserved, and what else its limits depend on."""

    resource_type: str
    resource_id: str
    amounts: Asked
    region_id: str = ""
    resource_class: str = ""
    gpu_type: str = ""
    ephemeral: bool = False
    ttl: timedelta = DEFAULT_TTL


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which leases are meant: what is empty does not matter. Those that hold nothing any more, only if they are asked for."""

    resource_type: str = ""
    resource_id: str = ""
    region_id: str = ""
    resource_class: str = ""
    with_ended: bool = False


class Usages(Service):
    """Use cases of leases. They are changes of what an organization uses, and none of the organization."""

    @property
    def metrics(self) -> Metrics:
        """What can be used."""
        return self.store.catalog.metrics

    def reserve(self, call: Call, wanted: Reservation, *, organization_id: str) -> Lease:
        """Reserves all that is asked for, or nothing. Raises QuotaExceeded, RegionNotFound or OrganizationSuspended."""

        def body(change: Change) -> Lease:
            _ensure_active(change.organization)
            wish = self._wish(change, wanted)
            self._book(change, wish).ensure_room(wish)
            until = milliseconds(change.now - REMEMBERED_FOR)
            change.database.later(statements.FORGET_LEASES, organization_id=change.organization.id, until=until)
            return ledger.insert(change, _reserved(change, wish, wanted.ttl))

        return meter(self.store, call, ids.find_or_nil(organization_id), body, Lease)

    def commit(self, call: Call, *, organization_id: str, lease_id: str, resource_token: str = "") -> Lease:
        """Makes a reservation what is used, and tells the resource's token, if it has one. Raises LeaseNotFound, LeaseEnded,
        ResourceTaken or ResourceTokenTaken.
        """

        def body(change: Change) -> Lease:
            lease = ledger.load(change, lease_id)
            if lease.state is LeaseState.COMMITTED:
                if not resource_token:
                    change.unchanged(lease)
                ledger.give_token(change, lease, resource_token)
                return lease
            lease.ensure_holds(change.now)
            ledger.claim(change, lease)
            ledger.add(change, lease, lease.amounts)
            if resource_token:
                ledger.give_token(change, lease, resource_token)
            slots = {"organization_id": lease.organization_id, "lease_id": lease.id, "now": milliseconds(change.now)}
            change.database.later(statements.COMMIT_LEASE, by=change.by, **slots)
            return replace(lease, state=LeaseState.COMMITTED, end_time=None, update_time=change.now, committed_by=change.by)

        return meter(self.store, call, ids.find_or_nil(organization_id), body, Lease)

    def release(self, call: Call, *, organization_id: str, lease_id: str, amounts: Asked = ()) -> Lease:
        """Gives back what a lease holds, or some of it. Raises LeaseNotFound, LeaseEnded or LeaseHoldsLess."""

        def body(change: Change) -> Lease:
            lease = ledger.load(change, lease_id)
            if not amounts and lease.state_at(change.now) in (LeaseState.RELEASED, LeaseState.EXPIRED):
                change.unchanged(lease)
            lease.ensure_holds(change.now)
            given = lease.amounts
            if amounts:
                given = self.metrics.amounts(amounts, in_region=bool(lease.region_id), field="amounts")
            left = lease.without(given)
            if not left:
                return ledger.end(change, lease)
            if lease.state is LeaseState.COMMITTED:
                ledger.take(change, lease, given)
            slots = {"organization_id": lease.organization_id, "lease_id": lease.id, "now": milliseconds(change.now)}
            change.database.later(statements.REDUCE_LEASE, amounts=ledger.amounts_json(left), by=change.by, **slots)
            return replace(lease, amounts=left, update_time=change.now, released_by=change.by)

        return meter(self.store, call, ids.find_or_nil(organization_id), body, Lease)

    def list_page(self, call: Call, page: PageRequest, of: Sought, *, organization_id: str) -> Page[Lease]:
        """A page of an organization's leases, by id; also of one that is deleted. Raises OrganizationNotAccessible."""
        organization = self.database.row(organization_statements.GET, organization_id=ids.find_or_nil(organization_id))
        if organization is None:
            raise OrganizationNotAccessible(organization_id=organization_id)
        sought = {**asdict(of), "region_id": canonical(of.region_id), "with_ended": int(of.with_ended)}
        scope = self.scope(call, organization.id, *map(str, sought.values()))
        rows = self.database.rows(
            statements.LEASES,
            organization_id=organization.id,
            now=self.store.clock.milliseconds(),
            after=self.page_tokens.position(scope, page.token),
            limit=page.limit + 1,
            **sought,
        )
        return self.page_tokens.page(scope, page.limit, rows, lambda lease: lease.id)

    def organization_of(self, *, resource_type: str, resource_id: str) -> Organization:
        """The organization whose committed lease names a resource. Raises ResourceNotFound."""
        slots = {"resource_type": resource_type, "resource_id": resource_id}
        organization = self.database.row(statements.ORGANIZATION_OF, **slots)
        if organization is None:
            raise ResourceNotFound(resource=f"{resource_type}/{resource_id}")
        return organization

    def quota_of(self, *, resource_type: str, resource_id: str) -> QuotaView:
        """The quota that a resource falls under. Raises ResourceNotFound."""
        named = {"resource_type": resource_type, "resource_id": resource_id}
        organization = self.organization_of(**named)
        lease = self.database.row(statements.LEASE_OF, organization_id=organization.id, **named)
        place = {"region_id": lease.region_id, "resource_class": lease.resource_class} if lease else {}
        quota = self.database.row(statements.GET, organization_id=organization.id, **place) if place else None
        if quota is None:
            raise ResourceNotFound(resource=f"{resource_type}/{resource_id}")
        return QuotaView(quota, organization.quotas)

    def _wish(self, change: Change, wanted: Reservation) -> Wish:
        region = ledger.region_of(change, wanted.region_id)
        amounts = self.metrics.amounts(wanted.amounts, in_region=region is not None, field="amounts")
        if not amounts:
            raise InvalidRequest.of("amounts", "must name something to reserve", "AMOUNTS")
        if wanted.gpu_type and wanted.gpu_type not in self.metrics.gpu_types:
            raise InvalidRequest.of("gpu_type", "is not a type of GPUs of the catalog", "GPU_TYPE")
        return Wish(
            resource_type=wanted.resource_type,
            resource_id=wanted.resource_id,
            amounts=amounts,
            region=region,
            resource_class=self.metrics.resource_class(wanted.resource_class, in_region=region is not None),
            gpu_type=wanted.gpu_type,
            ephemeral=wanted.ephemeral,
        )

    def _book(self, change: Change, wish: Wish) -> Book:
        """What is known of limits and of use, where the resource is going to be."""
        organization, region_id = change.organization, wish.region.id if wish.region else ""
        slots = {"organization_id": organization.id, "region_id": region_id, "resource_class": wish.resource_class}
        quota = change.database.row(statements.GET, **slots)
        counts = ledger.in_use(change.database, self.metrics, organization.id, change.now)
        places = {name: ledger.place_of(self.metrics, name, region_id, wish.resource_class) for name in wish.amounts}
        used = {name: sum(counts[place].get(name, (0, 0))) for name, place in places.items() if place in counts}
        return Book(self.metrics, organization.quotas, quota, used)


def _ensure_active(organization: Organization) -> None:
    if organization.state is OrganizationState.DELETED:
        raise OrganizationNotAccessible(organization_id=organization.id)
    if organization.state is OrganizationState.SUSPENDED:
        raise OrganizationSuspended(organization_id=organization.id, suspension_reason=organization.suspension_reason)


def _reserved(change: Change, wish: Wish, ttl: timedelta) -> Lease:
    return Lease(
        id=ids.new(),
        organization_id=change.organization.id,
        region_id=wish.region.id if wish.region else "",
        resource_class=wish.resource_class,
        resource_type=wish.resource_type,
        resource_id=wish.resource_id,
        state=LeaseState.RESERVED,
        amounts=wish.amounts,
        end_time=change.now + ttl,
        create_time=change.now,
        update_time=change.now,
        reserved_by=change.by,
    )
