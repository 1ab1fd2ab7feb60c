"""Tokens by which resources say who they are."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Makes the column; those that are there have none."""
    db.execute_sql("ALTER TABLE leased_resources ADD COLUMN token_digest TEXT")
