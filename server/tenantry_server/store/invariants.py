"""What must be true of the data at every moment, as SQL that finds where it is not."""

from collections.abc import Iterator
from typing import NamedTuple

from ..domain import ids
from ..domain.permissions import Catalog
from .database import Database


class Breach(NamedTuple):
    """An invariant, and something for which it does not hold."""

    invariant: str
    offender: str


# Each query answers with one column: what breaks the invariant.
_QUERIES = {
    "every organization has an owner": """
        SELECT o.id FROM organizations o WHERE NOT EXISTS (
            SELECT 1 FROM memberships m WHERE m.organization_id = o.id AND m.role = 'owner')""",
    "a personal organization has one member, its user": """
        SELECT p.organization_id FROM personal_organizations p WHERE 1 <> (
            SELECT COUNT(*) FROM memberships m WHERE m.organization_id = p.organization_id)
        OR NOT EXISTS (
            SELECT 1 FROM memberships m WHERE m.organization_id = p.organization_id AND m.user_id = p.user_id)""",
    "a personal organization takes no invitations": """
        SELECT i.id FROM invitations i JOIN organizations o ON o.id = i.organization_id WHERE o.personal""",
    "every user has a personal organization, and every personal organization a user": """
        SELECT u.id FROM users u LEFT JOIN personal_organizations p ON p.user_id = u.id
            LEFT JOIN organizations o ON o.id = p.organization_id AND o.personal WHERE o.id IS NULL
        UNION ALL
        SELECT o.id FROM organizations o LEFT JOIN personal_organizations p ON p.organization_id = o.id
            WHERE o.personal AND p.user_id IS NULL""",
    "every member is a user": """
        SELECT m.user_id FROM memberships m LEFT JOIN users u ON u.id = m.user_id WHERE u.id IS NULL""",
    "a verified address belongs to one user": """
        SELECT email FROM users WHERE email_verified GROUP BY email HAVING COUNT(*) > 1""",
    "an address has one pending invitation in an organization": """
        SELECT MIN(id) FROM invitations WHERE state = 'pending' GROUP BY organization_id, email HAVING COUNT(*) > 1""",
    "an organization has its slug to itself": """
        SELECT o.id FROM organizations o LEFT JOIN organization_slugs s ON s.slug = o.slug AND s.organization_id = o.id
            WHERE s.slug IS NULL
        UNION ALL
        SELECT s.slug FROM organization_slugs s LEFT JOIN organizations o ON o.id = s.organization_id AND o.slug = s.slug
            WHERE o.id IS NULL""",
    "every change has exactly one audit event": """
        SELECT o.id FROM organizations o WHERE o.revision <> (
            SELECT COUNT(*) FROM audit_events a WHERE a.organization_id = o.id AND a.revision BETWEEN 1 AND o.revision)
        OR EXISTS (
            SELECT 1 FROM audit_events a WHERE a.organization_id = o.id AND a.revision > o.revision)""",
    "nothing is newer than its organization": """
        SELECT o.id FROM organizations o WHERE o.revision < (
            SELECT MAX(revision) FROM (
                SELECT revision FROM memberships m WHERE m.organization_id = o.id
                UNION ALL SELECT revision FROM roles r WHERE r.organization_id = o.id
                UNION ALL SELECT revision FROM invitations i WHERE i.organization_id = o.id) things)""",
    "a deleted organization, and no other, has a purge time": """
        SELECT id FROM organizations WHERE (state = 'deleted') <> (delete_time IS NOT NULL)
            OR (state = 'deleted') <> (purge_time IS NOT NULL)""",
    "a token belongs to who exists": """
        SELECT t.id FROM api_tokens t LEFT JOIN users u ON u.id = t.user_id
            LEFT JOIN organizations o ON o.id = t.organization_id
            WHERE (t.user_id <> '' AND u.id IS NULL) OR (t.organization_id <> '' AND o.id IS NULL)""",
}
# Role ids that the database cannot hold to anything: system roles.
_SYSTEM_ROLES = """
    SELECT DISTINCT role_id FROM membership_roles WHERE custom_role_id IS NULL
    UNION SELECT DISTINCT role_id FROM invitation_roles WHERE custom_role_id IS NULL"""


def breaches(database: Database, catalog: Catalog) -> Iterator[Breach]:
    """Every breach of every invariant."""
    for invariant, query in _QUERIES.items():
        for (offender,) in _rows(database, query):
            yield Breach(invariant, str(offender))
    for (role_id,) in _rows(database, _SYSTEM_ROLES):
        if role_id not in catalog.roles or not catalog.roles[role_id].assignable:
            yield Breach("an assigned system role is in the catalog and can be assigned", role_id)
    for role_id, permissions in _rows(database, "SELECT id, permissions FROM roles"):
        if not set(permissions.split()) <= catalog.all - catalog.owner_only:
            yield Breach("a role grants permissions of the catalog that are not the owners' alone", role_id)
    for token_id, permissions in _rows(database, "SELECT id, permissions FROM api_tokens WHERE permissions IS NOT NULL"):
        if not set(permissions.split()) <= catalog.all:
            yield Breach("a token carries permissions of the catalog", token_id)
    for table, key in (("users", "id"), ("organizations", "id"), ("roles", "id"), ("invitations", "id")):
        for (identifier,) in _rows(database, f"SELECT {key} FROM {table}"):  # noqa: S608
            if ids.find(identifier) != identifier:
                yield Breach("every id is a ULID in its canonical spelling", f"{table} {identifier}")
    yield from _engine(database)


def _engine(database: Database) -> Iterator[Breach]:
    """What the engine itself can tell of its file."""
    if database.param != "?":
        return
    for table, row, *_ in _rows(database, "PRAGMA foreign_key_check"):
        yield Breach("every reference leads somewhere", f"{table} row {row}")
    for (finding,) in _rows(database, "PRAGMA integrity_check"):
        if finding != "ok":
            yield Breach("the file is sound", finding)


def _rows(database: Database, query: str) -> list[tuple]:  # type: ignore[type-arg]
    with database.reading():
        return list(database.execute_sql(query).fetchall())
