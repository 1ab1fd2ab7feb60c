"""Which token of an identity provider was followed last, so that an older one does not bring back what it said.

Both columns may be null: an earlier version that still runs beside this one writes neither, and nothing is known of before.
"""

from typing import Any

_STATEMENTS = (
    "ALTER TABLE identities ADD COLUMN token_time BIGINT",
    "ALTER TABLE identities ADD COLUMN token_digest TEXT",
)


def up(migrator: Any, db: Any) -> None:
    """Adds the columns."""
    for statement in _STATEMENTS:
        db.execute_sql(statement)
