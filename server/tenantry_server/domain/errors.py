"""Everything that can be refused, as facts. Codes and statuses are the edges' business (`rpc/status.py`, `rest/*/errors.py`).

    TenantryError
    ├─ InvalidRequest                         fields that break a rule, all of them at once
    ├─ Unauthenticated                        MissingCredential  InvalidCredential
    ├─ PermissionDenied                       OrganizationNotAccessible  OrganizationSuspended  PermissionMissing
    │                                         PrincipalKindNotAllowed  GrantExceedsOwn  OwnAccess  OwnerProtected
    │                                         TokenOfPerson
    ├─ NotFound                               RoleNotFound  MemberNotFound  InvitationNotFound  UserNotFound
    │                                         ApiTokenNotFound  OtelConfigNotFound  RegionNotFound  QuotaNotFound
    │                                         LeaseNotFound  ResourceNotFound
    ├─ AlreadyExists                          AlreadyMember  InvitationPending  EmailTaken  IdentityTaken
    │                                         TokenNameTaken  RegionTaken  QuotaExists  ResourceTaken  ResourceTokenTaken
    ├─ FailedPrecondition                     LastOwner  PersonalOrganization  EmailNotVerified  InvitationExpired
    │                                         InvitationNotPending  InviterLostAuthority  RoleAssigned  SystemRole
    │                                         OrganizationNotDeleted  UndeleteWindowPassed  RequestIdReused  ListTooLong
    │                                         SuccessorMissing  UserDeleted  UserNotDeleted  TokenExpired
    │                                         HistoryNotRetained  OrganizationDeleted  SecretKeysMissing
    │                                         SecretUnreadable  RegionInUse  EndpointMissing  QuotasNotEnforced
    │                                         LastDefaultQuota  LeaseEnded  LeaseHoldsLess
    ├─ Aborted                                EtagMismatch  Conflict
    ├─ LimitExceeded
    ├─ QuotaExceeded
    ├─ RateLimited
    ├─ Overloaded
    ├─ Unavailable                            DatabaseUnavailable  OutcomeUnknown  IdentityProviderUnavailable
    │                                         RevisionNotReached
    └─ DeadlineExceeded

Those of regions, quotas and leases stand in `quota_errors.py`. A fact's reason is its class name in upper case; the public
list, with the metadata of each, is `proto/tenantry/v1/error_reason.proto`. What a message says beyond its fixed words is in the
metadata too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

# Whose the reasons are, for whoever gets reasons of several services (google.rpc.ErrorInfo).
DOMAIN = "tenantry"


class TenantryError(Exception):
    """A refusal that the caller may know about: `reason`, `message` and `metadata` are public."""

    reason: ClassVar[str]
    # What the caller sent is repeated up to here: an answer has to stay small.
    longest: ClassVar[int] = 200
    text: str = "{}"

    def __init_subclass__(cls) -> None:
        cls.reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(self, **metadata: str) -> None:
        self.metadata = {key: value[: self.longest] for key, value in metadata.items()}
        self.message = self.text.format(**self.metadata)
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule: its path in the request, what is wrong, and the rule's name."""

    field: str
    description: str
    rule: str


class InvalidRequest(TenantryError):
    """The request breaks rules of its fields."""

    text = "invalid request: {fields}"

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(replace(v, description=v.description[: self.longest]) for v in violations)
        super().__init__(fields=",".join(dict.fromkeys(v.field for v in self.violations)))

    @classmethod
    def of(cls, field: str, description: str, rule: str) -> "InvalidRequest":
        """One field that breaks one rule."""
        return cls([Violation(field, description, rule)])


class Unauthenticated(TenantryError):
    """It is not known who calls."""


class MissingCredential(Unauthenticated):
    text = "a bearer credential is required"


class InvalidCredential(Unauthenticated):
    text = "the credential is not valid"


class PermissionDenied(TenantryError):
    """The caller may not do this."""


class OrganizationNotAccessible(PermissionDenied):
    text = "no access to organization {organization_id}, or it does not exist"


class OrganizationSuspended(PermissionDenied):
    text = "organization {organization_id} is suspended"

    def __init__(self, *, organization_id: str, suspension_reason: str = "") -> None:
        said = {"suspension_reason": suspension_reason} if suspension_reason else {}  # only for who belongs to it
        self.text += ": {suspension_reason}" if said else ""
        super().__init__(organization_id=organization_id, **said)


class PermissionMissing(PermissionDenied):
    longest = 4000
    text = "permission missing: {permissions}"


class PrincipalKindNotAllowed(PermissionDenied):
    text = "this call cannot be made with a credential of kind {principal_kind}"


class GrantExceedsOwn(PermissionDenied):
    longest = 4000
    text = "nobody grants what they do not hold: {permissions}"


class OwnAccess(PermissionDenied):
    text = "nobody changes their own access"


class OwnerProtected(PermissionDenied):
    text = "only owners change or remove the owner {user_id}"


class TokenOfPerson(PermissionDenied):
    text = "token {api_token_id} acts for a person, who alone changes and rotates it"


class NotFound(TenantryError):
    """There is no such thing, as far as the caller may know."""

    kind: ClassVar[str]
    key: ClassVar[str]

    @property
    def identifier(self) -> str:
        """What was looked for, as sent."""
        return self.metadata[self.key]


class RoleNotFound(NotFound):
    text, kind, key = "role {role_id} not found", "role", "role_id"


class MemberNotFound(NotFound):
    text, kind, key = "member {user_id} not found", "member", "user_id"


class InvitationNotFound(NotFound):
    text, kind, key = "invitation {invitation_id} not found", "invitation", "invitation_id"


class UserNotFound(NotFound):
    text, kind, key = "user {user} not found", "user", "user"


class ApiTokenNotFound(NotFound):
    text, kind, key = "API token {api_token_id} not found", "api_token", "api_token_id"


class OtelConfigNotFound(NotFound):
    text, kind, key = "organization {organization_id} has no OpenTelemetry configuration", "otel_config", "organization_id"


class AlreadyExists(TenantryError):
    """There is one already."""


class AlreadyMember(AlreadyExists):
    text = "already a member"


class InvitationPending(AlreadyExists):
    text = "an invitation of {email} is pending"


class EmailTaken(AlreadyExists):
    text = "a user with the verified address {email} exists"


class IdentityTaken(AlreadyExists):
    text = "the identity {subject} of {issuer} belongs to a user already"


class TokenNameTaken(AlreadyExists):
    text = "there is a token named {name} already"


class FailedPrecondition(TenantryError):
    """The state of things does not allow it."""


class LastOwner(FailedPrecondition):
    text = "organization {organization_id} must keep an owner"


class PersonalOrganization(FailedPrecondition):
    text = "organization {organization_id} is personal: it has one member and cannot be left, shared or deleted"


class EmailNotVerified(FailedPrecondition):
    text = "the caller's e-mail address is not verified"


class InvitationExpired(FailedPrecondition):
    text = "invitation {invitation_id} expired at {expire_time}"


class InvitationNotPending(FailedPrecondition):
    text = "invitation {invitation_id} is {state}"


class InviterLostAuthority(FailedPrecondition):
    text = "who made invitation {invitation_id} could not make it any more"


class RoleAssigned(FailedPrecondition):
    text = "role {role_id} is assigned to {members} members and {invitations} pending invitations"


class SystemRole(FailedPrecondition):
    text = "role {role_id} is a system role"


class OrganizationNotDeleted(FailedPrecondition):
    text = "organization {organization_id} is not deleted"


class UndeleteWindowPassed(FailedPrecondition):
    text = "organization {organization_id} could be undeleted until {purge_time}"


class RequestIdReused(FailedPrecondition):
    text = "request id {request_id} was used for another request"


class ListTooLong(FailedPrecondition):
    text = "more than {limit} items: read them by pages, over gRPC"


class SuccessorMissing(FailedPrecondition):
    longest = 4000
    text = "the user alone owns organizations for which no successor is named"  # the metadata alone has them: they are long


class UserDeleted(FailedPrecondition):
    text = "user {user_id} is deleted"


class UserNotDeleted(FailedPrecondition):
    text = "user {user_id} must be deleted first"


class TokenExpired(FailedPrecondition):
    text = "API token {api_token_id} expired at {expire_time}"


class HistoryNotRetained(FailedPrecondition):
    text = "the audit trail of organization {organization_id} cannot tell revision {revision}"


class OrganizationDeleted(FailedPrecondition):
    text = "organization {organization_id} is deleted"


class SecretKeysMissing(FailedPrecondition):
    text = "no secrets are taken here: the operator has set no key to encrypt them with"


class SecretUnreadable(FailedPrecondition):
    text = "a secret was encrypted with key {key}, which is not there any more"


class Aborted(TenantryError):
    """Something else came between."""


class EtagMismatch(Aborted):
    text = "it changed since etag {etag} was read"


class Conflict(Aborted):
    text = "other changes of the organization came between; safe to repeat"


class LimitExceeded(TenantryError):
    """A limit is reached."""

    text = "limit reached: at most {maximum} {limit}"


class RateLimited(TenantryError):
    """Too many calls; it may go on in a while."""

    text = "at most {maximum} calls in {window} seconds: try again in {retry_after} seconds"

    @property
    def seconds(self) -> int:
        """Until when to wait."""
        return int(self.metadata["retry_after"])


class Overloaded(TenantryError):
    """More calls than the server can take."""

    text = "the server is busy; safe to repeat"


class Unavailable(TenantryError):
    """The service cannot answer now."""


class DatabaseUnavailable(Unavailable):
    text = "the database cannot be reached; nothing was changed"


class OutcomeUnknown(Unavailable):
    text = "the connection was lost during the commit: the change may have happened"


class IdentityProviderUnavailable(Unavailable):
    text = "the keys of identity provider {issuer} cannot be had now; safe to repeat"


class RevisionNotReached(Unavailable):
    text = "the organization is known here up to revision {revision}, not {at_least_revision}; safe to repeat"


class DeadlineExceeded(TenantryError):
    """The call's time is up."""

    text = "the deadline passed; nothing was changed"


def facts(of: type[TenantryError] = TenantryError) -> list[type[TenantryError]]:
    """Every class that is raised: the leaves of the tree."""
    children = of.__subclasses__()
    return [leaf for child in children for leaf in facts(child)] if children else [of]
