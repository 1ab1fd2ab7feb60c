"""Where organizations export their telemetry to. Header values are secrets: sealed at rest, masked in every answer but one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..domain.audit import changes as differences
from ..domain.call import Call
from ..domain.errors import InvalidRequest, OtelConfigNotFound
from ..domain.etags import etag
from ..domain.organizations import Organization, is_mask, is_sealed, masked_otel
from ..domain.quota_errors import ResourceNotFound
from ..domain.tokens import digest_of_others
from ..store.change import Change
from ..store.queries import organizations as statements
from ..store.queries import quotas as quota_statements
from .operated import find_operated
from .sealing import Sealing
from .service import Service, changes

_MAX_CONFIG = 16 * 1024


@dataclass(frozen=True, slots=True)
class OtelConfig:
    """In clear: for who exports telemetry, and for nobody else."""

    endpoint: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"OtelConfig(endpoint={self.endpoint!r})"


class Telemetry(Service):
    """Use cases of the OpenTelemetry configuration."""

    @changes
    def set(self, change: Change, *, endpoint: str, headers: Mapping[str, str]) -> Organization:
        """Replaces the configuration; a header value of asterisks keeps what is stored under its name.

        Raises InvalidRequest or SecretKeysMissing.
        """
        if len(json.dumps({"endpoint": endpoint, "headers": dict(headers)})) > _MAX_CONFIG:
            raise InvalidRequest.of("otel_config", "must have at most 16 KiB as JSON", "CONFIG_SIZE")
        before, stored = _changing(change), _stored(change)
        known, sealing = stored.get("headers", {}), Sealing(self.limits.secret_keys, before.id)
        sealed = {
            name: known[name] if is_mask(value) and name in known else sealing.seal(value, name)
            for name, value in headers.items()
        }
        return self._keep(change, before, "organization.set_otel_config", {"endpoint": endpoint, "headers": sealed})

    @changes
    def delete(self, change: Change) -> Organization:
        """Ends the export. Without a configuration there is nothing to do, and that is told too."""
        return self._keep(change, _changing(change), "organization.delete_otel_config", None)

    def find(self, call: Call, *, resource_type: str, resource_token: str) -> OtelConfig:
        """The configuration in clear, for the resource that a token is of. Raises like `get`, and ResourceNotFound, without the
        token.
        """
        slots = {"resource_type": resource_type, "digest": digest_of_others(resource_token)}
        organization_id = self.database.row(quota_statements.OF_TOKEN, **slots)
        if organization_id is None:
            raise ResourceNotFound(resource=resource_type)
        return self.get(call, organization_id=organization_id)

    def get(self, call: Call, *, organization_id: str) -> OtelConfig:
        """The configuration in clear: the organization's own or, where it has none, what its experimental configuration has
        under `otel`. Raises OrganizationNotAccessible, OrganizationDeleted, OtelConfigNotFound or SecretUnreadable.
        """
        known = find_operated(self.store, organization_id).id
        own = self.database.one(statements.OTEL_CONFIG, organization_id=known)
        kept = (
            json.loads(own) if own else _experimental(self.database.one(statements.EXPERIMENTAL_CONFIG, organization_id=known))
        )
        if kept is None:
            raise OtelConfigNotFound(organization_id=organization_id)
        unseal = Sealing(self.limits.secret_keys, known).unseal
        return OtelConfig(kept["endpoint"], {name: unseal(value, name) for name, value in kept["headers"].items()})

    def _keep(self, change: Change, before: Organization, action: str, kept: Mapping[str, Any] | None) -> Organization:
        after = replace(before, otel_config=None if kept is None else masked_otel(kept))
        text = "" if kept is None else json.dumps(kept, separators=(",", ":"))
        told = differences(before, after)
        if text and kept != _stored(change):  # also when only a secret changed, which both sides then show masked
            told["otel_config"] = (before.otel_config, after.otel_config)
        change.database.later(statements.SET_OTEL, organization_id=after.id, otel_config=text)
        change.record(action, "organization", after.id, told)
        return after


def _changing(change: Change) -> Organization:
    change.ensure_etag(etag(change.organization.revision - 1))
    return change.organization


def _stored(change: Change) -> dict[str, Any]:
    text = change.database.one(statements.OTEL_CONFIG, organization_id=change.organization.id)
    return json.loads(text) if text else {}


def _experimental(text: str) -> dict[str, Any] | None:
    """What an experimental configuration says of telemetry, if it says enough."""
    otel = json.loads(text).get("otel")
    if not isinstance(otel, dict) or not isinstance(otel.get("endpoint"), str) or not otel["endpoint"]:
        return None
    headers = otel.get("headers") or {}
    is_mapping = isinstance(headers, dict) and not is_sealed(headers)
    return {"endpoint": otel["endpoint"], "headers": headers} if is_mapping else None
