"""Limits of organizations: what is set for one, how it stands, and what it used."""

from dataclasses import dataclass, replace
from typing import Any, Self

from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.etags import etag
from ..domain.organizations import Organization
from ..domain.paging import Page
from ..domain.rates import SETTABLE, Allowance, OrganizationLimits, Rate, RateClass, RateOverride, normal
from ..store.change import Change
from ..store.queries import metering
from ..store.queries import organizations as statements
from ..store.queries.metering import Usage
from .operated import change_operated, find_operated
from .rate_limiter import RateLimiter
from .service import PageRequest, Service

# Behind every month.
_END = "9999-99"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRate:
    """The limit of a class in an organization, None for none, and what of it was set for that organization."""

    rate_class: RateClass
    rate: Rate | None
    override: RateOverride


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveLimits:
    """What an organization is limited to."""

    organization_id: str
    etag: str
    rates: tuple[EffectiveRate, ...]
    api_calls_per_month: int | None


class RateLimits(Service):
    """Use cases of rate limits and metered usage."""

    _limiter: RateLimiter | None = None

    def counting(self, limiter: RateLimiter) -> Self:
        """The same, able to count calls; without, none is limited."""
        able = type(self)(self.store, self.limits, self.page_tokens)
        able._limiter = limiter
        return able

    def get(self, call: Call) -> EffectiveLimits:
        """The limits of the organization that the call is scoped to."""
        return self._effective(call.held.organization)

    def update(self, call: Call, *, organization_id: str, wanted: dict[str, Any]) -> EffectiveLimits:
        """Sets what is named in `wanted`, and clears what is None there. Raises OrganizationDeleted."""

        def body(change: Change, before: Organization) -> EffectiveLimits:
            change.ensure_etag(etag(before.revision - 1))
            after = replace(before, limits=normal(replace(before.limits or OrganizationLimits(), **wanted)))
            kept = after.limits.kept() if after.limits else ""
            change.database.later(statements.SET_LIMITS, organization_id=after.id, limits=kept)
            change.record("organization.update_limits", "organization", after.id, differences(before, after))
            return self._effective(after)

        return change_operated(self.store, call, organization_id, body, EffectiveLimits)

    def check(self, call: Call, *, organization_id: str, rate_class: RateClass) -> Allowance | None:
        """Counts one call of an organization. Raises RateLimited, OrganizationNotAccessible or OrganizationDeleted."""
        organization = find_operated(self.store, organization_id)
        if self._limiter is None:
            return None
        limits = organization.limits or OrganizationLimits()
        allowance = self._limiter.of_organization(organization.id, limits, rate_class)
        if allowance is not None:
            allowance.ensure_admitted()
        return allowance

    def usage(self, call: Call, page: PageRequest) -> Page[Usage]:
        """A page of what the call's organization used, the newest month first."""
        scope = self.scope(call)
        month, _, metric = self.page_tokens.position(scope, page.token, start=_END).partition("/")
        slots = {"organization_id": call.organization_id, "month": month, "metric": metric, "limit": page.limit + 1}
        rows = self.database.rows(metering.LIST, **slots)
        return self.page_tokens.page(scope, page.limit, rows, lambda usage: f"{usage.month}/{usage.metric}")

    def _effective(self, organization: Organization) -> EffectiveLimits:
        limits = organization.limits or OrganizationLimits()
        return EffectiveLimits(
            organization_id=organization.id,
            etag=etag(organization.revision),
            rates=tuple(
                EffectiveRate(
                    rate_class=rate_class,
                    rate=limits.rate(rate_class, self.limits.rates),
                    override=getattr(limits, rate_class) or RateOverride(),
                )
                for rate_class in SETTABLE
            ),
            api_calls_per_month=limits.api_calls_per_month,
        )
