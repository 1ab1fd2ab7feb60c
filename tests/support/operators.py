"""What operators do to users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from tenantry_server.domain import call as calls
from tenantry_server.store.people import ApiToken

from . import raw
from .breakage import FailingStatement
from .interleave import outcome
from .rpc import Client, Refused
from .world import Person, World, fresh

Seen = tuple[grpc.StatusCode, str, dict[str, str]]
_USED = [*ApiToken._meta.fields].index("last_used_time")


def address(name: str = "ana") -> str:
    """An address that nobody has."""
    return f"{fresh(name)}@example.com"


def make_user(client: Client, *, verified: bool = True, **fields: Any) -> Any:
    """A user called Ana, under an address that nobody has, unless it is said."""
    return client("UserService.CreateUser", **{"email": address(), "email_verified": verified, "name": "Ana", **fields})


def email_taken(email: str) -> Seen:
    """Somebody has verified the address."""
    return grpc.StatusCode.ALREADY_EXISTS, "EMAIL_TAKEN", {"email": email}


def unknown_user(user: str) -> Seen:
    """There is no such user."""
    return grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND", {"user": user}


def read_user(client: Client, user: Person | Any) -> Any:
    """The user, as operators see them."""
    return client("UserService.GetUser", user_id=user.id)


def delete_user(client: Client, user: Person | Any, *heirs: tuple[Any, Person], **more: Any) -> Any:
    """Deletes a user; `heirs` are organizations and who becomes their owner."""
    return client("UserService.DeleteUser", user_id=user.id, successors=named(*heirs), **more)


def named(*heirs: tuple[Any, Person]) -> list[dict[str, str]]:
    """Successors, as requests name them."""
    return [{"organization_id": organization.id, "user_id": heir.id} for organization, heir in heirs]


def as_person(world: World, user: Any) -> Person:
    """A user whom an operator made, with a token."""
    token = world.services.api_tokens.provision(calls.operator("test"), user_id=user.id).secret
    return Person(user.id, user.email, user.personal_organization_id, token, world.client(token))


def owners(organization: Any, somebody: Person) -> set[str]:
    """The owners of an organization, as a member of it sees them."""
    members = somebody.rpc("MemberService.ListMembers", organization_id=organization.id).members
    return {member.user_id for member in members if member.role == 1}


def successor_missing(*organizations: Any) -> Seen:
    """How a deletion is refused that leaves organizations without an owner."""
    found = ",".join(sorted(organization.id for organization in organizations))
    return grpc.StatusCode.FAILED_PRECONDITION, "SUCCESSOR_MISSING", {"organization_ids": found}


def everything(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """All that is in the database, but when tokens were last used."""
    found = raw.snapshot(world.deployment.url)
    found["api_tokens"] = [(*row[:_USED], *row[_USED + 1 :]) for row in found["api_tokens"]]
    return found


def fail_everywhere(world: World, act: Callable[[], Any], *, most: int = 300) -> tuple[Any, int]:
    """The answer of an act once no statement of it fails any more, after one failed at every place in turn and nothing was
    changed; and how many places there were. For a server of the test's own.
    """
    before = everything(world)
    for number in range(most):
        with FailingStatement(world.deployment.database, number) as failing:
            answer = outcome(act)
        if not failing.failed:
            return answer, number
        assert isinstance(answer, Refused), f"at {number}: {answer}"
        assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL"), f"at {number}: {answer}"
        assert everything(world) == before, f"at {number}"
    raise AssertionError(f"more than {most} statements")
