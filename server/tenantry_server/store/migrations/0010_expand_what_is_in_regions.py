"""What looks for a resource by its token, and for what there is in a region, of any organization."""

from typing import Any

from tenantry_server.store.expanding import index

atomic = False  # indexes are built while others write


def up(migrator: Any, db: Any) -> None:
    """Makes the indexes; those that are there already, from a time when this was cut short, stay."""
    index(db, "leased_resources_token", "leased_resources (token_digest)", unique=True)
    index(db, "region_quotas_there", "region_quotas (region_id)")
    index(db, "usage_leases_there", "usage_leases (region_id)")
    index(db, "organizations_default_region", "organizations (default_region_id) WHERE (default_region_id != '')")
