"""Suspensions, limits and telemetry of organizations, and what they used by month. A suspension from before has no end."""

from typing import Any

_STATEMENTS = (
    "ALTER TABLE organizations ADD COLUMN suspend_time BIGINT",
    "ALTER TABLE organizations ADD COLUMN suspend_until BIGINT",
    "ALTER TABLE organizations ADD COLUMN suspension_reason TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE organizations ADD COLUMN cleanup_grace_hours BIGINT",
    "ALTER TABLE organizations ADD COLUMN limits TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE organizations ADD COLUMN otel_config TEXT NOT NULL DEFAULT ''",
    "UPDATE organizations SET suspend_time = update_time WHERE state = 'suspended'",
    """
    CREATE TABLE metered_usage (
        organization_id TEXT NOT NULL,
        month TEXT NOT NULL,
        metric TEXT NOT NULL,
        amount BIGINT NOT NULL,
        PRIMARY KEY (organization_id, month, metric),
        FOREIGN KEY (organization_id) REFERENCES organizations (id)
    )
    """,
)


def up(migrator: Any, db: Any) -> None:
    """Makes the columns and the table."""
    for statement in _STATEMENTS:
        db.execute_sql(statement)
