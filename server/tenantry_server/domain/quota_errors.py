"""What can be refused about regions, quotas and leases; see `errors.py` for the tree and for what holds for all."""

from .errors import AlreadyExists, FailedPrecondition, NotFound, TenantryError


class RegionNotFound(NotFound):
    text, kind, key = "region {region_id} not found", "region", "region_id"


class QuotaNotFound(NotFound):
    text, kind, key = "quota {quota} not found", "quota", "quota"


class LeaseNotFound(NotFound):
    text, kind, key = "lease {lease_id} not found", "lease", "lease_id"


class ResourceNotFound(NotFound):
    text, kind, key = "resource {resource} not found", "resource", "resource"


class RegionTaken(AlreadyExists):
    text = "there is a region {region} already"


class QuotaExists(AlreadyExists):
    text = "there is a quota {quota} already"


class ResourceTaken(AlreadyExists):
    text = "resource {resource} is another organization's"


class ResourceTokenTaken(AlreadyExists):
    text = "the token of resource {resource} is another resource's"


class RegionInUse(FailedPrecondition):
    text = "region {region_id} is in use"


class EndpointMissing(FailedPrecondition):
    text = "region {region_id} does not say where its {endpoint} is"


class QuotasNotEnforced(FailedPrecondition):
    text = "region {region_id} enforces no quotas"


class LastDefaultQuota(FailedPrecondition):
    text = "quota {quota} is the last one in the organization's default region"


class LeaseEnded(FailedPrecondition):
    text = "lease {lease_id} is {state}"


class LeaseHoldsLess(FailedPrecondition):
    text = "lease {lease_id} holds {held} of {metric}, less than {amount}"


class QuotaExceeded(TenantryError):
    """A quota has not enough left."""

    text = "quota exceeded: {amount} more of {metric}, of which {used} of {limit} are in use"
