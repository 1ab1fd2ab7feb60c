"""What the removal of what nobody needs any more looks for, and who does it."""

from typing import Any

from tenantry_server.store.expanding import index

atomic = False  # the index is built while others write


def up(migrator: Any, db: Any) -> None:
    """Makes the index and the table; what is there already, from a time when this was cut short, stays."""
    index(db, "organizations_purge", "organizations (purge_time) WHERE (state = 'deleted')")
    db.execute_sql(
        """
        CREATE TABLE IF NOT EXISTS leases (
            name TEXT NOT NULL PRIMARY KEY,
            holder TEXT NOT NULL,
            expire_time BIGINT NOT NULL
        )
        """
    )
    db.execute_sql("INSERT INTO leases (name, holder, expire_time) VALUES ('retention', '', 0) ON CONFLICT (name) DO NOTHING")
