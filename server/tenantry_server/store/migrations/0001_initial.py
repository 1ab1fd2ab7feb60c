"""The first schema."""

import secrets
from typing import Any

# One text for every engine: SQLite takes BIGINT and BOOLEAN for integers.
_STATEMENTS = (
    """
    CREATE TABLE users (
        id TEXT NOT NULL PRIMARY KEY,
        email TEXT NOT NULL,
        email_verified BOOLEAN NOT NULL,
        name TEXT NOT NULL,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL
    )
    """,
    """
    CREATE INDEX users_email ON users (email, email_verified)
    """,
    """
    CREATE UNIQUE INDEX users_verified_email ON users (email) WHERE (email_verified = true)
    """,
    """
    CREATE TABLE organizations (
        id TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        slug TEXT NOT NULL,
        personal BOOLEAN NOT NULL,
        state TEXT NOT NULL,
        creator_user_id TEXT NOT NULL,
        default_region_id TEXT NOT NULL,
        limited_network_egress BOOLEAN NOT NULL,
        experimental_config TEXT NOT NULL,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        delete_time BIGINT,
        purge_time BIGINT,
        CHECK (state IN ('active', 'suspended', 'deleted')),
        CHECK (NOT (personal AND state = 'deleted'))
    )
    """,
    """
    CREATE INDEX organizations_creator ON organizations (creator_user_id)
    """,
    """
    CREATE TABLE organization_slugs (
        slug TEXT NOT NULL PRIMARY KEY,
        organization_id TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE personal_organizations (
        user_id TEXT NOT NULL PRIMARY KEY,
        organization_id TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE roles (
        organization_id TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        permissions TEXT NOT NULL,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (organization_id, id),
        FOREIGN KEY (organization_id) REFERENCES organizations (id)
    )
    """,
    """
    CREATE TABLE memberships (
        organization_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        role TEXT NOT NULL,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (organization_id, user_id),
        FOREIGN KEY (organization_id) REFERENCES organizations (id),
        CHECK (role IN ('owner', 'member'))
    )
    """,
    """
    CREATE INDEX memberships_user ON memberships (user_id, organization_id)
    """,
    """
    CREATE INDEX memberships_owner ON memberships (organization_id) WHERE (role = 'owner')
    """,
    """
    CREATE TABLE membership_roles (
        organization_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        role_id TEXT NOT NULL,
        custom_role_id TEXT,
        PRIMARY KEY (organization_id, user_id, role_id),
        FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id) ON DELETE CASCADE,
        FOREIGN KEY (organization_id, custom_role_id) REFERENCES roles (organization_id, id),
        CHECK (custom_role_id IS NULL OR custom_role_id = role_id)
    )
    """,
    """
    CREATE INDEX membership_roles_role ON membership_roles (organization_id, custom_role_id, user_id)
    """,
    """
    CREATE TABLE invitations (
        organization_id TEXT NOT NULL,
        id TEXT NOT NULL,
        email TEXT NOT NULL,
        state TEXT NOT NULL,
        role TEXT NOT NULL,
        inviter_email TEXT NOT NULL,
        granter_user_id TEXT NOT NULL,
        granter_token_id TEXT NOT NULL,
        expire_time BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (organization_id, id),
        FOREIGN KEY (organization_id) REFERENCES organizations (id),
        CHECK (state IN ('pending', 'accepted', 'declined', 'cancelled', 'expired')),
        CHECK (role IN ('owner', 'member'))
    )
    """,
    """
    CREATE UNIQUE INDEX invitations_pending ON invitations (organization_id, email) WHERE (state = 'pending')
    """,
    """
    CREATE INDEX invitations_email ON invitations (email, id)
    """,
    """
    CREATE INDEX invitations_state ON invitations (organization_id, state, id)
    """,
    """
    CREATE INDEX invitations_open ON invitations (organization_id, expire_time) WHERE (state = 'pending')
    """,
    """
    CREATE TABLE invitation_roles (
        organization_id TEXT NOT NULL,
        invitation_id TEXT NOT NULL,
        role_id TEXT NOT NULL,
        custom_role_id TEXT,
        PRIMARY KEY (organization_id, invitation_id, role_id),
        FOREIGN KEY (organization_id, invitation_id) REFERENCES invitations (organization_id, id) ON DELETE CASCADE,
        FOREIGN KEY (organization_id, custom_role_id) REFERENCES roles (organization_id, id),
        CHECK (custom_role_id IS NULL OR custom_role_id = role_id)
    )
    """,
    """
    CREATE INDEX invitation_roles_role ON invitation_roles (organization_id, custom_role_id, invitation_id)
    """,
    """
    CREATE TABLE api_tokens (
        id TEXT NOT NULL PRIMARY KEY,
        digest TEXT NOT NULL,
        kind TEXT NOT NULL,
        user_id TEXT NOT NULL,
        organization_id TEXT NOT NULL,
        permissions TEXT,
        expire_time BIGINT,
        create_time BIGINT NOT NULL,
        CHECK (kind IN ('usr', 'org')),
        CHECK ((kind = 'usr' AND user_id <> '') OR (kind = 'org' AND user_id = '' AND organization_id <> ''))
    )
    """,
    """
    CREATE UNIQUE INDEX api_tokens_digest ON api_tokens (digest)
    """,
    """
    CREATE INDEX api_tokens_organization ON api_tokens (organization_id)
    """,
    """
    CREATE INDEX api_tokens_user ON api_tokens (user_id)
    """,
    """
    CREATE TABLE audit_events (
        organization_id TEXT NOT NULL,
        revision BIGINT NOT NULL,
        time BIGINT NOT NULL,
        actor_kind TEXT NOT NULL,
        actor_id TEXT NOT NULL,
        credential_id TEXT NOT NULL,
        action TEXT NOT NULL,
        target_type TEXT NOT NULL,
        target_id TEXT NOT NULL,
        changes TEXT NOT NULL,
        call_id TEXT NOT NULL,
        PRIMARY KEY (organization_id, revision)
    )
    """,
    """
    CREATE TABLE request_records (
        principal_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        answer TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        PRIMARY KEY (principal_id, request_id)
    )
    """,
    """
    CREATE INDEX request_records_time ON request_records (create_time)
    """,
    """
    CREATE TABLE server_keys (
        purpose TEXT NOT NULL PRIMARY KEY,
        secret TEXT NOT NULL
    )
    """,
)


def up(migrator: Any, db: Any) -> None:
    """Makes all tables, and the key that signs page tokens."""
    for statement in _STATEMENTS:
        db.execute_sql(statement)
    insert = f"INSERT INTO server_keys (purpose, secret) VALUES ({db.param}, {db.param})"  # noqa: S608
    db.execute_sql(insert, ("page-token", secrets.token_hex(32)))
