"""An organization whose use is metered: an operator who sets its quotas, a service that reserves, and its owner, who looks."""

from __future__ import annotations

from typing import Any

from grpc import StatusCode

from .rpc import Refused
from .world import Person, World, fresh

RESERVE, COMMIT, RELEASE = "QuotaService.Reserve", "QuotaService.Commit", "QuotaService.Release"
REPORT, USAGE = "QuotaService.ReportUsage", "QuotaService.GetUsage"
RESERVED, COMMITTED, RELEASED, EXPIRED = 1, 2, 3, 4
HERE = ("us", "container")


def amounts(**given: int) -> list[dict[str, Any]]:
    """How much, by metric."""
    return [{"metric": name.replace("_", "-"), "amount": amount} for name, amount in given.items()]


def limits(**given: int) -> list[dict[str, Any]]:
    """Limits, by metric."""
    return [{"metric": name.replace("_", "-"), "limit": limit} for name, limit in given.items()]


def told(listed: Any) -> dict[str, int]:
    """Amounts as an answer has them."""
    return {each.metric: each.amount for each in listed}


def limit_of(quota: Any, metric: str) -> int | None:
    """A limit as an answer has it."""
    (found,) = [each for each in quota.limits if each.metric == metric]
    return found.limit if found.HasField("limit") else None


class Metered:
    """The organization, with a quota in a region of the platform unless it has none."""

    def __init__(self, world: World, owner: Person | None = None, **quota: int) -> None:
        self.world = world
        self.owner = owner or world.person("owner")
        self.organization = world.organization(self.owner)
        self.operator, self.service = world.platform(), world.platform("usage:reserve", "usage:report", "resource:read")
        if quota:
            self.grant("", **quota)

    @property
    def here(self) -> dict[str, str]:
        """What names the organization."""
        return {"organization_id": self.organization.id}

    def grant(self, resource_class: str = "", **quota: int) -> Any:
        """A quota in the region."""
        given = {"region_id": "us", "resource_class": resource_class, "limits": limits(**quota)}
        return self.operator("QuotaService.CreateRegionQuota", **given, **self.here)

    def limit(self, **given: int) -> Any:
        """Limits of the organization as a whole."""
        return self.operator("QuotaService.UpdateOrganizationQuotas", limits=limits(**given), **self.here)

    def regional_limit(self, **given: int) -> Any:
        """Limits in the region."""
        return self.operator("QuotaService.UpdateRegionQuota", region_id="us", limits=limits(**given), **self.here)

    def request(self, **wanted: Any) -> dict[str, Any]:
        """A reservation: of a sandbox in the region, or, of a snapshot, nowhere."""
        more = {name: wanted.pop(name) for name in _REQUEST & set(wanted)}
        regional = {"region_id": "us"} if set(wanted) <= {"cpu", "memory", "disk", "gpu"} else {}
        given = {"resource_type": "sandbox", "resource_id": fresh("sandbox"), "amounts": amounts(**wanted), **regional}
        return given | more | self.here

    def reserve(self, **wanted: Any) -> Any:
        """A reservation."""
        return self.service(RESERVE, **self.request(**wanted))

    def reserve_refused(self, **wanted: Any) -> Refused:
        """How a reservation is refused."""
        return self.service.refusal(RESERVE, **self.request(**wanted))

    def commit(self, lease: Any) -> Any:
        """The lease, committed."""
        return self.service(COMMIT, lease_id=lease.id, **self.here)

    def committed(self, **wanted: Any) -> Any:
        """A committed lease."""
        return self.commit(self.reserve(**wanted))

    def release(self, lease: Any, **given: int) -> Any:
        """The lease, released, or with less."""
        return self.service(RELEASE, lease_id=lease.id, amounts=amounts(**given), **self.here)

    def report(self, *resources: tuple[str, dict[str, int]], **more: Any) -> Any:
        """What differed from these sandboxes."""
        there = [{"resource_id": id_, "amounts": amounts(**used)} for id_, used in resources]
        given = {"resource_type": "sandbox", "region_id": "us", "resources": there}
        return self.service(REPORT, **given | more | self.here)

    def usage(self, metric: str = "cpu", place: tuple[str, str] | None = HERE) -> tuple[int | None, int, int]:
        """The limit, what is used, and what is reserved; of the organization as a whole where no place is said."""
        answer = self.owner.rpc(USAGE, **self.here)
        metrics = answer.metrics
        if place is not None:
            there = [each for each in answer.regions if (each.region_id, each.resource_class) == place]
            metrics = there[0].metrics
        (found,) = [each for each in metrics if each.metric == metric]
        return found.limit if found.HasField("limit") else None, found.used, found.reserved


_REQUEST = frozenset(
    "resource_type resource_id region_id resource_class gpu_type ephemeral ttl request_id validate_only amounts".split()
)


def exceeded(metric: str, limit: int, used: int, amount: int, region_id: str = "us") -> tuple[Any, str, dict[str, str]]:
    """How a reservation is refused that is too much."""
    figures = {"metric": metric, "limit": str(limit), "used": str(used), "amount": str(amount), "region_id": region_id}
    return StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", figures
