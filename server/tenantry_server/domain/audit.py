"""The audit trail: one event for each change."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from . import clock
from .principal import PrincipalKind
from .roles import Role

# A field, before and after: what JSON can hold.
Changes = dict[str, tuple[Any, Any]]

# What a record says of itself rather than of a change. Who grants what an invitation offers is the event's actor.
_BOOKKEEPING = frozenset(
    "id organization_id revision create_time update_time organization_name granter_user_id granter_token_id".split()
)
# What stands for itself; an enumeration's value is of another type.
_PLAIN = frozenset({str, int, bool, float})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One change of an organization."""

    organization_id: str
    revision: int
    time: datetime
    actor_kind: PrincipalKind
    actor_id: str
    credential_id: str
    action: str
    target_type: str
    target_id: str
    changes: Changes
    call_id: str


def changes(before: Any, after: Any) -> Changes:
    """The fields that differ between two records of one class; None stands for a record that is not there.

    What a record keeps out of its `repr` is a secret, and is kept out of here too.
    """
    some = after if after is not None else before
    kind: Any = type(some)
    result: Changes = {}
    for name in _told(kind):
        old, new = getattr(before, name, None), getattr(after, name, None)
        if old != new:
            result[name] = (_plain(old), _plain(new))
    return result


@cache
def _told(record: Any) -> tuple[str, ...]:
    """The names of the fields whose changes are told."""
    return tuple(field.name for field in fields(record) if field.repr and field.name not in _BOOKKEEPING)


def _plain(value: Any) -> Any:
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, Role):
        return value.id
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, datetime):
        return clock.isoformat(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return {field.name: _plain(item) for field in fields(value) if (item := getattr(value, field.name)) is not None}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
