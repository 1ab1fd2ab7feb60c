"""What Envoy asks about a request, and what it is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .rpc import Client

CHECK = "envoy.service.auth.v3.Authorization.Check"
BY_PATH = "path:/v1/organizations/{organization}/**"
# What a request is told to come from.
KIND, PRINCIPAL, USER = "x-tenantry-principal-kind", "x-tenantry-principal-id", "x-tenantry-user-id"
CREDENTIAL, ORGANIZATION = "x-tenantry-credential-id", "x-tenantry-organization-id"
PERMISSIONS, REVISION = "x-tenantry-permissions", "x-tenantry-revision"
TOLD = {KIND, PRINCIPAL, USER, CREDENTIAL, ORGANIZATION, PERMISSIONS, REVISION}


@dataclass(frozen=True)
class Ruling:
    """An answer: for a request that passes, the headers that are set and those that are taken out; else the refusal."""

    passes: bool
    headers: dict[str, str]
    removed: frozenset[str] = frozenset()
    status: int = 200
    text: str = ""

    @property
    def body(self) -> Any:
        """The JSON of a refusal."""
        return json.loads(self.text)


def ask(
    client: Client,
    token: str,
    path: str = "/",
    *,
    headers: Any = None,
    host: str = "api.example.com",
    **extensions: str,
) -> Ruling:
    """What becomes of a request on a route with these context extensions."""
    sent = {"authorization": f"Bearer {token}"} if token else {}
    http = {"method": "GET", "path": path, "host": host, "headers": sent | (headers or {})}
    answer = client(CHECK, attributes={"request": {"http": http}, "context_extensions": extensions})
    if answer.WhichOneof("http_response") == "ok_response":
        assert answer.status.code == 0
        passed = answer.ok_response
        assert all(option.append_action == 2 for option in passed.headers)  # the value replaces what the client sent
        return Ruling(True, _read(passed.headers), frozenset(passed.headers_to_remove))
    assert answer.status.code != 0
    denied = answer.denied_response
    return Ruling(False, _read(denied.headers), status=denied.status.code, text=denied.body)


def demand(client: Client, token: str, organization_id: str, permission: str, **more: Any) -> Ruling:
    """What becomes of a request for an organization's things."""
    path = f"/v1/organizations/{organization_id}/sandboxes"
    return ask(client, token, path, permission=permission, organization=BY_PATH, **more)


def _read(options: Any) -> dict[str, str]:
    names = [option.header.key for option in options]
    assert len(set(names)) == len(names)
    return {option.header.key: option.header.value for option in options}
