"""Very many rows, made by SQL: a large organization, and somebody who is in many."""

from __future__ import annotations

from dataclasses import dataclass

from . import raw
from .world import DEVELOPER, Person, World

MEMBERS = 100_000
ROLES = 1_000
# Invitations that are over, that ran out since somebody was invited last, and that are open: as many as may be.
CLOSED, OVERDUE, PENDING = 20_000, 1_000, 1_000
EVENTS = 20_000
ORGANIZATIONS = 2_000
# Tokens of members that reach all of their organizations, and what is bound to this one: its own, its owner's, its members'.
TOKENS, BOUND = 20_000, 1_000
# What else there is, so that no table is too small for an index.
OTHERS = 5_000

_FAR = 4_000_000_000_000


@dataclass
class Bulk:
    """A large organization, and its owner, who is in many others."""

    world: World
    owner: Person
    organization_id: str
    role_id: str


def numbered(prefix: str, number: int) -> str:
    """The id of a thing that was made in bulk, by its number from 1: members are `7Z`, roles `7Y`, organizations `7T`; tokens
    of members `7R`, of the organization `7N`, of its owner `7M`, and of the platform `7H`.
    """
    return f"{prefix}{number:024d}"


def make(world: World) -> Bulk:
    """Makes it all. Revisions and audit events do not match, which only the doctor would mind."""
    owner = world.person("owner")
    organization = world.organization(owner)
    role = world.role(organization, owner, "sandbox:read")
    made = Bulk(world, owner, organization.id, role.id)
    with raw.connect(world.deployment.url) as connection:
        if not connection.is_sqlite:
            for table in reversed(raw.NAMES):  # without a log, which nobody will read
                connection.execute(f"ALTER TABLE {table} SET UNLOGGED")
        connection.execute("BEGIN")
        _Filling(connection, made).run()
        connection.execute("COMMIT")
        if not connection.is_sqlite:  # which SQLite databases of the server never are
            connection.execute("VACUUM ANALYZE")
    return made


class _Filling:
    def __init__(self, connection: raw.Connection, made: Bulk) -> None:
        self._connection = connection
        self._made = made

    def _id(self, prefix: str) -> str:
        """A ULID for each number."""
        padded = "printf('%024d', n)" if self._connection.is_sqlite else "lpad(n::text, 24, '0')"
        return f"'{prefix}' || {padded}"

    def _insert(self, table: str, count: int, *columns: str) -> None:
        numbers = (
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
            if self._connection.is_sqlite
            else f"WITH numbers (n) AS (SELECT generate_series(1, {count}))"
        )
        self._connection.execute(f"INSERT INTO {table} {numbers} SELECT {', '.join(columns)} FROM numbers")

    def _invitations(self, prefix: str, count: int, state: str, expire_time: int) -> None:
        owner = self._made.owner
        columns = (state, "'member'", f"'{owner.email}'", f"'{owner.id}'", "''", str(expire_time), "1", "0", "0")
        email = f"'{prefix}' || n || '@example.com'"
        self._insert("invitations", count, f"'{self._made.organization_id}'", self._id(prefix), email, *columns)

    def run(self) -> None:
        """Fills the tables."""
        acme, owner, role = (f"'{value}'" for value in (self._made.organization_id, self._made.owner.id, self._made.role_id))
        member, organization = self._id("7Z"), self._id("7T")
        suspension, limits, otel_config = ("NULL", "NULL", "''", "NULL"), "''", "''"
        settings = ("FALSE", "'{}'", "1", "0", "0", "NULL", "NULL", *suspension, limits, otel_config, "'{}'")
        self._insert(
            "organizations", ORGANIZATIONS, organization, "'Acme'", "'s' || n", "(1 = 0)", "'active'", member, "''", *settings
        )
        self._insert(
            "organizations", 2 * OTHERS, self._id("7Q"), "'Apex'", "'t' || n", "(1 = 0)", "'active'", member, "''", *settings
        )
        if not self._connection.is_sqlite:
            self._connection.execute("ANALYZE organizations")  # or foreign keys go on reading all of it, as when it was empty
        self._insert(
            "users", MEMBERS, member, "'m' || n || '@example.com'", "(1 = 1)", "'M'", "1", "0", "0", "'active'", "NULL"
        )
        self._insert("memberships", MEMBERS, acme, member, "'member'", "1", "0", "0")
        self._insert("membership_roles", MEMBERS, acme, member, f"'{DEVELOPER}'", "NULL")
        self._insert("membership_roles", 2 * OTHERS, acme, member, role, role)
        self._insert("roles", ROLES, acme, self._id("7Y"), "'R' || n", "''", "'sandbox:read'", "1", "0", "0")
        closed = "CASE n % 100 WHEN 0 THEN 'accepted' WHEN 1 THEN 'declined' ELSE 'cancelled' END"
        self._invitations("7V", CLOSED, closed, 0)
        self._invitations("7W", OVERDUE, "'pending'", 1)
        self._invitations("7X", PENDING, "'pending'", _FAR)
        self._insert("invitation_roles", OTHERS, acme, self._id("7V"), role, role)
        event = ("0", "'user'", owner, "''", "'test'", "'organization'", acme, "'{}'", "''")
        self._insert("audit_events", EVENTS, acme, "n + 1000", *event)
        self._insert("roles", 2 * OTHERS, self._id("7Q"), self._id("7P"), "'R'", "''", "'sandbox:read'", "1", "0", "0")
        self._insert("memberships", ORGANIZATIONS, organization, owner, "'member'", "1", "0", "0")
        self._insert("memberships", ORGANIZATIONS, organization, member, "'owner'", "1", "0", "0")
        offer = ("'pending'", "'member'", "''", member, "''", str(_FAR), "1", "0", "0")
        self._insert("invitations", ORGANIZATIONS, organization, self._id("7S"), f"'{self._made.owner.email}'", *offer)
        self._insert("invitation_roles", ORGANIZATIONS, organization, self._id("7S"), f"'{DEVELOPER}'", "NULL")
        self._insert("personal_organizations", ORGANIZATIONS, member, organization)
        self._insert("organization_slugs", ORGANIZATIONS, "'s' || n", organization)
        self._insert("metered_usage", ORGANIZATIONS, organization, "'2030-01'", "'api_calls'", "1")
        self._insert("metered_usage", OTHERS, acme, "n + 100000", "'api_calls'", "1")
        self._insert("request_records", OTHERS, "'p' || n", "'r' || n", "''", "''", "0")
        self._credentials(acme, owner, member)
        self._resources(acme)

    def _resources(self, acme: str) -> None:
        """Regions, quotas and leases: of the large organization very many, of the others some."""
        other, times = self._id("7Q"), ("1", "0", "0")
        region = ("'custom'", "FALSE", "''", "''", "''", *times)
        self._insert("regions", ROLES, acme, self._id("7J"), "'R' || n", *region)
        self._insert("regions", 2 * OTHERS, other, self._id("7J"), "'R'", *region)
        self._insert("region_keys", 2 * OTHERS, other, self._id("7J"), "'proxy'", "'k' || n")
        self._insert("region_quotas", ROLES, acme, self._id("7J"), "'container'", "'{}'", "NULL", *times)
        self._insert("region_quotas", 2 * OTHERS, other, "'us'", "'container'", "'{}'", "NULL", *times)
        self._insert("usage_ledgers", 2 * OTHERS, other, "1")
        self._insert("usages", 2 * OTHERS, other, "'us'", "'container'", "'cpu'", "1")
        for prefix, count, organization_id in (("7E", 2 * OTHERS, other), ("7D", 2 * OTHERS, acme)):
            resource = ("'us'", "'container'", "'sandbox'", f"'{prefix}' || n")
            lease = ("'committed'", "'{}'", "NULL", "''", "''", "''", "0", "0")
            self._insert("usage_leases", count, organization_id, self._id(prefix), *resource, *lease)
            self._insert("leased_resources", count, "'sandbox'", f"'{prefix}' || n", organization_id, f"'{prefix}' || n")

    def _credentials(self, acme: str, owner: str, member: str) -> None:
        """Tokens of everybody, their secrets, where they are kept out, and how identity providers know people."""
        self._tokens("7R", TOKENS, "usr", member, "''")
        self._tokens("7N", BOUND, "org", "''", acme)
        self._tokens("7M", BOUND, "usr", owner, acme)
        self._tokens("7L", BOUND, "usr", member, acme)
        self._tokens("7K", BOUND, "usr", owner, "''")
        self._tokens("7H", BOUND, "plt", "''", "''")
        self._tokens("7G", 2 * OTHERS, "org", "''", self._id("7Q"))
        self._tokens("7F", 2 * OTHERS, "usr", self._id("7C"), "''")  # of people who are no members
        for prefix, count in (("7R", TOKENS), ("7N", BOUND), ("7M", BOUND), ("7F", 2 * OTHERS)):
            self._insert("api_token_secrets", count, f"'{prefix}' || n", self._id(prefix), "NULL")
        self._insert("api_token_exclusions", BOUND, acme, self._id("7R"))
        self._insert("api_token_exclusions", ORGANIZATIONS, self._id("7T"), f"'{numbered('7R', BOUND + 7)}'")
        self._insert("identities", OTHERS, "'https://login.example'", "'s' || n", self._id("7B"), member, "0", "NULL", "NULL")
        event = ("0", "'platform'", "''", "''", "'test'", "'api_token'", "''", "'{}'", "''")
        self._insert("audit_events", EVENTS, "''", "n + 1000", *event)

    def _tokens(self, prefix: str, count: int, kind: str, user_id: str, organization_id: str) -> None:
        times = ("NULL", "NULL", "1", "0", "0")
        name = f"'{prefix}' || n"
        self._insert(
            "api_tokens", count, self._id(prefix), f"'{kind}'", name, "''", user_id, organization_id, "''", "''", "NULL", *times
        )
