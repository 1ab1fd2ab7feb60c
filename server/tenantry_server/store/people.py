"""The tables of people and of credentials; see `models.py` for the rest and for what holds for all."""

from peewee import SQL, BigIntegerField, BooleanField, Check, CompositeKey, Model, TextField


def foreign_key(columns: str, table: str, target: str, *, cascade: bool = False) -> SQL:
    return SQL(f"FOREIGN KEY ({columns}) REFERENCES {table} ({target})" + (" ON DELETE CASCADE" if cascade else ""))


class User(Model):
    """A person. An address belongs to at most one user who has verified it."""

    id = TextField(primary_key=True)
    email = TextField()
    email_verified = BooleanField()
    name = TextField()
    # Counts the changes of the user and of what they own across organizations; bumping it is the lock.
    revision = BigIntegerField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()
    state = TextField(constraints=[SQL("DEFAULT 'active'")])
    delete_time = BigIntegerField(null=True)

    class Meta:
        table_name = "users"
        constraints = [Check("state IN ('active', 'deleted', 'erased')")]


User.add_index(User.index(User.email, User.email_verified, name="users_email"))
User.add_index(User.index(User.email, unique=True, where=User.email_verified == SQL("true"), name="users_verified_email"))


class Identity(Model):
    """How an identity provider knows a user; and when the token that was followed last was made, and a SHA-256 of what it said
    of the user, null until one was.
    """

    issuer = TextField()
    subject = TextField()
    id = TextField()
    user_id = TextField()
    create_time = BigIntegerField()
    token_time = BigIntegerField(null=True)
    token_digest = TextField(null=True)

    class Meta:
        table_name = "identities"
        primary_key = CompositeKey("issuer", "subject")
        constraints = [foreign_key("user_id", "users", "id")]


Identity.add_index(Identity.index(Identity.id, unique=True, name="identities_id"))
Identity.add_index(Identity.index(Identity.user_id, name="identities_user"))


class ApiToken(Model):
    """A token: of a user (organization_id then binds it to one organization, or is empty), of an organization (user_id empty),
    or of the platform (both empty). Permissions are words; null narrows nothing.
    """

    id = TextField(primary_key=True)
    kind = TextField()
    name = TextField()
    description = TextField()
    user_id = TextField()
    organization_id = TextField()
    creator_id = TextField()
    hint = TextField()
    permissions = TextField(null=True)
    expire_time = BigIntegerField(null=True)
    last_used_time = BigIntegerField(null=True)
    revision = BigIntegerField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()

    class Meta:
        table_name = "api_tokens"
        constraints = [
            Check("kind IN ('usr', 'org', 'plt')"),
            Check("(kind = 'usr') = (user_id <> '') AND (kind <> 'org' OR organization_id <> '')"),
            Check("kind <> 'plt' OR organization_id = ''"),
        ]


ApiToken.add_index(
    ApiToken.index(ApiToken.organization_id, ApiToken.user_id, ApiToken.name, unique=True, name="api_tokens_name")
)
ApiToken.add_index(ApiToken.index(ApiToken.user_id, ApiToken.id, name="api_tokens_user"))
ApiToken.add_index(ApiToken.index(ApiToken.organization_id, ApiToken.id, name="api_tokens_organization"))
ApiToken.add_index(
    ApiToken.index(ApiToken.user_id, ApiToken.id, where=ApiToken.organization_id == SQL("''"), name="api_tokens_unbound")
)
ApiToken.add_index(ApiToken.index(ApiToken.id, where=ApiToken.kind == SQL("'plt'"), name="api_tokens_platform"))


class ApiTokenSecret(Model):
    """A secret of a token, as its SHA-256: the present one, and for a while after a rotation the one before."""

    digest = TextField(primary_key=True)
    api_token_id = TextField()
    expire_time = BigIntegerField(null=True)

    class Meta:
        table_name = "api_token_secrets"
        constraints = [foreign_key("api_token_id", "api_tokens", "id", cascade=True)]


ApiTokenSecret.add_index(ApiTokenSecret.index(ApiTokenSecret.api_token_id, name="api_token_secrets_token"))
ApiTokenSecret.add_index(
    ApiTokenSecret.index(
        ApiTokenSecret.api_token_id, where=ApiTokenSecret.expire_time.is_null(False), name="api_token_secrets_ending"
    )
)


class ApiTokenExclusion(Model):
    """An organization that keeps a user's token out, though the token reaches their other organizations."""

    organization_id = TextField()
    api_token_id = TextField()

    class Meta:
        table_name = "api_token_exclusions"
        primary_key = CompositeKey("organization_id", "api_token_id")
        constraints = [
            foreign_key("organization_id", "organizations", "id"),
            foreign_key("api_token_id", "api_tokens", "id", cascade=True),
        ]


ApiTokenExclusion.add_index(ApiTokenExclusion.index(ApiTokenExclusion.api_token_id, name="api_token_exclusions_token"))
