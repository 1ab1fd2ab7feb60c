"""Operators: whom the platform's methods are for."""

from __future__ import annotations

from typing import Any

from tenantry_server.domain import call as calls

from .rpc import Client
from .world import Person, World


def operator(world: World) -> Client:
    """A client with a platform token that narrows nothing."""
    return world.client(world.services.platform_tokens.provision(calls.operator("test")).secret)


def read_user(client: Client, user: Person | Any) -> Any:
    """The user, as operators see them."""
    return client("UserService.GetUser", user_id=user.id)


def delete_user(client: Client, user: Person | Any, **heirs: Any) -> Any:
    """Deletes a user; `successors` are pairs of an organization and a person."""
    named = [{"organization_id": organization.id, "user_id": heir.id} for organization, heir in heirs.pop("successors", ())]
    return client("UserService.DeleteUser", user_id=user.id, successors=named, **heirs)
