"""API tokens made over the API: their message, their secret and a client that uses it; and how calls about them are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from .interleave import outcome
from .raw import connect
from .rpc import Client, Refused
from .world import World, fresh

Code = grpc.StatusCode
Seen = tuple[grpc.StatusCode, str, dict[str, str]]

OURS, MINE, PLATFORM = "ApiTokenService.{}ApiToken", "ApiTokenService.{}MyApiToken", "PlatformTokenService.{}PlatformToken"
CURRENT = "ApiTokenService.GetCurrentApiToken"
INVALID_CREDENTIAL: Seen = (Code.UNAUTHENTICATED, "INVALID_CREDENTIAL", {})


@dataclass
class Made:
    """A token that was made: its message, its secret, and a client that uses it."""

    token: Any
    secret: str
    rpc: Client

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.token.id)


def ours(world: World, maker: Client, organization: Any, *permissions: str, **more: Any) -> Made:
    """A token that an organization owns; without permissions one that narrows nothing."""
    return _made(world, maker, OURS, permissions, organization_id=organization.id, **more)


def mine(world: World, maker: Client, *permissions: str, bound_to: Any = None, **more: Any) -> Made:
    """A token of whoever makes it; without permissions one that narrows nothing."""
    bound = {} if bound_to is None else {"organization_id": bound_to.id}
    return _made(world, maker, MINE, permissions, **bound, **more)


def platforms(world: World, maker: Client, *permissions: str, **more: Any) -> Made:
    """A token of the platform; without permissions one that narrows nothing."""
    return _made(world, maker, PLATFORM, permissions, **more)


def _made(world: World, maker: Client, service: str, permissions: Sequence[str], **fields: Any) -> Made:
    wanted = {"name": fresh("token "), "unrestricted": not permissions, "permissions": permissions, **fields}
    answer = maker(service.format("Create"), **wanted)
    return Made(answer.api_token, answer.secret, world.client(answer.secret))


def own_id(client: Client) -> str:
    """The id of the token that a client uses."""
    return str(client(CURRENT).api_token.id)


def is_good(client: Client) -> bool:
    """Whether a client's token is accepted."""
    answer = outcome(lambda: client(CURRENT))
    assert not isinstance(answer, Refused) or answer.seen == INVALID_CREDENTIAL
    return not isinstance(answer, Refused)


def corrupt(world: World, token_id: str, column: str, value: Any) -> None:
    """Changes a token behind the API's back."""
    with connect(world.deployment.url) as connection:
        connection.execute(f"UPDATE api_tokens SET {column} = ? WHERE id = ?", (value, token_id))


def missing(*permissions: str) -> Seen:
    """The caller lacks permissions."""
    return Code.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": ",".join(permissions)}


def beyond(*permissions: str) -> Seen:
    """The change would grant what the caller does not hold."""
    return Code.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": ",".join(permissions)}


def unknown(token_id: str) -> Seen:
    """There is no such token."""
    return Code.NOT_FOUND, "API_TOKEN_NOT_FOUND", {"api_token_id": token_id}


def inaccessible(organization_id: str) -> Seen:
    """There is no such organization, or the caller has nothing to do with it."""
    return Code.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": organization_id}


def invalid(*fields: str) -> Seen:
    """The request breaks rules of its fields."""
    return Code.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": ",".join(fields)}
