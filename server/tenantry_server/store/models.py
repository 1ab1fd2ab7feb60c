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

from . import usage
from .people import ApiToken, ApiTokenExclusion, ApiTokenSecret, Identity, User, foreign_key


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
    suspend_time = BigIntegerField(null=True)
    suspend_until = BigIntegerField(null=True)
    suspension_reason = TextField(constraints=[SQL("DEFAULT ''")])
    cleanup_grace_hours = BigIntegerField(null=True)
    limits = TextField(constraints=[SQL("DEFAULT ''")])
    otel_config = TextField(constraints=[SQL("DEFAULT ''")])
    quotas = TextField(constraints=[usage.NO_QUOTAS])

    class Meta:
        table_name = "organizations"
        constraints = [Check("state IN ('active', 'suspended', 'deleted')"), Check("NOT (personal AND state = 'deleted')")]


Organization.add_index(Organization.index(Organization.creator_user_id, name="organizations_creator"))
Organization.add_index(
    Organization.index(
        Organization.default_region_id, where=Organization.default_region_id != SQL("''"), name="organizations_default_region"
    )
)
Organization.add_index(
    Organization.index(Organization.purge_time, where=Organization.state == SQL("'deleted'"), name="organizations_purge")
)


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
        constraints = [foreign_key("organization_id", "organizations", "id")]


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
            foreign_key("organization_id", "organizations", "id"),
            Check("role IN ('owner', 'member')"),
        ]


Membership.add_index(Membership.index(Membership.user_id, Membership.organization_id, name="memberships_user"))
Membership.add_index(
    Membership.index(
        *(Membership.organization_id, Membership.role, Membership.user_id),
        where=Membership.role == SQL("'owner'"),
        name="memberships_owner",
    )
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
            foreign_key("organization_id, user_id", "memberships", "organization_id, user_id", cascade=True),
            foreign_key("organization_id, custom_role_id", "roles", "organization_id, id"),
            Check("custom_role_id IS NULL OR custom_role_id = role_id"),
        ]


MembershipRole.add_index(
    MembershipRole.index(
        MembershipRole.organization_id, MembershipRole.custom_role_id, MembershipRole.user_id, name="membership_roles_role"
    )
)
MembershipRole.add_index(
    MembershipRole.index(
        MembershipRole.organization_id,
        MembershipRole.role_id,
        MembershipRole.user_id,
        where=MembershipRole.custom_role_id.is_null(),
        name="membership_roles_system",
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
            foreign_key("organization_id", "organizations", "id"),
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
            foreign_key("organization_id, invitation_id", "invitations", "organization_id, id", cascade=True),
            foreign_key("organization_id, custom_role_id", "roles", "organization_id, id"),
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


class MeteredUsage(Model):
    """How much an organization used of a metric in a month. Written in batches, and no change of the organization."""

    organization_id = TextField()
    month = TextField()
    metric = TextField()
    amount = BigIntegerField()

    class Meta:
        table_name = "metered_usage"
        primary_key = CompositeKey("organization_id", "month", "metric")
        constraints = [foreign_key("organization_id", "organizations", "id")]


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


class Lease(Model):
    """Which process does what one alone should do, and until when."""

    name = TextField(primary_key=True)
    holder = TextField()
    expire_time = BigIntegerField()

    class Meta:
        table_name = "leases"


# What is pointed at stands before what points at it.
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
    MeteredUsage,
    RequestRecord,
    ServerKey,
    Lease,
    *usage.TABLES,
)
