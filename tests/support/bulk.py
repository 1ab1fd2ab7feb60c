"""Very many rows, made by SQL: a large organization, and somebody who is in many."""

from __future__ import annotations

from dataclasses import dataclass

from . import raw
from .world import DEVELOPER, Person, World

MEMBERS = 100_000
ROLES = 1_000
CLOSED, PENDING = 100_000, 1_000
ORGANIZATIONS = 2_000


@dataclass
class Bulk:
    """A large organization and its owner, who is in many others."""

    world: World
    owner: Person
    organization_id: str
    role_id: str


def member_id(number: int) -> str:
    """The id of a member, by number from 1; members are listed by id. The owner's comes first or last."""
    return f"7Z{number:024d}"


def make(world: World) -> Bulk:
    """Makes it all; revisions and audit events do not match, which only the doctor would mind."""
    owner = world.person("owner")
    organization = world.organization(owner)
    role = world.role(organization, owner, "sandbox:read")
    made = Bulk(world, owner, organization.id, role.id)
    with raw.connect(world.deployment.url) as connection:
        connection.execute("BEGIN")
        _fill(connection, made)
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
    return made


def _fill(connection: raw.Connection, made: Bulk) -> None:
    acme, owner = made.organization_id, made.owner

    def ids(prefix: str) -> str:
        """A ULID for each number."""
        padded = "printf('%024d', n)" if connection.is_sqlite else "lpad(n::text, 24, '0')"
        return f"'{prefix}' || {padded}"

    def insert(table: str, columns: str, count: int) -> None:
        numbers = (
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
            if connection.is_sqlite
            else f"WITH numbers (n) AS (SELECT generate_series(1, {count})) "
        )
        order = "WHERE true" if connection.is_sqlite else ""
        connection.execute(f"INSERT INTO {table} {numbers} SELECT {columns} FROM numbers {order}")

    text = "CAST(n AS TEXT)"
    insert("users", f"{ids('7Z')}, 'm' || {text} || '@example.com', (1 = 1), 'M', 1, 0, 0", MEMBERS)
    insert("memberships", f"'{acme}', {ids('7Z')}, 'member', 1, 0, 0", MEMBERS)
    insert("membership_roles", f"'{acme}', {ids('7Z')}, '{DEVELOPER}', NULL", MEMBERS)
    insert("membership_roles", f"'{acme}', {ids('7Z')}, '{made.role_id}', '{made.role_id}'", MEMBERS)
    insert("roles", f"'{acme}', {ids('7Y')}, 'R', '', 'sandbox:read', 1, 0, 0", ROLES)
    granted = f"'member', '{owner.email}', '{owner.id}', ''"
    closed = "CASE n % 3 WHEN 0 THEN 'accepted' WHEN 1 THEN 'declined' ELSE 'cancelled' END"
    insert("invitations", f"'{acme}', {ids('7X')}, 'm' || {text} || '@example.com', {closed}, {granted}, 0, 1, 0, 0", CLOSED)
    far = 4_000_000_000_000
    insert(
        "invitations", f"'{acme}', {ids('7W')}, 'p' || {text} || '@example.com', 'pending', {granted}, {far}, 1, 0, 0", PENDING
    )
    insert("invitations", f"'{acme}', {ids('7V')}, 'o' || {text} || '@example.com', 'pending', {granted}, 1, 1, 0, 0", CLOSED)
    insert(
        "audit_events",
        f"'{acme}', n + 1000, 0, 'user', '{owner.id}', '', 'test', 'organization', '{acme}', '{{}}', ''",
        MEMBERS,
    )
    settings = "FALSE, '{}', 1, 0, 0, NULL, NULL"
    insert(
        "organizations",
        f"{ids('7T')}, 'Acme', 'slug' || {text}, (1 = 0), 'active', {ids('7Z')}, '', {settings}",
        ORGANIZATIONS,
    )
    insert("memberships", f"{ids('7T')}, '{owner.id}', 'member', 1, 0, 0", ORGANIZATIONS)
    insert("memberships", f"{ids('7T')}, {ids('7Z')}, 'owner', 1, 0, 0", ORGANIZATIONS)
    insert("invitations", f"{ids('7T')}, {ids('7S')}, '{owner.email}', 'pending', {granted}, {far}, 1, 0, 0", ORGANIZATIONS)
    # Other people's, so that a statement without the organization would have something to find.
    insert("audit_events", f"{ids('7T')}, 1, 0, 'user', '{owner.id}', '', 'test', 'x', 'x', '{{}}', ''", ORGANIZATIONS)
