"""On SQLite, tables in which calls look rows up by key keep them in the key's order: one tree to descend instead of two.

Tables of long rows stay as they are: a page of their tree would hold too few. So do assigned roles: every index would have all
of their columns, and SQLite would take the wrong one to look for who has a system role. The index of owners names the role, or
it would look for owners among all members, whose key begins in the same way. PostgreSQL has nothing of the kind.
"""

from typing import Any

_OWNERS = "CREATE INDEX memberships_owner ON memberships (organization_id, role, user_id) WHERE (role = 'owner')"
_ON_POSTGRESQL = ("DROP INDEX memberships_owner", _OWNERS)
_ON_SQLITE = (
    """
    CREATE TABLE users_anew (
        id TEXT NOT NULL PRIMARY KEY,
        email TEXT NOT NULL,
        email_verified BOOLEAN NOT NULL,
        name TEXT NOT NULL,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deleted', 'erased')),
        delete_time BIGINT
    ) WITHOUT ROWID
    """,
    "INSERT INTO users_anew SELECT * FROM users ORDER BY id",
    "DROP TABLE users",
    "ALTER TABLE users_anew RENAME TO users",
    "CREATE INDEX users_email ON users (email, email_verified)",
    "CREATE UNIQUE INDEX users_verified_email ON users (email) WHERE (email_verified = true)",
    """
    CREATE TABLE identities_anew (
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        token_time BIGINT,
        token_digest TEXT,
        PRIMARY KEY (issuer, subject),
        FOREIGN KEY (user_id) REFERENCES users (id)
    ) WITHOUT ROWID
    """,
    "INSERT INTO identities_anew SELECT * FROM identities ORDER BY issuer, subject",
    "DROP TABLE identities",
    "ALTER TABLE identities_anew RENAME TO identities",
    "CREATE UNIQUE INDEX identities_id ON identities (id)",
    "CREATE INDEX identities_user ON identities (user_id)",
    """
    CREATE TABLE api_tokens_anew (
        id TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        user_id TEXT NOT NULL,
        organization_id TEXT NOT NULL,
        creator_id TEXT NOT NULL,
        hint TEXT NOT NULL,
        permissions TEXT,
        expire_time BIGINT,
        last_used_time BIGINT,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        CHECK (kind IN ('usr', 'org', 'plt')),
        CHECK ((kind = 'usr') = (user_id <> '') AND (kind <> 'org' OR organization_id <> '')),
        CHECK (kind <> 'plt' OR organization_id = '')
    ) WITHOUT ROWID
    """,
    "INSERT INTO api_tokens_anew SELECT * FROM api_tokens ORDER BY id",
    "DROP TABLE api_tokens",
    "ALTER TABLE api_tokens_anew RENAME TO api_tokens",
    "CREATE UNIQUE INDEX api_tokens_name ON api_tokens (organization_id, user_id, name)",
    "CREATE INDEX api_tokens_user ON api_tokens (user_id, id)",
    "CREATE INDEX api_tokens_organization ON api_tokens (organization_id, id)",
    "CREATE INDEX api_tokens_platform ON api_tokens (id) WHERE kind = 'plt'",
    "CREATE INDEX api_tokens_unbound ON api_tokens (user_id, id) WHERE (organization_id = '')",
    """
    CREATE TABLE api_token_secrets_anew (
        digest TEXT NOT NULL PRIMARY KEY,
        api_token_id TEXT NOT NULL,
        expire_time BIGINT,
        FOREIGN KEY (api_token_id) REFERENCES api_tokens (id) ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
    "INSERT INTO api_token_secrets_anew SELECT * FROM api_token_secrets ORDER BY digest",
    "DROP TABLE api_token_secrets",
    "ALTER TABLE api_token_secrets_anew RENAME TO api_token_secrets",
    "CREATE INDEX api_token_secrets_token ON api_token_secrets (api_token_id)",
    "CREATE INDEX api_token_secrets_ending ON api_token_secrets (api_token_id) WHERE expire_time IS NOT NULL",
    """
    CREATE TABLE api_token_exclusions_anew (
        organization_id TEXT NOT NULL,
        api_token_id TEXT NOT NULL,
        PRIMARY KEY (organization_id, api_token_id),
        FOREIGN KEY (organization_id) REFERENCES organizations (id),
        FOREIGN KEY (api_token_id) REFERENCES api_tokens (id) ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
    "INSERT INTO api_token_exclusions_anew SELECT * FROM api_token_exclusions ORDER BY organization_id, api_token_id",
    "DROP TABLE api_token_exclusions",
    "ALTER TABLE api_token_exclusions_anew RENAME TO api_token_exclusions",
    "CREATE INDEX api_token_exclusions_token ON api_token_exclusions (api_token_id)",
    """
    CREATE TABLE organization_slugs_anew (
        slug TEXT NOT NULL PRIMARY KEY,
        organization_id TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "INSERT INTO organization_slugs_anew SELECT * FROM organization_slugs ORDER BY slug",
    "DROP TABLE organization_slugs",
    "ALTER TABLE organization_slugs_anew RENAME TO organization_slugs",
    """
    CREATE TABLE personal_organizations_anew (
        user_id TEXT NOT NULL PRIMARY KEY,
        organization_id TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "INSERT INTO personal_organizations_anew SELECT * FROM personal_organizations ORDER BY user_id",
    "DROP TABLE personal_organizations",
    "ALTER TABLE personal_organizations_anew RENAME TO personal_organizations",
    """
    CREATE TABLE memberships_anew (
        organization_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        role TEXT NOT NULL,
        revision BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (organization_id, user_id),
        FOREIGN KEY (organization_id) REFERENCES organizations (id),
        CHECK (role IN ('owner', 'member'))
    ) WITHOUT ROWID
    """,
    "INSERT INTO memberships_anew SELECT * FROM memberships ORDER BY organization_id, user_id",
    "DROP TABLE memberships",
    "ALTER TABLE memberships_anew RENAME TO memberships",
    "CREATE INDEX memberships_user ON memberships (user_id, organization_id)",
    _OWNERS,
)


def up(migrator: Any, db: Any) -> None:
    """Makes the tables anew; references are not looked at meanwhile."""
    for statement in _ON_SQLITE if db.param == "?" else _ON_POSTGRESQL:
        db.execute_sql(statement)
