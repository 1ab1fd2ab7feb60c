"""Configurations as the database keeps them, opened with the key of the tests."""

from __future__ import annotations

import json
from typing import Any

from tenantry_server.domain.organizations import SEALED
from tenantry_server.services.sealing import of_headers

from .deployment import LIMITS


def opened(text: str, organization_id: str) -> Any:
    """A kept configuration in clear; every secret in it is encrypted."""
    return of_headers(json.loads(text), lambda kept, name: _clear(kept, organization_id, name))


def _clear(kept: Any, organization_id: str, name: str) -> Any:
    assert kept.keys() == {SEALED}
    return json.loads(LIMITS.secret_keys.unseal(kept[SEALED], f"organization/{organization_id}/otel/{name}"))
