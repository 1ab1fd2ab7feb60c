"""Organizations: their life and their settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

MASK = "******"
_ASTERISKS = re.compile(r"\*+")


class OrganizationState(StrEnum):
    """Where an organization is in its life."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A tenant. The experimental configuration is the one that may be shown: its secrets are masked."""

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


def masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it may be shown: values of `otel.headers` become asterisks."""
    headers = _headers(config)
    if headers is None:
        return dict(config)
    return {**config, "otel": {**config["otel"], "headers": dict.fromkeys(headers, MASK)}}


def unmasked(config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it is to be stored: a header value of asterisks keeps what is stored under its name."""
    headers, kept = _headers(config), _headers(stored) or {}
    if headers is None:
        return dict(config)
    merged = {
        name: kept.get(name, value) if isinstance(value, str) and _ASTERISKS.fullmatch(value) else value
        for name, value in headers.items()
    }
    return {**config, "otel": {**config["otel"], "headers": merged}}


def _headers(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    otel = config.get("otel")
    headers = otel.get("headers") if isinstance(otel, Mapping) else None
    return headers if isinstance(headers, Mapping) else None
