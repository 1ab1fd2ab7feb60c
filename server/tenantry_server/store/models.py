"""The tables. Instants are milliseconds since 1970 (UTC), ids are ULID text, lists and mappings are JSON or words.

Every table of an organization has a primary key that begins with organization_id, and composite foreign keys: a row of one
organization cannot point at another's. What must be unique over all organizations stands in a table of its own, so the
same schema can be distributed by organization. The migrations are the truth; a test holds these models against them.
"""

from peewee import (
    SQL,
    BigIntegerField,
    BooleanField,
    Check,
    CompositeKey,
    Model,
    TextField,
)


def _foreign_key(columns: str, table: str, target: str, *, cascade: bool = False) -> SQL:
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
    state = TextField()
    delete_time = BigIntegerField(null=True)

    class Meta:
        table_name = "users"
        constraints = [Check("state IN ('active', 'deleted', 'erased')")]


User.add_index(User.index(User.email, User.email_verified, name="users_email"))
User.add_index(User.index(User.email, unique=True, where=User.email_verified == SQL("true"), name="users_verified_email"))


class Identity(Model):
    """How an identity provider knows a user."""

    issuer = TextField()
    subject = TextField()
    id = TextField()
    user_id = TextField()
    create_time = BigIntegerField()

    class Meta:
        table_name = "identities"
        primary_key = CompositeKey("issuer", "subject")
        constraints = [_foreign_key("user_id", "users", "id")]


Identity.add_index(Identity.index(Identity.id, unique=True, name="identities_id"))
Identity.add_index(Identity.index(Identity.user_id, name="identities_user"))


class Organization(Model):
    """A tenant. The revision counts its changes; bumping it is the lock that every change takes first."""

    id = TextField(primary_key=True)
    name = TextField()
    slug = TextField()
    personal = BooleanField()
    state = TextField()
    creator_user_id = TextField()
    default_region_id = TextField()
    limited_network_egress = BooleanField()
    experimental_config = TextField()
    revision = BigIntegerField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()
    delete_time = BigIntegerField(null=True)
    purge_time = BigIntegerField(null=True)

    class Meta:
        table_name = "organizations"
        constraints = [Check("state IN ('active', 'suspended', 'deleted')"), Check("NOT (personal AND state = 'deleted')")]


Organization.add_index(Organization.index(Organization.creator_user_id, name="organizations_creator"))


class OrganizationSlug(Model):
    """Which organization has a slug. A deleted organization keeps its own."""

    slug = TextField(primary_key=True)
    organization_id = TextField()

    class Meta:
        table_name = "organization_slugs"


class PersonalOrganization(Model):
    """Which organization is a user's personal one."""

    user_id = TextField(primary_key=True)
    organization_id = TextField()

    class Meta:
        table_name = "personal_organizations"


class Role(Model):
    """A role of an organization. System roles are not here: they are the catalog's. Permissions are words."""

    organization_id = TextField()
    id = TextField()
    name = TextField()
    description = TextField()
    permissions = TextField()
    revision = BigIntegerField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()

    class Meta:
        table_name = "roles"
        primary_key = CompositeKey("organization_id", "id")
        constraints = [_foreign_key("organization_id", "organizations", "id")]


class Membership(Model):
    """A user in an organization."""

    organization_id = TextField()
    user_id = TextField()
    role = TextField()
    revision = BigIntegerField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()

    class Meta:
        table_name = "memberships"
        primary_key = CompositeKey("organization_id", "user_id")
        constraints = [
            _foreign_key("organization_id", "organizations", "id"),
            Check("role IN ('owner', 'member')"),
        ]


Membership.add_index(Membership.index(Membership.user_id, Membership.organization_id, name="memberships_user"))
Membership.add_index(
    Membership.index(Membership.organization_id, where=Membership.role == SQL("'owner'"), name="memberships_owner")
)


class MembershipRole(Model):
    """A role assigned to a member: a system role, or one of the organization's own, which custom_role_id then repeats so
    that the database holds it to the organization.
    """

    organization_id = TextField()
    user_id = TextField()
    role_id = TextField()
    custom_role_id = TextField(null=True)

    class Meta:
        table_name = "membership_roles"
        primary_key = CompositeKey("organization_id", "user_id", "role_id")
        constraints = [
            _foreign_key("organization_id, user_id", "memberships", "organization_id, user_id", cascade=True),
            _foreign_key("organization_id, custom_role_id", "roles", "organization_id, id"),
            Check("custom_role_id IS NULL OR custom_role_id = role_id"),
        ]


MembershipRole.add_index(
    MembershipRole.index(
        MembershipRole.organization_id, MembershipRole.custom_role_id, MembershipRole.user_id, name="membership_roles_role"
    )
)


class Invitation(Model):
    """An invitation. The partial unique index keeps an address to one pending invitation in an organization."""

    organization_id = TextField()
    id = TextField()
    email = TextField()
    state = TextField()
    role = TextField()
    inviter_email = TextField()
    granter_user_id = TextField()
    granter_token_id = TextField()
    expire_time = BigIntegerField()
    revision = BigIntegerField()
    create_time = BigIntegerField()
    update_time = BigIntegerField()

    class Meta:
        table_name = "invitations"
        primary_key = CompositeKey("organization_id", "id")
        constraints = [
            _foreign_key("organization_id", "organizations", "id"),
            Check("state IN ('pending', 'accepted', 'declined', 'cancelled', 'expired')"),
            Check("role IN ('owner', 'member')"),
        ]


Invitation.add_index(
    Invitation.index(
        Invitation.organization_id,
        Invitation.email,
        unique=True,
        where=Invitation.state == SQL("'pending'"),
        name="invitations_pending",
    )
)
Invitation.add_index(Invitation.index(Invitation.email, Invitation.id, name="invitations_email"))
Invitation.add_index(Invitation.index(Invitation.organization_id, Invitation.state, Invitation.id, name="invitations_state"))
Invitation.add_index(
    Invitation.index(
        Invitation.organization_id,
        Invitation.expire_time,
        where=Invitation.state == SQL("'pending'"),
        name="invitations_open",
    )
)


class InvitationRole(Model):
    """A role that an invitation offers; see MembershipRole."""

    organization_id = TextField()
    invitation_id = TextField()
    role_id = TextField()
    custom_role_id = TextField(null=True)

    class Meta:
        table_name = "invitation_roles"
        primary_key = CompositeKey("organization_id", "invitation_id", "role_id")
        constraints = [
            _foreign_key("organization_id, invitation_id", "invitations", "organization_id, id", cascade=True),
            _foreign_key("organization_id, custom_role_id", "roles", "organization_id, id"),
            Check("custom_role_id IS NULL OR custom_role_id = role_id"),
        ]


InvitationRole.add_index(
    InvitationRole.index(
        InvitationRole.organization_id,
        InvitationRole.custom_role_id,
        InvitationRole.invitation_id,
        name="invitation_roles_role",
    )
)


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


class ApiTokenSecret(Model):
    """A secret of a token, as its SHA-256: the present one, and for a while after a rotation the one before."""

    digest = TextField(primary_key=True)
    api_token_id = TextField()
    expire_time = BigIntegerField(null=True)

    class Meta:
        table_name = "api_token_secrets"
        constraints = [_foreign_key("api_token_id", "api_tokens", "id", cascade=True)]


ApiTokenSecret.add_index(ApiTokenSecret.index(ApiTokenSecret.api_token_id, name="api_token_secrets_token"))


class ApiTokenExclusion(Model):
    """An organization that keeps a user's token out, though the token reaches their other organizations."""

    organization_id = TextField()
    api_token_id = TextField()

    class Meta:
        table_name = "api_token_exclusions"
        primary_key = CompositeKey("organization_id", "api_token_id")
        constraints = [
            _foreign_key("organization_id", "organizations", "id"),
            _foreign_key("api_token_id", "api_tokens", "id", cascade=True),
        ]


ApiTokenExclusion.add_index(ApiTokenExclusion.index(ApiTokenExclusion.api_token_id, name="api_token_exclusions_token"))


class AuditEvent(Model):
    """One change of an organization; of the platform, where organization_id is empty. Changes: {field: [before, after]}."""

    organization_id = TextField()
    revision = BigIntegerField()
    time = BigIntegerField()
    actor_kind = TextField()
    actor_id = TextField()
    credential_id = TextField()
    action = TextField()
    target_type = TextField()
    target_id = TextField()
    changes = TextField()
    call_id = TextField()

    class Meta:
        table_name = "audit_events"
        primary_key = CompositeKey("organization_id", "revision")


class Platform(Model):
    """What is nobody's tenant has one row: its revision counts the changes, and bumping it is the lock."""

    id = TextField(primary_key=True)
    revision = BigIntegerField()

    class Meta:
        table_name = "platform"


class RequestRecord(Model):
    """A change that was asked for under a request id, and its first answer, kept to be given again."""

    principal_id = TextField()
    request_id = TextField()
    fingerprint = TextField()
    answer = TextField()
    create_time = BigIntegerField()

    class Meta:
        table_name = "request_records"
        primary_key = CompositeKey("principal_id", "request_id")


RequestRecord.add_index(RequestRecord.index(RequestRecord.create_time, name="request_records_time"))


class ServerKey(Model):
    """A key that all processes share: 32 random bytes in hexadecimal."""

    purpose = TextField(primary_key=True)
    secret = TextField()

    class Meta:
        table_name = "server_keys"


TABLES = (
    User,
    Identity,
    Organization,
    OrganizationSlug,
    PersonalOrganization,
    Role,
    Membership,
    MembershipRole,
    Invitation,
    InvitationRole,
    ApiToken,
    ApiTokenSecret,
    ApiTokenExclusion,
    AuditEvent,
    Platform,
    RequestRecord,
    ServerKey,
)
