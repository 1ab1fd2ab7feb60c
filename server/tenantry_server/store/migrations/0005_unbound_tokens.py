"""The tokens of a person that reach all of their organizations, by id: an organization lists those of its members."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Makes the index."""
    db.execute_sql("CREATE INDEX api_tokens_unbound ON api_tokens (user_id, id) WHERE (organization_id = '')")
