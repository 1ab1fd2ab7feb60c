"""How values are kept: instants as milliseconds since 1970 (UTC), sets of permissions as words."""

from datetime import datetime, timedelta
from functools import lru_cache

from ..domain.clock import EPOCH
from ..domain.organizations import OrganizationState
from ..domain.principal import PrincipalKind
from ..domain.roles import MemberRole
from ..domain.tokens import TokenKind

_MILLISECOND = timedelta(milliseconds=1)

# A look-up each, where an enumeration's own would call several functions.
ORGANIZATION_STATES = {state.value: state for state in OrganizationState}
MEMBER_ROLES = {role.value: role for role in MemberRole}
_KINDS = {TokenKind.ORGANIZATION.value: PrincipalKind.ORGANIZATION, TokenKind.PLATFORM.value: PrincipalKind.PLATFORM}


def principal_kind(token_kind: str | None, bound_to: str | None) -> PrincipalKind:
    """Who a kept credential stands for: an identity has no kind of token, and stands for its user."""
    person = PrincipalKind.USER_IN_ORGANIZATION if bound_to else PrincipalKind.USER
    return _KINDS.get(token_kind or "", person)


def milliseconds(instant: datetime) -> int:
    """An instant as it is kept."""
    return (instant - EPOCH) // _MILLISECOND


def instant(kept: int) -> datetime:
    """A kept instant."""
    return EPOCH + timedelta(milliseconds=kept)


def instant_or_none(kept: int | None) -> datetime | None:
    """A kept instant, or none."""
    return None if kept is None else instant(kept)


@lru_cache(maxsize=65536)
def words(kept: str) -> tuple[str, ...]:
    """Kept words. What is cached is keyed by its content, so it is never stale."""
    return tuple(kept.split())
