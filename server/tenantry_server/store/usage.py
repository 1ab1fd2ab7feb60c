"""The tables of regions, quotas and of what is used; see `models.py` for the rest and for what holds for all."""

from peewee import SQL, BigIntegerField, BooleanField, Check, CompositeKey, Model, TextField

from .people import foreign_key


class Region(Model):
    """A region: an organization's own, or the platform's, where organization_id is empty. Of its keys there are digests."""

    organization_id = TextField()
    id = TextField()
    name = TextField()
    type = TextField()
    enforce_quotas = BooleanField()
    proxy_url = TextField()
    ssh_gateway_url = TextField()
    snapshot_manager_url = TextField()
    revision = BigIntegerField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()

    class Meta:
        table_name = "regions"
        primary_key = CompositeKey("organization_id", "id")
        constraints = [
            Check("type IN ('shared', 'dedicated', 'custom')"),
            Check("(type = 'custom') = (organization_id <> '')"),
        ]


Region.add_index(Region.index(Region.organization_id, Region.name, unique=True, name="regions_name"))


class RegionKey(Model):
    """The key of a region's service: its digest."""

    organization_id = TextField()
    region_id = TextField()
    endpoint = TextField()
    digest = TextField()

    class Meta:
        table_name = "region_keys"
        primary_key = CompositeKey("organization_id", "region_id", "endpoint")
        constraints = [
            foreign_key("organization_id, region_id", "regions", "organization_id, id", cascade=True),
            Check("endpoint IN ('proxy', 'ssh_gateway', 'snapshot_manager')"),
        ]


RegionKey.add_index(RegionKey.index(RegionKey.digest, unique=True, name="region_keys_digest"))


class RegionQuota(Model):
    """What an organization may have in a region, of a class of resources: limits as JSON, types of GPUs as words; null allows
    all of them.
    """

    organization_id = TextField()
    region_id = TextField()
    resource_class = TextField()
    limits = TextField()
    gpu_types = TextField(null=True)
    revision = BigIntegerField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()

    class Meta:
        table_name = "region_quotas"
        primary_key = CompositeKey("organization_id", "region_id", "resource_class")
        constraints = [foreign_key("organization_id", "organizations", "id")]


class UsageLedger(Model):
    """Counts the changes of what an organization uses; bumping it is the lock that each of them takes first."""

    organization_id = TextField(primary_key=True)
    revision = BigIntegerField()

    class Meta:
        table_name = "usage_ledgers"
        constraints = [foreign_key("organization_id", "organizations", "id")]


class Usage(Model):
    """What committed leases hold of a metric together; region and class are empty for metrics that are not regional."""

    organization_id = TextField()
    region_id = TextField()
    resource_class = TextField()
    metric = TextField()
    amount = BigIntegerField()

    class Meta:
        table_name = "usages"
        primary_key = CompositeKey("organization_id", "region_id", "resource_class", "metric")
        constraints = [foreign_key("organization_id", "organizations", "id"), Check("amount >= 0")]


class Lease(Model):
    """What a resource uses: amounts as JSON. Reserved until end_time, committed without one, or released at it; and by whom."""

    organization_id = TextField()
    id = TextField()
    region_id = TextField()
    resource_class = TextField()
    resource_type = TextField()
    resource_id = TextField()
    state = TextField()
    amounts = TextField()
    end_time = BigIntegerField(null=True)
    reserved_by = TextField()
    committed_by = TextField()
    released_by = TextField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()

    class Meta:
        table_name = "usage_leases"
        primary_key = CompositeKey("organization_id", "id")
        constraints = [
            foreign_key("organization_id", "organizations", "id"),
            Check("state IN ('reserved', 'committed', 'released')"),
            Check("(state = 'committed') = (end_time IS NULL)"),
        ]


# What of any organization is in a region, before one of the platform is deleted.
RegionQuota.add_index(RegionQuota.index(RegionQuota.region_id, name="region_quotas_there"))
Lease.add_index(Lease.index(Lease.region_id, name="usage_leases_there"))
Lease.add_index(Lease.index(Lease.organization_id, Lease.resource_type, Lease.resource_id, name="usage_leases_resource"))
Lease.add_index(Lease.index(Lease.organization_id, Lease.region_id, Lease.resource_type, name="usage_leases_region"))
Lease.add_index(
    Lease.index(Lease.organization_id, Lease.end_time, where=Lease.end_time.is_null(False), name="usage_leases_ending")
)


class LeasedResource(Model):
    """Whose a resource is, as long as a committed lease names it: one organization's. Of its token there is the digest."""

    resource_type = TextField()
    resource_id = TextField()
    organization_id = TextField()
    token_digest = TextField(null=True)

    class Meta:
        table_name = "leased_resources"
        primary_key = CompositeKey("resource_type", "resource_id")
        constraints = [foreign_key("organization_id", "organizations", "id")]


LeasedResource.add_index(LeasedResource.index(LeasedResource.organization_id, name="leased_resources_organization"))
LeasedResource.add_index(LeasedResource.index(LeasedResource.token_digest, unique=True, name="leased_resources_token"))

TABLES = (Region, RegionKey, RegionQuota, UsageLedger, Usage, Lease, LeasedResource)

# What a column of the organizations holds that have no quotas of their own.
NO_QUOTAS = SQL("DEFAULT '{}'")
