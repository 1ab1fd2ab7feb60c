"""Leases: what a resource uses, reserved before it is made; and what is left of a quota."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .metrics import GPU, Limits, Metric, Metrics, When
from .quota_errors import LeaseEnded, LeaseHoldsLess, QuotaExceeded
from .regions import Region

DEFAULT_TTL = timedelta(minutes=5)
# How long a lease that holds nothing any more is remembered: what comes late is told what became of it.
REMEMBERED_FOR = timedelta(days=7)

# How much, by metric.
Amounts = Mapping[str, int]


class LeaseState(StrEnum):
    """Where a lease is in its life. That a reservation has expired is told by the time and is not kept."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What a resource uses. `end_time` is until when a reservation can be committed, or when it was released; whoever did what
    to it is told by their credential's id.
    """

    id: str
    organization_id: str
    region_id: str
    resource_class: str
    resource_type: str
    resource_id: str
    state: LeaseState
    amounts: Amounts
    end_time: datetime | None
    create_time: datetime
    update_time: datetime
    reserved_by: str = ""
    committed_by: str = ""
    released_by: str = ""

    def state_at(self, now: datetime) -> LeaseState:
        """The state at an instant."""
        if self.state is LeaseState.RESERVED and self.end_time is not None and self.end_time <= now:
            return LeaseState.EXPIRED
        return self.state

    def ensure_holds(self, now: datetime) -> None:
        """Raises LeaseEnded when it holds nothing any more."""
        state = self.state_at(now)
        if state in (LeaseState.RELEASED, LeaseState.EXPIRED):
            raise LeaseEnded(lease_id=self.id, state=state)

    def without(self, given_back: Amounts) -> Amounts:
        """What it holds once something is given back. Raises LeaseHoldsLess."""
        for metric, amount in given_back.items():
            if amount > (held := self.amounts.get(metric, 0)):
                raise LeaseHoldsLess(lease_id=self.id, metric=metric, held=str(held), amount=str(amount))
        return {metric: left for metric, held in self.amounts.items() if (left := held - given_back.get(metric, 0))}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionQuota:
    """What an organization may have in a region, of a class of resources. `gpu_types` None allows all."""

    organization_id: str
    region_id: str
    resource_class: str
    limits: Limits
    gpu_types: tuple[str, ...] | None
    revision: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a resource is going to use, and what else its limits depend on."""

    resource_type: str
    resource_id: str
    amounts: Amounts
    region: Region | None
    resource_class: str
    gpu_type: str
    ephemeral: bool

    def fits(self, when: When | None) -> bool:
        """Whether a cap for some resources is for this one."""
        return {None: True, When.GPU: self.amounts.get(GPU, 0) > 0, When.NON_EPHEMERAL: not self.ephemeral}[when]


@dataclass(frozen=True, slots=True)
class Book:
    """What is known of an organization's limits and use, where a resource is going to be."""

    metrics: Metrics
    own: Limits
    quota: RegionQuota | None
    used: Amounts

    def ensure_room(self, wish: Wish) -> None:
        """Raises QuotaExceeded for the first metric of which there is not enough left."""
        for name, amount in wish.amounts.items():
            metric = self.metrics.all[name]
            if metric.regional and wish.region is not None and not wish.region.enforce_quotas:
                continue
            limit, used = self._limit(metric), self.used.get(name, 0)
            if limit is not None and used + amount > limit:
                raise exceeded(metric, limit, used, amount, wish.region)
            for cap, most in self._caps(metric, wish):
                if amount > most:
                    raise exceeded(cap, most, 0, amount, wish.region)
        self._ensure_gpu_type(wish)

    def _limit(self, metric: Metric) -> int | None:
        if not metric.regional:
            return self.metrics.limit(metric.name, self.own)
        return 0 if self.quota is None else self.metrics.regional_limit(metric.name, self.quota.limits, self.own)

    def _caps(self, metric: Metric, wish: Wish) -> list[tuple[Metric, int]]:
        """The caps that hold, with their limits: those for some resources go before those for all."""
        caps = self.metrics.caps_of(metric.name, wish.resource_type, regional=metric.regional)
        limited = [(cap, most) for cap in caps if wish.fits(cap.when) and (most := self._limit(cap)) is not None]
        return [each for each in limited if each[0].when] or limited

    def _ensure_gpu_type(self, wish: Wish) -> None:
        enforced = wish.region is not None and wish.region.enforce_quotas
        allowed, amount = self.quota.gpu_types if self.quota else None, wish.amounts.get(GPU, 0)
        if enforced and amount and allowed is not None and wish.gpu_type not in allowed:
            raise exceeded(self.metrics.all[GPU], 0, 0, amount, wish.region)


def exceeded(metric: Metric, limit: int, used: int, amount: int, region: Region | None = None) -> QuotaExceeded:
    """The refusal."""
    return QuotaExceeded(
        metric=metric.name,
        limit=str(limit),
        used=str(used),
        amount=str(amount),
        region_id=region.id if region and metric.regional else "",
    )


def total(leases: Iterable[Lease]) -> dict[str, int]:
    """What leases hold together."""
    found: dict[str, int] = {}
    for lease in leases:
        for metric, amount in lease.amounts.items():
            found[metric] = found.get(metric, 0) + amount
    return dict(sorted(found.items()))
