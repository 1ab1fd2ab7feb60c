"""Very many members, roles and organizations, made by SQL, for questions about who may do what."""

from __future__ import annotations

from dataclasses import dataclass

from . import raw
from .world import AUDITOR, DEVELOPER, OWNER, Person, World

MEMBERS, ROLES, ORGANIZATIONS = 100_000, 1_000, 2_000
# What grants what: every member has `sandbox:write` by a system role, one in a thousand a role of the organization that
# grants `billing:read`, and one alone `audit-log:read`. One in two organizations grants `billing:read`.
RARE = 1_000


@dataclass
class Throng:
    """A large organization, its owner, and somebody who is a member of many others."""

    world: World
    owner: Person
    joiner: Person
    organization_id: str


def make(world: World, *, members: int = MEMBERS, roles: int = ROLES, organizations: int = ORGANIZATIONS) -> Throng:
    """Makes it all. Revisions and audit events do not match, which only the doctor would mind."""
    owner, joiner = world.person("owner"), world.person("joiner")
    organization = world.organization(owner)
    world.join(organization, owner, world.person("second"), role=OWNER)
    made = Throng(world, owner, joiner, organization.id)
    with raw.connect(world.deployment.url) as connection:
        connection.execute("BEGIN")
        _fill(connection, made, members, roles, organizations)
        connection.execute("COMMIT")
        if not connection.is_sqlite:  # which SQLite databases of the server never are
            connection.execute("VACUUM ANALYZE")
    return made


def _fill(connection: raw.Connection, made: Throng, members: int, roles: int, organizations: int) -> None:
    def insert(table: str, count: int, **columns: str) -> None:
        numbers = (
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
            if connection.is_sqlite
            else f"WITH numbers (n) AS (SELECT generate_series(1, {count}))"
        )
        names, values = ", ".join(columns), ", ".join(columns.values())
        connection.execute(f"INSERT INTO {table} ({names}) {numbers} SELECT {values} FROM numbers")

    def numbers(prefix: str, n: str = "n") -> str:
        padded = f"printf('%024d', {n})" if connection.is_sqlite else f"lpad(({n})::text, 24, '0')"
        return f"'{prefix}' || {padded}"

    here, times = f"'{made.organization_id}'", {"revision": "1", "create_time": "0", "update_time": "0"}
    member, role, elsewhere = numbers("7Z"), numbers("7Y"), numbers("7T")
    text = {"email": "'m' || n || '@example.com'", "name": "'M'"}
    insert("users", members, id=member, email_verified="(1 = 1)", **text, **times)
    insert("memberships", members, organization_id=here, user_id=member, role="'member'", **times)
    insert("membership_roles", members, organization_id=here, user_id=member, role_id=f"'{DEVELOPER}'")
    granted = {"name": "'R' || n", "description": "''", "permissions": "'billing:read volume:read'"}
    insert("roles", roles, organization_id=here, id=role, **granted, **times)
    assigned = numbers("7Y", f"1 + n % {roles}")
    rare = numbers("7Z", f"n * {max(1, members * RARE // MEMBERS // 10)}")
    insert("membership_roles", members // RARE, organization_id=here, user_id=rare, role_id=assigned, custom_role_id=assigned)
    insert("membership_roles", 1, organization_id=here, user_id=numbers("7Z", str(members)), role_id=f"'{AUDITOR}'")
    shown = {"name": "'Acme'", "slug": "'s' || n", "personal": "(1 = 0)", "state": "'active'", "creator_user_id": member}
    kept = {"default_region_id": "''", "limited_network_egress": "(1 = 0)", "experimental_config": "'{}'"}
    insert("organizations", organizations, id=elsewhere, **shown, **kept, **times)
    joiner = f"'{made.joiner.id}'"
    insert("memberships", organizations, organization_id=elsewhere, user_id=joiner, role="'member'", **times)
    insert("memberships", organizations, organization_id=elsewhere, user_id=member, role="'owner'", **times)
    insert("roles", organizations, organization_id=elsewhere, id=elsewhere, **granted, **times)
    half = numbers("7T", "2 * n")
    insert("membership_roles", organizations // 2, organization_id=half, user_id=joiner, role_id=half, custom_role_id=half)
