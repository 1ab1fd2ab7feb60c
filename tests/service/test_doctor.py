"""The doctor finds whatever is broken: each invariant is broken on purpose, behind the server's back, and seen by name."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from support import raw
from support.deployment import CATALOG, Deployment, deploy
from support.engines import Engines
from support.hospital import Hospital
from support.world import World

from tenantry_server.store.invariants import INVARIANTS, breaches
from tenantry_server.store.urls import open_database


@pytest.fixture(scope="module")
def hospitals(engines: Engines) -> Iterator[Callable[[str], Hospital]]:
    """One for each engine: what is broken there is only rehearsed."""
    deployments: list[Deployment] = []
    opened: dict[str, Hospital] = {}

    def hospital(engine: str) -> Hospital:
        if engine not in opened:
            deployments.append(deploy(engine, engines.new(engine)))
            opened[engine] = Hospital(World(deployments[-1]))
        return opened[engine]

    yield hospital
    for deployment in deployments:
        deployment.close()


@dataclass(frozen=True)
class Break:
    """How an invariant is broken: a statement, the tables whose constraints would not have it, and what breaks with it."""

    statement: str
    unguarded: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


_TOKENS = ("api_token_secrets", "api_token_exclusions")
_ROLES = ("roles", "membership_roles", "invitation_roles")
_INVITATIONS = ("invitations", "invitation_roles")
_INVITATION = "role, inviter_email, granter_user_id, granter_token_id, expire_time, revision, create_time, update_time"

_OWNED = "every organization has an owner"
_ALONE = "a personal organization has one member, its user"
_PERSONAL = "every user has a personal organization, and every personal organization a user"
_EVENTS = "every change has exactly one audit event"
_NEWER = "nothing is newer than its organization"
_SLUG = "an organization has its slug to itself"
_FILE = "the file is sound"
_REFERENCES = "every reference leads somewhere"
_DELETED = "a deleted user has no credential, no verified address, and owns only what is deleted"
_SECRET = "a token has one secret that does not end"
_BOUND = "a token that is bound to an organization acts for a member"
_COUNTED = "what is counted as used is what committed leases hold"
_CLAIMED = "a committed lease's resource is its organization's, and no other resource is anybody's"
_PLACED = "a quota, a lease and a default region are of a region that there is"
_PLATFORM = "the platform's changes have one audit event each"

BREAKS: dict[str, list[Break]] = {
    _OWNED: [Break("UPDATE memberships SET role = 'member' WHERE organization_id = '{acme}'")],
    _ALONE: [
        Break("INSERT INTO memberships VALUES ('{personal}', '{member}', 'member', 1, 0, 0)"),
        Break("UPDATE memberships SET user_id = '{member}' WHERE organization_id = '{personal}'"),
    ],
    "a personal organization takes no invitations": [
        Break(
            f"INSERT INTO invitations (organization_id, id, email, state, {_INVITATION}) "
            f"SELECT '{{personal}}', '{{nobody}}', email, state, {_INVITATION} FROM invitations",
            also=(_NEWER,),
        )
    ],
    _PERSONAL: [
        Break("DELETE FROM personal_organizations WHERE user_id = '{owner}'"),
        Break("UPDATE organizations SET personal = (1 = 0) WHERE id = '{personal}'"),
        Break("UPDATE users SET state = 'deleted' WHERE id = '{owner}'", also=(_DELETED,)),
        Break("UPDATE users SET state = 'active', delete_time = NULL WHERE id = '{deleted}'"),
    ],
    "every member is a user": [Break("INSERT INTO memberships VALUES ('{acme}', '{nobody}', 'member', 1, 0, 0)")],
    "a verified address belongs to one user": [Break("UPDATE users SET email = '{email}' WHERE state = 'active'", ("users",))],
    "an address has one pending invitation in an organization": [
        Break(
            f"INSERT INTO invitations (organization_id, id, email, state, {_INVITATION}) "
            f"SELECT organization_id, '{{nobody}}', email, state, {_INVITATION} FROM invitations",
            ("invitations",),
        )
    ],
    _SLUG: [
        Break("UPDATE organizations SET slug = 'elsewhere' WHERE id = '{acme}'"),
        Break("DELETE FROM organization_slugs WHERE organization_id = '{acme}'"),
        Break("INSERT INTO organization_slugs VALUES ('stray', '{acme}')"),
    ],
    "only what is suspended has a suspension": [
        Break("UPDATE organizations SET suspend_time = 0 WHERE id = '{acme}'"),
        Break("UPDATE organizations SET suspension_reason = 'Unpaid' WHERE id = '{acme}'"),
    ],
    _EVENTS: [
        Break("DELETE FROM audit_events WHERE organization_id = '{acme}' AND revision = 2"),
        Break("UPDATE organizations SET revision = revision + 1 WHERE id = '{acme}'"),
        Break("UPDATE audit_events SET revision = 100 WHERE organization_id = '{acme}' AND revision = 2"),
    ],
    _NEWER: [
        *(
            Break(f"UPDATE {table} SET revision = 1000 WHERE organization_id = '{{acme}}'")
            for table in ("memberships", "roles", "invitations", "api_tokens")
        ),
        Break("UPDATE api_tokens SET revision = 1000 WHERE id = '{strangers}'"),
    ],
    "a deleted organization, and no other, has a purge time": [
        Break("UPDATE organizations SET purge_time = NULL WHERE id = '{gone}'"),
        Break("UPDATE organizations SET delete_time = NULL WHERE id = '{gone}'"),
        Break("UPDATE organizations SET purge_time = 1 WHERE id = '{acme}'"),
        Break("UPDATE organizations SET state = 'active' WHERE id = '{gone}'"),
    ],
    _DELETED: [
        Break("UPDATE users SET email_verified = (1 = 1) WHERE id = '{deleted}'"),
        Break("UPDATE users SET delete_time = NULL WHERE id = '{deleted}'"),
        Break("UPDATE users SET delete_time = 1 WHERE id = '{owner}'"),
        Break("UPDATE users SET email = 'erased@example.com' WHERE id = '{erased}'"),
        Break("UPDATE users SET name = 'Erased' WHERE id = '{erased}'"),
        Break("UPDATE api_tokens SET user_id = '{deleted}' WHERE id = '{strangers}'"),
        Break("UPDATE identities SET user_id = '{deleted}'"),
        Break("INSERT INTO memberships VALUES ('{acme}', '{deleted}', 'member', 1, 0, 0)"),
    ],
    _SECRET: [
        Break("DELETE FROM api_token_secrets WHERE api_token_id = '{owned}'"),
        Break("UPDATE api_token_secrets SET expire_time = 1 WHERE api_token_id = '{owned}'"),
        Break("UPDATE api_token_secrets SET expire_time = NULL WHERE api_token_id = '{owned}'"),
    ],
    _BOUND: [Break("UPDATE api_tokens SET organization_id = '{acme}' WHERE id = '{strangers}'")],
    _PLATFORM: [
        Break("DELETE FROM audit_events WHERE organization_id = '' AND revision = 1"),
        Break("UPDATE platform SET revision = revision + 1"),
        Break("UPDATE audit_events SET revision = 100 WHERE organization_id = '' AND revision = 1"),
    ],
    "a token belongs to who exists": [
        Break("UPDATE api_tokens SET user_id = '{nobody}' WHERE user_id = '{owner}'"),
        Break("UPDATE api_tokens SET organization_id = '{nobody}' WHERE kind = 'org'"),
    ],
    "an organization was created by a user": [
        Break("UPDATE organizations SET creator_user_id = '{nobody}' WHERE id = '{acme}'")
    ],
    "an audit event is of an organization": [
        Break(
            "UPDATE audit_events SET organization_id = '{nobody}' WHERE organization_id = '{acme}' AND revision = 2",
            also=(_EVENTS,),
        )
    ],
    "one answers for an invitation: a user or a token": [
        Break("UPDATE invitations SET granter_user_id = ''"),
        Break("UPDATE invitations SET granter_token_id = '{owner}'"),
    ],
    _CLAIMED: [
        Break("DELETE FROM leased_resources"),
        Break("UPDATE leased_resources SET organization_id = '{personal}'"),
        Break("INSERT INTO leased_resources VALUES ('sandbox', 'stray', '{acme}', NULL)"),
    ],
    _PLACED: [
        Break("UPDATE region_quotas SET region_id = 'mars'"),
        Break("UPDATE usage_leases SET region_id = 'mars' WHERE state = 'committed'", also=(_COUNTED,)),
        Break("UPDATE organizations SET default_region_id = 'mars' WHERE id = '{acme}'"),
    ],
    _REFERENCES: [
        Break("UPDATE membership_roles SET organization_id = '{personal}'", ("membership_roles",)),
        Break("UPDATE invitation_roles SET organization_id = '{personal}'", ("invitation_roles",)),
        Break("DELETE FROM roles", _ROLES),
        Break("UPDATE roles SET organization_id = '{personal}'", _ROLES),
        Break("UPDATE roles SET organization_id = '{nobody}'", _ROLES),
        Break("UPDATE invitations SET organization_id = '{nobody}'", _INVITATIONS),
        Break("INSERT INTO memberships VALUES ('{nobody}', '{owner}', 'owner', 1, 0, 0)", ("memberships",)),
        Break("UPDATE identities SET user_id = '{nobody}'", ("identities",)),
        Break("INSERT INTO api_token_secrets VALUES ('digest', '{nobody}', NULL)", _TOKENS),
        Break("UPDATE api_token_exclusions SET api_token_id = '{nobody}'", _TOKENS),
        Break("UPDATE api_token_exclusions SET organization_id = '{nobody}'", _TOKENS),
    ],
    "the platform has a trail": [Break("DELETE FROM platform"), Break("UPDATE platform SET id = 'elsewhere'")],
    "there is a key that signs page tokens": [
        Break("DELETE FROM server_keys"),
        Break("UPDATE server_keys SET secret = ''"),
    ],
    "an assigned system role is in the catalog and can be assigned": [
        Break(f"UPDATE {table} SET role_id = '{{{name}}}' WHERE custom_role_id IS NULL")
        for table in ("membership_roles", "invitation_roles")
        for name in ("nobody", "ownership")
    ],
    "a role grants permissions of the catalog that are not the owners' alone": [
        Break("UPDATE roles SET permissions = 'sandbox:read no:such'"),
        Break("UPDATE roles SET permissions = 'organization:delete'"),
    ],
    "a token carries permissions of the catalog": [
        Break("UPDATE api_tokens SET permissions = 'no:such' WHERE kind = 'org'"),
        Break("UPDATE api_tokens SET permissions = 'user:read' WHERE kind = 'org'"),
        Break("UPDATE api_tokens SET permissions = 'sandbox:read' WHERE kind = 'plt'"),
    ],
    "a role is not named like ownership": [Break("UPDATE roles SET name = 'Оwner'")],
    "every id is a ULID in its canonical spelling": [
        Break("UPDATE api_tokens SET id = 'token' WHERE kind = 'org'", _TOKENS, also=(_REFERENCES, _SECRET)),
        Break("UPDATE roles SET id = 'role'", _ROLES, also=(_REFERENCES,)),
        Break("UPDATE invitations SET id = LOWER(id)", _INVITATIONS, also=(_REFERENCES,)),
        Break(
            "INSERT INTO users VALUES ('ann', 'ann@example.com', (1 = 0), 'Ann', 1, 0, 0, 'active', NULL)", also=(_PERSONAL,)
        ),
        Break(
            "INSERT INTO organizations SELECT 'acme', name, slug, personal, state, creator_user_id, default_region_id, "
            "limited_network_egress, '{{}}', 0, 0, 0, NULL, NULL, NULL, NULL, '', NULL, '', '', '{{}}' FROM organizations "
            "WHERE id = '{acme}'",
            also=(_OWNED, _SLUG),
        ),
    ],
    "every address is in its canonical spelling": [
        Break("UPDATE users SET email = UPPER(email) WHERE id = '{owner}'"),
        Break("UPDATE invitations SET email = ' ' || email"),
    ],
    "an experimental configuration is a JSON object": [
        Break(f"UPDATE organizations SET experimental_config = '{text}' WHERE id = '{{acme}}'") for text in ("{{", "[]", "")
    ],
    _COUNTED: [
        Break("UPDATE usages SET amount = amount + 1"),
        Break("DELETE FROM usages"),
        Break("UPDATE usage_leases SET amounts = '{{\"cpu\":9}}' WHERE state = 'committed'"),
    ],
    "a quota limits metrics of the catalog": [
        Break("UPDATE organizations SET quotas = '{{\"cpu\":1}}' WHERE id = '{acme}'"),
        Break("UPDATE organizations SET quotas = '{{\"volume\":-1}}' WHERE id = '{acme}'"),
        Break("UPDATE region_quotas SET limits = '{{\"horses\":1}}'"),
    ],
    # An index that lost an entry, as after a fault of the disk; PostgreSQL looks after its own files.
    _FILE: [Break("UPDATE sqlite_schema SET sql = sql || ' WHERE state <> ''active''' WHERE name = 'organizations_creator'")],
}
CASES = [
    pytest.param(name, broken, id=f"{name} {number}")
    for name, several in BREAKS.items()
    for number, broken in enumerate(several)
    if name != _FILE
]


def test_no_invariant_is_left_out_here() -> None:
    assert list(BREAKS) == list(INVARIANTS)


@pytest.mark.parametrize(("name", "broken"), CASES)
def test_what_is_broken_is_found_by_name(engine: str, hospitals: Callable[[str], Hospital], name: str, broken: Break) -> None:
    hospital = hospitals(engine)
    database = open_database(hospital.url)
    assert list(breaches(database, CATALOG)) == []
    with raw.Rehearsal(database) as rehearsal:
        for table in broken.unguarded:
            raw.unguard(rehearsal, table)
        rehearsal.execute(broken.statement.format(**hospital.names))
        found = list(breaches(database, CATALOG))
    assert {breach.invariant for breach in found} == {name, *broken.also}
    assert all(breach.offender for breach in found)


def test_a_file_that_is_damaged_is_found(hospitals: Callable[[str], Hospital]) -> None:
    hospital = hospitals("sqlite")
    (broken,) = BREAKS[_FILE]
    database = open_database(hospital.url)
    with raw.Rehearsal(database) as rehearsal:
        rehearsal.execute("PRAGMA writable_schema = 1")
        rehearsal.execute(broken.statement)
        rehearsal.execute("PRAGMA writable_schema = RESET")
        found = list(breaches(database, CATALOG))
    assert {breach.invariant for breach in found} == {_FILE}


def _doctor(url: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TENANTRY_DATABASE_URL": url}
    return subprocess.run(["tenantry", "doctor"], env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_says_that_all_is_well_or_lists_what_is_not(deploy_own: Callable[..., World]) -> None:
    hospital = Hospital(deploy_own())
    sound = _doctor(hospital.url)
    assert (sound.returncode, sound.stdout) == (0, "All invariants hold.\n")
    acme, role = hospital.names["acme"], hospital.names["role"]
    with raw.connect(hospital.url) as connection:
        connection.execute("UPDATE memberships SET role = 'member' WHERE organization_id = ?", (acme,))
        connection.execute("UPDATE roles SET permissions = 'no:such'")
    broken = _doctor(hospital.url)
    assert broken.returncode == 1
    assert broken.stdout.splitlines() == [
        f"broken: every organization has an owner: {acme}",
        f"broken: a role grants permissions of the catalog that are not the owners' alone: {role}",
    ]


def test_the_command_does_not_judge_a_schema_that_it_does_not_know(engines: Engines, engine: str) -> None:
    refused = _doctor(engines.new(engine))
    assert refused.returncode == 1
    assert re.fullmatch(r"Error: migrations are pending: 0001_initial, .*; run `tenantry migrate`\n", refused.stderr)
