"""What the database itself refuses: rows that cross tenants, and rows that cannot be."""

import re
from collections.abc import Callable
from typing import Any

import peewee
import pytest
from support import raw
from support.world import DEVELOPER, World

from tenantry_server.domain import call as calls
from tenantry_server.store.models import TABLES

_NAMES = sorted(model._meta.table_name for model in TABLES)


def _rows(database: Any, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return list(database.execute_sql(sql.replace("?", database.param), parameters).fetchall())


class Tenants:
    """Two organizations, each with a member, a role of its own and an invitation."""

    def __init__(self, world: World) -> None:
        self.names: dict[str, str] = {"system": DEVELOPER, "nobody": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
        for name in ("a", "b"):
            owner = world.person("owner")
            organization = world.organization(owner)
            role = world.role(organization, owner, "sandbox:write")
            other = world.role(organization, owner, "sandbox:write")
            invitation = world.invite(organization, owner, f"guest-{owner.email}", role.id)
            ids = {"": organization, "_member": world.member(organization, owner, role.id), "_role": role}
            provision, system = world.services.api_tokens.provision, calls.operator("test")
            token = provision(system, user_id=owner.id)
            ids |= {"_other_role": other, "_invitation": invitation, "_token": token}
            region = owner.rpc("RegionService.CreateRegion", organization_id=organization.id, name="Cellar")
            ids |= {"_region": region}
            ids |= {"_owned_token": provision(system, organization_id=organization.id)}
            self.names |= {name + suffix: thing.id for suffix, thing in ids.items()}


_REFUSED = {
    "membership_roles (organization_id, user_id) memberships": [
        "INSERT INTO membership_roles VALUES ('{a}', '{b_member}', '{system}', NULL)",
        "UPDATE membership_roles SET organization_id = '{b}', custom_role_id = NULL WHERE organization_id = '{a}'",
    ],
    "membership_roles (organization_id, custom_role_id) roles": [
        "INSERT INTO membership_roles VALUES ('{a}', '{a_member}', '{b_role}', '{b_role}')",
        "UPDATE membership_roles SET role_id = '{b_role}', custom_role_id = '{b_role}' WHERE organization_id = '{a}'",
        "DELETE FROM roles WHERE id = '{a_role}'",
    ],
    "invitation_roles (organization_id, invitation_id) invitations": [
        "INSERT INTO invitation_roles VALUES ('{a}', '{b_invitation}', '{system}', NULL)",
        "UPDATE invitation_roles SET organization_id = '{b}', custom_role_id = NULL WHERE organization_id = '{a}'",
    ],
    "invitation_roles (organization_id, custom_role_id) roles": [
        "INSERT INTO invitation_roles VALUES ('{a}', '{a_invitation}', '{b_role}', '{b_role}')",
        "UPDATE invitation_roles SET role_id = '{b_role}', custom_role_id = '{b_role}' WHERE organization_id = '{a}'",
    ],
    "memberships (organization_id) organizations": [
        "INSERT INTO memberships VALUES ('{nobody}', '{a_member}', 'member', 1, 0, 0)",
        "UPDATE memberships SET organization_id = '{nobody}' WHERE organization_id = '{a}' AND role = 'owner'",
        "DELETE FROM organizations WHERE id = '{a}'",
    ],
    "roles (organization_id) organizations": ["INSERT INTO roles VALUES ('{nobody}', '{nobody}', 'R', '', '', 1, 0, 0)"],
    "invitations (organization_id) organizations": [
        "INSERT INTO invitations VALUES ('{nobody}', '{nobody}', 'e', 'pending', 'member', '', '{a}', '', 0, 1, 0, 0)"
    ],
    "identities (user_id) users": [
        "INSERT INTO identities (issuer, subject, id, user_id, create_time) VALUES ('i', 's', '{nobody}', '{nobody}', 0)"
    ],
    "api_token_secrets (api_token_id) api_tokens": [
        "INSERT INTO api_token_secrets VALUES ('d', '{nobody}', NULL)",
        "UPDATE api_token_secrets SET api_token_id = '{nobody}'",
    ],
    "api_token_exclusions (api_token_id) api_tokens": ["INSERT INTO api_token_exclusions VALUES ('{a}', '{nobody}')"],
    "api_token_exclusions (organization_id) organizations": [
        "INSERT INTO api_token_exclusions VALUES ('{nobody}', '{a_token}')"
    ],
    "metered_usage (organization_id) organizations": ["INSERT INTO metered_usage VALUES ('{nobody}', '2030-01', 'm', 1)"],
    "region_keys (organization_id, region_id) regions": ["INSERT INTO region_keys VALUES ('{a}', '{b_region}', 'proxy', 'd')"],
    "region_quotas (organization_id) organizations": [
        "INSERT INTO region_quotas VALUES ('{nobody}', 'us', 'container', '', NULL, 1, 0, 0)"
    ],
    "usage_ledgers (organization_id) organizations": ["INSERT INTO usage_ledgers VALUES ('{nobody}', 1)"],
    "usages (organization_id) organizations": ["INSERT INTO usages VALUES ('{nobody}', '', '', 'volume', 1)"],
    "usage_leases (organization_id) organizations": [
        "INSERT INTO usage_leases VALUES ('{nobody}', '{nobody}', '', '', 't', 'r', 'committed', '', NULL, '', '', '', 0, 0)"
    ],
    "leased_resources (organization_id) organizations": ["INSERT INTO leased_resources VALUES ('t', 'r', '{nobody}', NULL)"],
    "checks": [
        "INSERT INTO usages VALUES ('{a}', '', '', 'volume', -1)",
        "INSERT INTO usage_leases VALUES ('{a}', '{nobody}', '', '', 't', 'r', 'committed', '', 1, '', '', '', 0, 0)",
        "INSERT INTO usage_leases VALUES ('{a}', '{nobody}', '', '', 't', 'r', 'reserved', '', NULL, '', '', '', 0, 0)",
        "INSERT INTO usage_leases VALUES ('{a}', '{nobody}', '', '', 't', 'r', 'limbo', '', 1, '', '', '', 0, 0)",
        "UPDATE regions SET type = 'flat' WHERE id = 'us'",
        "UPDATE regions SET type = 'custom' WHERE id = 'us'",
        "UPDATE regions SET type = 'shared' WHERE id = '{a_region}'",
        "INSERT INTO region_keys VALUES ('{a}', '{a_region}', 'front door', 'd')",
        "INSERT INTO membership_roles VALUES ('{a}', '{a_member}', '{a_other_role}', '{a_role}')",
        "INSERT INTO invitation_roles VALUES ('{a}', '{a_invitation}', '{a_other_role}', '{a_role}')",
        "UPDATE organizations SET state = 'limbo'",
        "UPDATE organizations SET state = 'deleted' WHERE personal",
        "UPDATE memberships SET role = 'king'",
        "UPDATE invitations SET state = 'limbo'",
        "UPDATE invitations SET role = 'king'",
        "UPDATE users SET state = 'asleep'",
        "UPDATE api_tokens SET kind = 'key'",
        "UPDATE api_tokens SET user_id = '' WHERE id = '{a_token}'",
        "UPDATE api_tokens SET user_id = '{b_member}' WHERE id = '{a_owned_token}'",
        "UPDATE api_tokens SET organization_id = '' WHERE id = '{a_owned_token}'",
        "UPDATE api_tokens SET kind = 'plt' WHERE id = '{a_token}'",
        "UPDATE api_tokens SET kind = 'plt' WHERE id = '{a_owned_token}'",
    ],
    "keys": [
        "INSERT INTO leased_resources SELECT 't', 'r', id, NULL FROM organizations",
        "INSERT INTO usages SELECT '{a}', '', '', 'volume', 1 FROM users",
        "INSERT INTO regions SELECT organization_id, '{nobody}', name, type, enforce_quotas, '', '', '', 1, 0, 0 FROM regions",
        "INSERT INTO region_keys SELECT '{a}', '{a_region}', 'proxy', id FROM users",
        "INSERT INTO audit_events SELECT * FROM audit_events",
        "INSERT INTO memberships SELECT * FROM memberships",
        "UPDATE invitations SET organization_id = '{a}', email = 'same@example.com'",
        "UPDATE users SET email = 'same@example.com'",
        "UPDATE api_token_secrets SET digest = 'same'",
        "UPDATE api_tokens SET user_id = '{a_member}', organization_id = '{a}', name = 'same' WHERE kind = 'usr'",
        "INSERT INTO identities (issuer, subject, id, user_id, create_time) SELECT 'i', 's', u.id, u.id, 0 FROM users u",
        "INSERT INTO identities (issuer, subject, id, user_id, create_time) SELECT u.id, 's', 'same', u.id, 0 FROM users u",
        "INSERT INTO api_token_exclusions SELECT '{a}', '{a_token}' FROM users",
        "INSERT INTO platform SELECT * FROM platform",
        "INSERT INTO metered_usage SELECT '{a}', '2030-01', 'm', 1 FROM users",
    ],
}


def _references(database: Any) -> set[str]:
    """Every foreign key: the table, its columns, and the table it leads to."""
    if database.param == "?":
        found: dict[tuple[str, int], tuple[str, list[str]]] = {}
        for table in _NAMES:
            for number, _, target, column, *_ in _rows(database, f"PRAGMA foreign_key_list({table})"):
                found.setdefault((table, number), (target, []))[1].append(column)
        return {f"{table} ({', '.join(columns)}) {target}" for (table, _), (target, columns) in found.items()}
    query = "SELECT conrelid::regclass::text, pg_get_constraintdef(oid), confrelid::regclass::text FROM pg_constraint"
    rows = _rows(database, f"{query} WHERE contype = 'f'")
    return {f"{table} {re.findall(r'[(].*?[)]', definition)[0]} {target}" for table, definition, target in rows}


def test_no_foreign_key_is_left_out_here(world: World) -> None:
    assert _references(world.deployment.database) == set(_REFUSED) - {"checks", "keys"}


@pytest.mark.parametrize("what", _REFUSED)
def test_the_database_itself_refuses_what_crosses_tenants_or_cannot_be(deploy_own: Callable[..., World], what: str) -> None:
    world = deploy_own()
    names = Tenants(world).names
    database: Any = world.deployment.database
    for statement in _REFUSED[what]:
        database.begin()
        with pytest.raises(peewee.IntegrityError):
            database.execute_sql(statement.format(**names))
        database.rollback()
    assert world.breaches() == []


def test_a_membership_takes_its_assignments_with_it(world: World) -> None:
    names = Tenants(world).names
    database: Any = world.deployment.database
    database.begin()
    for table, key in (("memberships", "user_id = '{a_member}'"), ("invitations", "id = '{a_invitation}'")):
        database.execute_sql(f"DELETE FROM {table} WHERE organization_id = '{{a}}' AND {key}".format(**names))
    assert _rows(database, "SELECT 1 FROM membership_roles WHERE organization_id = ?", names["a"]) == []
    assert _rows(database, "SELECT 1 FROM invitation_roles WHERE organization_id = ?", names["a"]) == []
    database.rollback()


def test_a_token_takes_its_secrets_and_exclusions_with_it(world: World) -> None:
    token_id = Tenants(world).names["a_token"]
    database: Any = world.deployment.database
    database.begin()
    database.execute_sql(f"INSERT INTO api_token_exclusions SELECT id, '{token_id}' FROM organizations")
    database.execute_sql(f"DELETE FROM api_tokens WHERE id = '{token_id}'")
    assert [raw.count(database, f"api_token_{what}", api_token_id=token_id) for what in ("secrets", "exclusions")] == [0, 0]
    database.rollback()
