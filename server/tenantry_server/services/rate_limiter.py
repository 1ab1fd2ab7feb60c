"""Which limit a call counts against, and how it stands there."""

import zlib
from datetime import timedelta

from ..domain.principal import Access, Principal, PrincipalKind
from ..domain.rates import Allowance, OrganizationLimits, Rate, RateClass, Rates
from ..store.change import Store
from ..store.queries import organizations as statements
from .counters import Counter

_NONE = OrganizationLimits()
# How long limits are remembered that authentication did not read, and of how many organizations.
_STALE = timedelta(seconds=10)
_MOST = 10_000


class RateLimiter:
    """Counts calls: of an organization, of a principal outside any, or from an address.

    The limits of the organization that a call names come with what authentication reads, and are never stale. Those of the one
    that a token is bound to, where the call names none, may be ten seconds old.
    """

    def __init__(self, store: Store, rates: Rates, counter: Counter) -> None:
        self._store = store
        self._rates = rates
        self._counter = counter
        self._remembered: dict[str, tuple[float, OrganizationLimits]] = {}

    def organization(self, principal: Principal, access: Access | None) -> tuple[str, OrganizationLimits]:
        """The organization that a call counts against, and its limits; "" when there is none.

        It is the one that the call is about, if the caller has to do with it, or the one that the token is bound to.
        """
        if principal.kind is PrincipalKind.PLATFORM:
            return "", _NONE
        if access is not None:
            return access.organization.id, access.organization.limits or _NONE
        bound = principal.organization_id
        return bound, self._limits(bound) if bound else _NONE

    def of_organization(self, organization_id: str, limits: OrganizationLimits, rate_class: RateClass) -> Allowance | None:
        """Counts a call of an organization. None when there is no limit."""
        return self._count(rate_class, organization_id, limits.rate(rate_class, self._rates))

    def of_principal(self, principal: Principal) -> Allowance | None:
        """Counts a call of somebody outside any organization."""
        if principal.kind is PrincipalKind.PLATFORM:
            return self._count(RateClass.PLATFORM, principal.credential_id or principal.kind, self._rates.platform)
        return self._count(RateClass.PRINCIPAL, principal.id, self._rates.principal)

    def of_address(self, address: str) -> Allowance | None:
        """Counts a call of which nobody knows who makes it."""
        return self._count(RateClass.ADDRESS, address, self._rates.address)

    def _count(self, rate_class: RateClass, key: str, rate: Rate | None) -> Allowance | None:
        if rate is None:
            return None
        now, seconds = self._now(), rate.seconds
        key = f"{rate_class}:{seconds}:{key}"
        # Windows are the same in every process, and begin at another second for every key.
        phase = zlib.crc32(key.encode()) % seconds
        end = (int(now) - phase) // seconds * seconds + phase + seconds
        return Allowance(rate_class, rate, self._counter.count(key, end, now), now, end)

    def _now(self) -> float:
        return self._store.clock.milliseconds() / 1000

    def _limits(self, organization_id: str) -> OrganizationLimits:
        now = self._now()
        known = self._remembered.get(organization_id)
        if known is not None and now - known[0] < _STALE.total_seconds():
            return known[1]
        organization = self._store.database.row(statements.GET, organization_id=organization_id)
        limits = (organization.limits if organization else None) or _NONE
        if len(self._remembered) >= _MOST:
            self._remembered = {}
        self._remembered[organization_id] = (now, limits)
        return limits
