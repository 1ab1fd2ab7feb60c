"""Tokens by which resources say who they are, and what looks for all there is in a region. A token is one resource's."""

from typing import Any

_STATEMENTS = (
    "ALTER TABLE leased_resources ADD COLUMN token_digest TEXT",
    "CREATE UNIQUE INDEX leased_resources_token ON leased_resources (token_digest)",
    "CREATE INDEX region_quotas_there ON region_quotas (region_id)",
    "CREATE INDEX usage_leases_there ON usage_leases (region_id)",
    "CREATE INDEX organizations_default_region ON organizations (default_region_id) WHERE (default_region_id != '')",
)


def up(migrator: Any, db: Any) -> None:
    """Makes the column, which nobody has anything in yet, and the indexes."""
    for statement in _STATEMENTS:
        db.execute_sql(statement)
