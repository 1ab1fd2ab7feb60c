"""Regions, quotas, and what is used of them."""

from typing import Any

_STATEMENTS = (
    "ALTER TABLE organizations ADD COLUMN quotas TEXT NOT NULL DEFAULT '{}'",
    """
    CREATE TABLE regions (
        organization_id TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        enforce_quotas BOOLEAN NOT NULL,
        proxy_url TEXT NOT NULL,
        ssh_gateway_url TEXT NOT NULL,
        snapshot_manager_url TEXT NOT NULL,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (organization_id, id),
        CHECK (type IN ('shared', 'dedicated', 'custom')),
        CHECK ((type = 'custom') = (organization_id <> ''))
    )
    """,
    "CREATE UNIQUE INDEX regions_name ON regions (organization_id, name)",
    """
    CREATE TABLE region_keys (
        organization_id TEXT NOT NULL,
        region_id TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (organization_id, region_id, endpoint),
        FOREIGN KEY (organization_id, region_id) REFERENCES regions (organization_id, id) ON DELETE CASCADE,
        CHECK (endpoint IN ('proxy', 'ssh_gateway', 'snapshot_manager'))
    )
    """,
    "CREATE UNIQUE INDEX region_keys_digest ON region_keys (digest)",
    """
    CREATE TABLE region_quotas (
        organization_id TEXT NOT NULL,
        region_id TEXT NOT NULL,
        resource_class TEXT NOT NULL,
        limits TEXT NOT NULL,
        gpu_types TEXT,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (organization_id, region_id, resource_class),
        FOREIGN KEY (organization_id) REFERENCES organizations (id)
    )
    """,
    # Those that have a default region already get there what choosing one gives from now on.
    """
    INSERT INTO region_quotas (
        organization_id, region_id, resource_class, limits, revision, create_time, update_time
    )
    SELECT
        id, default_region_id, 'container',
        '{"cpu":10,"disk":30,"gpu":0,"max-cpu-per-gpu-sandbox":16,"max-disk-per-gpu-sandbox":512,'
            || '"max-memory-per-gpu-sandbox":192,"memory":10}',
        revision, update_time, update_time
    FROM organizations WHERE default_region_id <> ''
    """,
    """
    CREATE TABLE usage_ledgers (
        organization_id TEXT NOT NULL PRIMARY KEY,
        revision BIGINT NOT NULL,
        FOREIGN KEY (organization_id) REFERENCES organizations (id)
    )
    """,
    """
    CREATE TABLE usages (
        organization_id TEXT NOT NULL,
        region_id TEXT NOT NULL,
        resource_class TEXT NOT NULL,
        metric TEXT NOT NULL,
        amount BIGINT NOT NULL,
        PRIMARY KEY (organization_id, region_id, resource_class, metric),
        FOREIGN KEY (organization_id) REFERENCES organizations (id),
        CHECK (amount >= 0)
    )
    """,
    """
    CREATE TABLE usage_leases (
        organization_id TEXT NOT NULL,
        id TEXT NOT NULL,
        region_id TEXT NOT NULL,
        resource_class TEXT NOT NULL,
        resource_type TEXT NOT NULL,
        resource_id TEXT NOT NULL,
        state TEXT NOT NULL,
        amounts TEXT NOT NULL,
        end_time BIGINT,
        reserved_by TEXT NOT NULL,
        committed_by TEXT NOT NULL,
        released_by TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (organization_id, id),
        FOREIGN KEY (organization_id) REFERENCES organizations (id),
        CHECK (state IN ('reserved', 'committed', 'released')),
        CHECK ((state = 'committed') = (end_time IS NULL))
    )
    """,
    "CREATE INDEX usage_leases_resource ON usage_leases (organization_id, resource_type, resource_id)",
    "CREATE INDEX usage_leases_region ON usage_leases (organization_id, region_id, resource_type)",
    "CREATE INDEX usage_leases_ending ON usage_leases (organization_id, end_time) WHERE (end_time IS NOT NULL)",
    """
    CREATE TABLE leased_resources (
        resource_type TEXT NOT NULL,
        resource_id TEXT NOT NULL,
        organization_id TEXT NOT NULL,
        PRIMARY KEY (resource_type, resource_id),
        FOREIGN KEY (organization_id) REFERENCES organizations (id)
    )
    """,
    "CREATE INDEX leased_resources_organization ON leased_resources (organization_id)",
)


def up(migrator: Any, db: Any) -> None:
    """Makes the tables, and the quotas of organizations that have a default region."""
    for statement in _STATEMENTS:
        db.execute_sql(statement)
