"""Organizations: their life and their settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from .rates import OrganizationLimits
from .record import record

# As the domain has it, or in milliseconds, as it is kept.
Instant = TypeVar("Instant", datetime, int)

MASK = "******"
# The name under which a configuration keeps an encrypted value.
SEALED = "$sealed"
_ASTERISKS = re.compile(r"\*+")


class OrganizationState(StrEnum):
    """Where an organization is in its life."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


# Hours after a suspension until resources are cleaned up, where nothing else was said.
CLEANUP_GRACE_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """Since when an organization is suspended, why, and until when; without an end, until an operator ends it."""

    time: datetime
    reason: str = ""
    until: datetime | None = None


def is_over(until: Instant | None, now: Instant) -> bool:
    """Whether a suspension has ended by itself: its time has come. One without an end is never over."""
    return until is not None and until <= now


@record
class Organization:
    """A tenant. Configurations are as they may be shown: their secrets are masked. `limits` were set for this one alone, and so
    were `quotas`, by metric, where they are others than the catalog's.
    """

    id: str
    name: str
    slug: str
    personal: bool
    state: OrganizationState
    creator_user_id: str
    default_region_id: str
    limited_network_egress: bool
    experimental_config: Mapping[str, Any]
    revision: int
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None = None
    purge_time: datetime | None = None
    suspension: Suspension | None = None
    cleanup_grace_hours: int | None = None
    limits: OrganizationLimits | None = None
    otel_config: Mapping[str, Any] | None = None
    quotas: Mapping[str, int] = field(default_factory=dict)

    @property
    def suspension_reason(self) -> str:
        """Why it is suspended; empty when it is not, or when nothing was said."""
        return self.suspension.reason if self.suspension else ""

    def as_of(self, now: datetime) -> "Organization":
        """The organization at an instant."""
        if self.suspension is None or not is_over(self.suspension.until, now):
            return self
        return replace(self, state=OrganizationState.ACTIVE, suspension=None)


def masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it may be shown: values of `otel.headers` become asterisks; headers that are no mapping, all."""
    if not has_headers(config):
        return dict(config)
    headers = config["otel"]["headers"]
    shown = dict.fromkeys(headers, MASK) if isinstance(headers, Mapping) and not is_sealed(headers) else MASK
    return {**config, "otel": {**config["otel"], "headers": shown}}


def masked_otel(config: Mapping[str, Any]) -> dict[str, Any]:
    """Where telemetry is exported to, as it may be shown."""
    return {"endpoint": config["endpoint"], "headers": dict.fromkeys(config["headers"], MASK)}


def unmasked(config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it is to be stored: a header value of asterisks keeps what is stored under its name."""
    if not has_headers(config):
        return dict(config)
    headers = config["otel"]["headers"]
    kept = stored["otel"]["headers"] if has_headers(stored) else headers
    if isinstance(headers, Mapping):
        known = kept if isinstance(kept, Mapping) else {}
        merged: Any = {name: known.get(name, value) if is_mask(value) else value for name, value in headers.items()}
    else:
        merged = kept if is_mask(headers) else headers
    return {**config, "otel": {**config["otel"], "headers": merged}}


def is_sealed(kept: Any) -> bool:
    """Whether a kept value is an encrypted one."""
    return isinstance(kept, Mapping) and kept.keys() == {SEALED} and isinstance(kept[SEALED], str)


def has_headers(config: Mapping[str, Any]) -> bool:
    """Whether a configuration has what holds secrets."""
    otel = config.get("otel")
    return isinstance(otel, Mapping) and "headers" in otel


def is_mask(value: Any) -> bool:
    """Whether a value stands for one that is not shown."""
    return isinstance(value, str) and _ASTERISKS.fullmatch(value) is not None
