"""Who owns an organization and who has a system role, by user id: an organization's own roles have such an index already."""

from typing import Any

_STATEMENTS = (
    "DROP INDEX memberships_owner",
    "CREATE INDEX memberships_owner ON memberships (organization_id, user_id) WHERE (role = 'owner')",
    """
    CREATE INDEX membership_roles_system ON membership_roles (organization_id, role_id, user_id)
    WHERE (custom_role_id IS NULL)
    """,
)


def up(migrator: Any, db: Any) -> None:
    """Makes the indexes."""
    for statement in _STATEMENTS:
        db.execute_sql(statement)
