"""What must be true of the data at every moment, as SQL that finds where it is not."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..domain import ids
from ..domain.errors import InvalidRequest
from ..domain.permissions import Catalog
from ..domain.roles import ensure_role_name
from .database import Database


class Breach(NamedTuple):
    """An invariant, and something for which it does not hold."""

    invariant: str
    offender: str


# Each query answers with one column: what breaks the invariant. An organization without a purge time to come, 0, is on its way
# out, and nobody brings it back: more of it is gone every moment.
_QUERIES = {
    "every organization has an owner": """
        SELECT o.id FROM organizations o WHERE (o.state <> 'deleted' OR o.purge_time <> 0) AND NOT EXISTS (
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
            LEFT JOIN organizations o ON o.id = p.organization_id AND o.personal
            WHERE (o.id IS NULL) = (u.state = 'active') OR (u.state <> 'active' AND p.user_id IS NOT NULL)
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
    "only what is suspended has a suspension": """
        SELECT o.id FROM organizations o WHERE o.state <> 'suspended' AND (
            o.suspend_time IS NOT NULL OR o.suspend_until IS NOT NULL OR o.suspension_reason <> '')""",
    "every change has exactly one audit event": """
        SELECT o.id FROM organizations o WHERE (o.state <> 'deleted' OR o.purge_time <> 0) AND o.revision <> (
            SELECT COUNT(*) FROM audit_events a WHERE a.organization_id = o.id AND a.revision BETWEEN 1 AND o.revision)
        OR EXISTS (
            SELECT 1 FROM audit_events a WHERE a.organization_id = o.id AND a.revision > o.revision)""",
    "nothing is newer than its organization": """
        SELECT o.id FROM organizations o WHERE o.revision < (
            SELECT MAX(revision) FROM (
                SELECT revision FROM memberships m WHERE m.organization_id = o.id
                UNION ALL SELECT revision FROM roles r WHERE r.organization_id = o.id
                UNION ALL SELECT revision FROM invitations i WHERE i.organization_id = o.id
                UNION ALL SELECT revision FROM api_tokens t WHERE t.organization_id = o.id) things)
        UNION ALL
        SELECT t.id FROM api_tokens t JOIN personal_organizations p ON p.user_id = t.user_id
            JOIN organizations o ON o.id = p.organization_id
            WHERE t.organization_id = '' AND t.revision > o.revision""",
    "a deleted organization, and no other, has a purge time": """
        SELECT id FROM organizations WHERE (state = 'deleted') <> (delete_time IS NOT NULL)
            OR (state = 'deleted') <> (purge_time IS NOT NULL)""",
    "a deleted user has no credential, no verified address, and owns only what is deleted": """
        SELECT u.id FROM users u WHERE u.state <> 'active' AND (
            u.email_verified OR u.delete_time IS NULL OR (u.state = 'erased' AND (u.email <> '' OR u.name <> ''))
            OR EXISTS (SELECT 1 FROM api_tokens t WHERE t.user_id = u.id)
            OR EXISTS (SELECT 1 FROM identities i WHERE i.user_id = u.id)
            OR EXISTS (SELECT 1 FROM memberships m JOIN organizations o ON o.id = m.organization_id
                WHERE m.user_id = u.id AND o.state <> 'deleted'))
        UNION ALL
        SELECT u.id FROM users u WHERE u.state = 'active' AND u.delete_time IS NOT NULL""",
    "a token has one secret that does not end": """
        SELECT t.id FROM api_tokens t WHERE 1 <> (
            SELECT COUNT(*) FROM api_token_secrets s WHERE s.api_token_id = t.id AND s.expire_time IS NULL)""",
    "a token that is bound to an organization acts for a member": """
        SELECT t.id FROM api_tokens t JOIN organizations o ON o.id = t.organization_id
            LEFT JOIN memberships m ON m.organization_id = t.organization_id AND m.user_id = t.user_id
            WHERE t.user_id <> '' AND m.user_id IS NULL""",
    "the platform's changes have one audit event each": """
        SELECT id FROM platform p WHERE p.revision <> (SELECT COUNT(*) FROM audit_events a WHERE a.organization_id = '')
            OR p.revision <> (SELECT COALESCE(MAX(revision), 0) FROM audit_events a WHERE a.organization_id = '')""",
    "a token belongs to who exists": """
        SELECT t.id FROM api_tokens t LEFT JOIN users u ON u.id = t.user_id
            LEFT JOIN organizations o ON o.id = t.organization_id
            WHERE (t.user_id <> '' AND u.id IS NULL) OR (t.organization_id <> '' AND o.id IS NULL)""",
    "an organization was created by a user": """
        SELECT o.id FROM organizations o LEFT JOIN users u ON u.id = o.creator_user_id WHERE u.id IS NULL""",
    "an audit event is of an organization": """
        SELECT DISTINCT a.organization_id FROM audit_events a LEFT JOIN organizations o ON o.id = a.organization_id
            WHERE o.id IS NULL AND a.organization_id <> ''""",
    "one answers for an invitation: a user or a token": """
        SELECT id FROM invitations WHERE (granter_user_id = '') = (granter_token_id = '')""",
    "a committed lease's resource is its organization's, and no other resource is anybody's": """
        SELECT l.id FROM usage_leases l LEFT JOIN leased_resources r ON r.resource_type = l.resource_type
            AND r.resource_id = l.resource_id AND r.organization_id = l.organization_id
            JOIN organizations o ON o.id = l.organization_id AND (o.state <> 'deleted' OR o.purge_time <> 0)
            WHERE l.state = 'committed' AND r.resource_id IS NULL
        UNION ALL
        SELECT r.resource_id FROM leased_resources r WHERE NOT EXISTS (
            SELECT 1 FROM usage_leases l WHERE l.organization_id = r.organization_id AND l.resource_type = r.resource_type
            AND l.resource_id = r.resource_id AND l.state = 'committed')""",
    "a quota, a lease and a default region are of a region that there is": """
        SELECT q.region_id FROM region_quotas q WHERE NOT EXISTS (
            SELECT 1 FROM regions r WHERE r.id = q.region_id AND r.organization_id IN ('', q.organization_id))
        UNION ALL
        SELECT l.id FROM usage_leases l
        WHERE l.state <> 'released' AND l.region_id <> '' AND l.end_time IS NULL AND NOT EXISTS (
            SELECT 1 FROM regions r WHERE r.id = l.region_id AND r.organization_id IN ('', l.organization_id))
        UNION ALL
        SELECT o.id FROM organizations o
        WHERE o.default_region_id <> '' AND (o.state <> 'deleted' OR o.purge_time <> 0) AND NOT EXISTS (
            SELECT 1 FROM regions r WHERE r.id = o.default_region_id AND r.organization_id IN ('', o.id))""",
    # What foreign keys see to, as long as they are there: a restored database may have lost them.
    "every reference leads somewhere": """
        SELECT m.user_id FROM memberships m LEFT JOIN organizations o ON o.id = m.organization_id WHERE o.id IS NULL
        UNION ALL
        SELECT r.id FROM roles r LEFT JOIN organizations o ON o.id = r.organization_id WHERE o.id IS NULL
        UNION ALL
        SELECT i.id FROM invitations i LEFT JOIN organizations o ON o.id = i.organization_id WHERE o.id IS NULL
        UNION ALL
        SELECT i.id FROM identities i LEFT JOIN users u ON u.id = i.user_id WHERE u.id IS NULL
        UNION ALL
        SELECT s.api_token_id FROM api_token_secrets s LEFT JOIN api_tokens t ON t.id = s.api_token_id WHERE t.id IS NULL
        UNION ALL
        SELECT e.api_token_id FROM api_token_exclusions e LEFT JOIN api_tokens t ON t.id = e.api_token_id
            LEFT JOIN organizations o ON o.id = e.organization_id WHERE t.id IS NULL OR o.id IS NULL
        UNION ALL
        SELECT a.role_id FROM membership_roles a
            LEFT JOIN memberships m ON m.organization_id = a.organization_id AND m.user_id = a.user_id
            LEFT JOIN roles r ON r.organization_id = a.organization_id AND r.id = a.custom_role_id
            WHERE m.user_id IS NULL OR (a.custom_role_id IS NOT NULL AND r.id IS NULL)
        UNION ALL
        SELECT a.role_id FROM invitation_roles a
            LEFT JOIN invitations i ON i.organization_id = a.organization_id AND i.id = a.invitation_id
            LEFT JOIN roles r ON r.organization_id = a.organization_id AND r.id = a.custom_role_id
            WHERE i.id IS NULL OR (a.custom_role_id IS NOT NULL AND r.id IS NULL)""",
    "the platform has a trail": """
        SELECT 'platform' WHERE NOT EXISTS (SELECT 1 FROM platform WHERE id = 'platform')""",
    "there is a key that signs page tokens": """
        SELECT 'page-token' WHERE NOT EXISTS (
            SELECT 1 FROM server_keys WHERE purpose = 'page-token' AND LENGTH(secret) = 64)""",
}


def _assigned_system_roles(database: Database, catalog: Catalog) -> Iterator[str]:
    query = """
        SELECT role_id FROM membership_roles WHERE custom_role_id IS NULL
        UNION SELECT role_id FROM invitation_roles WHERE custom_role_id IS NULL"""
    for (role_id,) in _rows(database, query):
        if role_id not in catalog.roles or not catalog.roles[role_id].assignable:
            yield role_id


def _permissions_of_roles(database: Database, catalog: Catalog) -> Iterator[str]:
    for role_id, permissions in _rows(database, "SELECT id, permissions FROM roles"):
        if not set(permissions.split()) <= catalog.all - catalog.owner_only:
            yield role_id


def _permissions_of_tokens(database: Database, catalog: Catalog) -> Iterator[str]:
    query = "SELECT id, kind, permissions FROM api_tokens WHERE permissions IS NOT NULL"
    for token_id, kind, permissions in _rows(database, query):
        if not set(permissions.split()) <= (catalog.platform if kind == "plt" else catalog.all):
            yield token_id


def _names_of_roles(database: Database, catalog: Catalog) -> Iterator[str]:
    for role_id, name in _rows(database, "SELECT id, name FROM roles"):
        try:
            ensure_role_name(name, field="name")
        except InvalidRequest:
            yield role_id


def _ids(database: Database, catalog: Catalog) -> Iterator[str]:
    for table in ("users", "organizations", "roles", "invitations", "api_tokens"):
        for (identifier,) in _rows(database, f"SELECT id FROM {table}"):  # noqa: S608
            if ids.find(identifier) != identifier:
                yield f"{table} {identifier}"


def _addresses(database: Database, catalog: Catalog) -> Iterator[str]:
    for (address,) in _rows(database, "SELECT email FROM users UNION SELECT email FROM invitations"):
        if address != address.strip().lower():
            yield address


def _configurations(database: Database, catalog: Catalog) -> Iterator[str]:
    query = "SELECT id, experimental_config FROM organizations WHERE experimental_config <> '{}'"
    for organization_id, text in _rows(database, query):
        try:
            readable = isinstance(json.loads(text), dict)
        except ValueError:
            readable = False
        if not readable:
            yield organization_id


def _usage(database: Database, catalog: Catalog) -> Iterator[str]:
    """What is counted by metric, against what committed leases hold; but of what is on its way out."""
    leaving = {id_ for (id_,) in _rows(database, "SELECT id FROM organizations WHERE state = 'deleted' AND purge_time = 0")}
    held: defaultdict[tuple[str, ...], int] = defaultdict(int)
    query = "SELECT organization_id, region_id, resource_class, amounts FROM usage_leases WHERE state = 'committed'"
    for organization_id, *place, amounts in _rows(database, query):
        for metric, amount in json.loads(amounts).items():
            known = catalog.metrics.all.get(metric)
            there = place if known is not None and known.regional else ("", "")
            held[organization_id, *there, metric] += amount
    query = "SELECT organization_id, region_id, resource_class, metric, amount FROM usages"
    counted = {tuple(key): amount for *key, amount in _rows(database, query)}
    for key in sorted({*held, *counted}):
        if held.get(key, 0) != counted.get(key, 0) and key[0] not in leaving:
            yield " ".join(key)


def _limits(database: Database, catalog: Catalog) -> Iterator[str]:
    tables = (("SELECT id, quotas FROM organizations", False), ("SELECT region_id, limits FROM region_quotas", True))
    for query, is_regional in tables:
        known = {metric.name for metric in catalog.metrics.of(regional=is_regional)}
        for offender, text in _rows(database, query):
            limits = json.loads(text)
            if not set(limits) <= known or not all(isinstance(limit, int) and limit >= 0 for limit in limits.values()):
                yield offender


def _file(database: Database, catalog: Catalog) -> Iterator[str]:
    """What SQLite itself can tell of its file; PostgreSQL looks after its own."""
    if database.param == "?":
        for (finding,) in _rows(database, "PRAGMA integrity_check"):
            if finding != "ok":
                yield finding


# What takes more than SQL: each check answers with what breaks the invariant.
_CHECKS: dict[str, Callable[[Database, Catalog], Iterator[str]]] = {
    "an assigned system role is in the catalog and can be assigned": _assigned_system_roles,
    "a role grants permissions of the catalog that are not the owners' alone": _permissions_of_roles,
    "a token carries permissions of the catalog": _permissions_of_tokens,
    "a role is not named like ownership": _names_of_roles,
    "every id is a ULID in its canonical spelling": _ids,
    "every address is in its canonical spelling": _addresses,
    "an experimental configuration is a JSON object": _configurations,
    "what is counted as used is what committed leases hold": _usage,
    "a quota limits metrics of the catalog": _limits,
    "the file is sound": _file,
}
INVARIANTS = (*_QUERIES, *_CHECKS)


def breaches(database: Database, catalog: Catalog) -> Iterator[Breach]:
    """Every breach of every invariant."""
    for invariant, query in _QUERIES.items():
        for (offender,) in _rows(database, query):
            yield Breach(invariant, str(offender))
    for invariant, check in _CHECKS.items():
        for offender in check(database, catalog):
            yield Breach(invariant, offender)


def _rows(database: Database, query: str) -> list[tuple]:  # type: ignore[type-arg]
    with database.reading():
        return list(database.execute_sql(query).fetchall())
