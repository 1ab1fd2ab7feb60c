"""Whom a question is about: what names a subject becomes what it is looked up by, for callers who may name it."""

from typing import NamedTuple

from ..domain import ids
from ..domain.authorization import CHECK, UNKNOWN_CREDENTIAL, SubjectKey, SubjectKind, may_check_anybody
from ..domain.errors import PermissionMissing, PrincipalKindNotAllowed
from ..domain.principal import Principal, PrincipalKind
from .credentials import Credentials


class Subject(NamedTuple):
    """As a caller names it: by one of these, as sent."""

    user_id: str = ""
    api_token_id: str = ""
    credential: str = ""


class Named(NamedTuple):
    """A subject that the caller may name: by what it is looked up, whether it is the caller or their user, and whether it is
    the very credential that makes the call.
    """

    key: SubjectKey
    is_own: bool
    is_caller: bool


def resolve(principal: Principal, subject: Subject | None, credentials: Credentials | None) -> Named:
    """By what to look a subject up; None is the caller, through the credential that makes the call.

    Raises PermissionMissing for a platform principal that may not ask about others, PrincipalKindNotAllowed for others who
    name a token or a credential that is not their own, and IdentityProviderUnavailable.
    """
    if subject is None or (subject.api_token_id and _names_own_token(principal, subject.api_token_id)):
        return Named(own_key(principal), is_own=True, is_caller=True)
    if principal.kind is PrincipalKind.PLATFORM:
        if not may_check_anybody(principal):
            raise PermissionMissing(permissions=CHECK)
        return Named(_key(subject, credentials), is_own=False, is_caller=False)
    if not subject.user_id:
        raise PrincipalKindNotAllowed(principal_kind=principal.kind)
    key = _key(subject, credentials)
    is_own = key.parts == (principal.user_id,)
    return Named(key, is_own, is_own and key == own_key(principal))


def own_key(principal: Principal) -> SubjectKey:
    """By what the caller is looked up. Who has signed in is not narrowed, and so is their user; a certificate is no token."""
    if principal.signed_in:
        return SubjectKey(SubjectKind.USER, (principal.user_id,))
    return SubjectKey(SubjectKind.API_TOKEN, (principal.credential_id,))


def _names_own_token(principal: Principal, named: str) -> bool:
    return not principal.signed_in and ids.find(named) == principal.credential_id


def _key(subject: Subject, credentials: Credentials | None) -> SubjectKey:
    if subject.user_id:
        return SubjectKey(SubjectKind.USER, (ids.find_or_nil(subject.user_id),))
    if subject.api_token_id:
        return SubjectKey(SubjectKind.API_TOKEN, (ids.find_or_nil(subject.api_token_id),))
    return credentials.key(subject.credential) if credentials else UNKNOWN_CREDENTIAL
