"""Organizations: their life and their settings."""

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .record import record

MASK = "******"
_ASTERISKS = re.compile(r"\*+")


class OrganizationState(StrEnum):
    """Where an organization is in its life."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@record
class Organization:
    """A tenant. The experimental configuration is the one that may be shown: its secrets are masked. `quotas` are the limits,
    by metric, that are others than the catalog's.
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
    quotas: Mapping[str, int] = field(default_factory=dict)


def masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it may be shown: values of `otel.headers` become asterisks; headers that are no mapping, all."""
    if not _has_headers(config):
        return dict(config)
    headers = config["otel"]["headers"]
    shown = dict.fromkeys(headers, MASK) if isinstance(headers, Mapping) else MASK
    return {**config, "otel": {**config["otel"], "headers": shown}}


def unmasked(config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it is to be stored: a header value of asterisks keeps what is stored under its name."""
    if not _has_headers(config):
        return dict(config)
    headers = config["otel"]["headers"]
    kept = stored["otel"]["headers"] if _has_headers(stored) else headers
    if isinstance(headers, Mapping):
        known = kept if isinstance(kept, Mapping) else {}
        merged: Any = {name: known.get(name, value) if _is_mask(value) else value for name, value in headers.items()}
    else:
        merged = kept if _is_mask(headers) else headers
    return {**config, "otel": {**config["otel"], "headers": merged}}


def _has_headers(config: Mapping[str, Any]) -> bool:
    otel = config.get("otel")
    return isinstance(otel, Mapping) and "headers" in otel


def _is_mask(value: Any) -> bool:
    return isinstance(value, str) and _ASTERISKS.fullmatch(value) is not None
