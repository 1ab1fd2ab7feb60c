"""Identities of users, the life of API tokens, and the platform's own trail.

The table of tokens is made anew: SQLite cannot change a constraint, and secrets move into a table of their own, so that a
token can have two while it is rotated.
"""

from typing import Any

_STATEMENTS = (
    "ALTER TABLE users ADD COLUMN state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deleted', 'erased'))",
    "ALTER TABLE users ADD COLUMN delete_time BIGINT",
    """
    CREATE TABLE identities (
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        PRIMARY KEY (issuer, subject),
        FOREIGN KEY (user_id) REFERENCES users (id)
    )
    """,
    "CREATE UNIQUE INDEX identities_id ON identities (id)",
    "CREATE INDEX identities_user ON identities (user_id)",
    "CREATE TABLE api_tokens_before AS SELECT * FROM api_tokens",
    "DROP TABLE api_tokens",
    # Tokens that are bound to an organization end with the membership, from now on and in retrospect.
    """
    DELETE FROM api_tokens_before WHERE user_id <> '' AND organization_id <> '' AND NOT EXISTS (
        SELECT 1 FROM memberships m
        WHERE m.organization_id = api_tokens_before.organization_id AND m.user_id = api_tokens_before.user_id
    )
    """,
    """
    CREATE TABLE api_tokens (
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
    )
    """,
    """
    INSERT INTO api_tokens (
        id, kind, name, description, user_id, organization_id, creator_id, hint, permissions, expire_time, revision,
        create_time, update_time
    )
    SELECT
        id, kind, id, '', user_id, organization_id, '', 'tnt_' || kind || '_', permissions, expire_time, 1,
        create_time, create_time
    FROM api_tokens_before
    """,
    "CREATE UNIQUE INDEX api_tokens_name ON api_tokens (organization_id, user_id, name)",
    "CREATE INDEX api_tokens_user ON api_tokens (user_id, id)",
    "CREATE INDEX api_tokens_organization ON api_tokens (organization_id, id)",
    "CREATE INDEX api_tokens_platform ON api_tokens (id) WHERE kind = 'plt'",
    """
    CREATE TABLE api_token_secrets (
        digest TEXT NOT NULL PRIMARY KEY,
        api_token_id TEXT NOT NULL,
        expire_time BIGINT,
        FOREIGN KEY (api_token_id) REFERENCES api_tokens (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX api_token_secrets_token ON api_token_secrets (api_token_id)",
    "CREATE INDEX api_token_secrets_ending ON api_token_secrets (api_token_id) WHERE expire_time IS NOT NULL",
    "INSERT INTO api_token_secrets (digest, api_token_id) SELECT digest, id FROM api_tokens_before",
    "DROP TABLE api_tokens_before",
    """
    CREATE TABLE api_token_exclusions (
        organization_id TEXT NOT NULL,
        api_token_id TEXT NOT NULL,
        PRIMARY KEY (organization_id, api_token_id),
        FOREIGN KEY (organization_id) REFERENCES organizations (id),
        FOREIGN KEY (api_token_id) REFERENCES api_tokens (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX api_token_exclusions_token ON api_token_exclusions (api_token_id)",
    "CREATE TABLE platform (id TEXT NOT NULL PRIMARY KEY, revision BIGINT NOT NULL)",
    "INSERT INTO platform (id, revision) VALUES ('platform', 0)",
)


def up(migrator: Any, db: Any) -> None:
    """Makes and fills the new tables."""
    for statement in _STATEMENTS:
        db.execute_sql(statement)
