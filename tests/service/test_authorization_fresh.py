"""What was revoked is gone with the next question, over every connection and in every process.

A thousand revocations of every kind, each followed at once by ten questions, single ones and batches, over connections that
the revocation did not use: of the server that made it, and of another process that shares the database.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from typing import Any

import grpc
import pytest
from support.asking import batch, check, members_with, organizations_with
from support.neighbour import neighbour
from support.rpc import Client, Refused
from support.world import DEVELOPER, MEMBER, OWNER, World

from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.services import credentials
from tenantry_server.store import standings

WRITE = "sandbox:write"
REVOCATIONS, TRIES = 1000, 10
# How many people lose something, in turns.
_CROWD = 8


class Holder:
    """Somebody who holds a permission, until one way or another they do not, and does again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner, self.person = world.person("owner"), world.person("holder")
        self.organization = world.organization(self.owner)
        self.here = {"organization_id": self.organization.id}
        self.member = {**self.here, "user_id": self.person.id}
        self.token = self.person.token
        self.role = world.role(self.organization, self.owner, WRITE).id
        self.join(DEVELOPER)

    def join(self, *role_ids: str, role: str = MEMBER) -> None:
        self.world.join(self.organization, self.owner, self.person, *role_ids, role=role)

    def access(self, *role_ids: str, role: str = MEMBER) -> None:
        self.owner.rpc("MemberService.UpdateMemberAccess", **self.member, role=role, assigned_role_ids=role_ids)

    def by_removal(self) -> Callable[[], None]:
        self.owner.rpc("MemberService.RemoveMember", **self.member)
        return lambda: self.join(DEVELOPER)

    def by_leaving(self) -> Callable[[], None]:
        self.person.rpc("OrganizationService.LeaveOrganization", **self.here)
        return lambda: self.join(DEVELOPER)

    def by_a_role_less(self) -> Callable[[], None]:
        self.access()
        return lambda: self.access(DEVELOPER)

    def by_demotion(self) -> Callable[[], None]:
        self.access(role=OWNER)
        self.access()
        return lambda: self.access(DEVELOPER)

    def by_another_role(self) -> Callable[[], None]:
        self.access(self.role)
        change = {**self.here, "role_id": self.role}
        self.owner.rpc("RoleService.UpdateRole", **change, permissions=["sandbox:read"])
        return lambda: self.owner.rpc("RoleService.UpdateRole", **change, permissions=[WRITE])

    def by_the_roles_end(self) -> Callable[[], None]:
        self.access(self.role)
        self.owner.rpc("RoleService.DeleteRole", **self.here, role_id=self.role, unassign=True)

        def again() -> None:
            self.role = self.world.role(self.organization, self.owner, WRITE).id
            self.access(DEVELOPER)

        return again

    def by_suspension(self) -> Callable[[], None]:
        self.world.set_state(self.organization.id, OrganizationState.SUSPENDED)
        return lambda: self.world.set_state(self.organization.id, OrganizationState.ACTIVE)

    def by_the_organizations_end(self) -> Callable[[], None]:
        self.owner.rpc("OrganizationService.DeleteOrganization", **self.here)
        return lambda: self.owner.rpc("OrganizationService.UndeleteOrganization", **self.here)


_WAYS = [name for name in vars(Holder) if name.startswith("by_")]


class Questions:
    """Clients for every connection, and ten questions of different kinds."""

    def __init__(self, world: World, channels: list[grpc.Channel]) -> None:
        self._service = world.platform_token()
        self._channels = cycle(channels)

    def _client(self, token: str = "") -> Client:
        return Client(next(self._channels), token or self._service)

    def allowed(self, holder: Holder) -> list[str]:
        """Which of the questions found the holder allowed."""
        here, user = holder.organization.id, {"user_id": holder.person.id}
        credential, question = {"credential": holder.token}, {"organization_id": here, "permission": WRITE}
        asked: dict[str, Callable[[], Any]] = {
            **{f"self {n}": lambda: check(self._client(holder.token), here, WRITE) for n in range(3)},
            **{f"user {n}": lambda: check(self._client(), here, WRITE, subject=user) for n in range(2)},
            "credential": lambda: check(self._client(), here, WRITE, subject=credential),
            "explained": lambda: check(self._client(), here, WRITE, subject=user, explain=True),
            "batch": lambda: batch(self._client(), [question | {"subject": user}])[0][0] is True,
            "own batch": lambda: batch(self._client(holder.token), [question])[0][0] is True,
            "organizations": lambda: here in organizations_with(self._client(holder.token), WRITE),
        }
        assert len(asked) == TRIES
        return [name for name, ask in asked.items() if _answer(ask)]


def _answer(ask: Callable[[], Any]) -> bool:
    try:
        return bool(ask())
    except Refused as refusal:
        if refusal.code is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        return False


@contextmanager
def questions(world: World) -> Iterator[Questions]:
    """Three connections to the server, and three to another process."""
    with ExitStack() as stack:
        channels = [
            stack.enter_context(grpc.insecure_channel(world.deployment.address, [("grpc.use_local_subchannel_pool", 1)]))
            for _ in range(3)
        ]
        other = stack.enter_context(neighbour(world.deployment.url))
        yield Questions(world, [channel for ours in channels for channel in (ours, other)])


@pytest.mark.slow
def test_nothing_that_was_revoked_is_ever_allowed_again(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    holders = [Holder(world) for _ in range(_CROWD)]
    tries, stale, done = 0, [], Counter[str]()
    with questions(world) as asked:
        for holder in holders:
            assert len(asked.allowed(holder)) == TRIES
        for number in range(REVOCATIONS):
            holder, way = holders[number % _CROWD], _WAYS[number // _CROWD % len(_WAYS)]
            give_back = getattr(holder, way)()
            found = asked.allowed(holder)
            tries, done[way] = tries + TRIES, done[way] + 1
            stale += [(number, way, name) for name in found]
            give_back()
        for holder in holders:  # it was there to be revoked, each time
            assert len(asked.allowed(holder)) == TRIES
    assert stale == []
    assert tries == 10_000
    assert len(done) == len(_WAYS)


def test_a_token_that_was_revoked_is_gone_with_the_next_question(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    holder = Holder(world)
    with questions(world) as asked:
        for _ in range(20):
            holder.token = world.token(holder.person)
            client = world.client(holder.token)
            token_id = client("ApiTokenService.GetCurrentApiToken").api_token.id
            assert len(asked.allowed(holder)) == TRIES
            client("ApiTokenService.RevokeMyApiToken", api_token_id=token_id)
            assert set(asked.allowed(holder)) == {"user 0", "user 1", "explained", "batch"}


def test_who_holds_a_permission_is_listed_as_of_now(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    holder = Holder(world)
    with neighbour(world.deployment.url) as channel:
        other = Client(channel, holder.owner.token)
        for way in _WAYS:
            if way in ("by_suspension", "by_the_organizations_end"):  # where nobody is listed
                continue
            assert holder.person.id in members_with(other, holder.organization.id, WRITE)
            give_back = getattr(holder, way)()
            assert holder.person.id not in members_with(other, holder.organization.id, WRITE)
            give_back()


class _Remembering:
    """`authenticate`, with what a permission cache of one second would do."""

    def __init__(self) -> None:
        self._real = standings.authenticate
        self._known: dict[tuple[str, str], tuple[float, Any]] = {}

    def __call__(self, database: Any, catalog: Any, digest: str, organization_id: str, now: Any) -> Any:
        key = (digest, organization_id)
        known = self._known.get(key)
        if known is None or time.monotonic() - known[0] > 1:
            known = (time.monotonic(), self._real(database, catalog, digest, organization_id, now))
            self._known[key] = known
        return known[1]


def test_control_with_a_cache_of_one_second_it_would_be_seen(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    holder = Holder(world)
    monkeypatch.setattr(credentials, "authenticate", _Remembering())
    seen: Counter[str] = Counter()
    with questions(world) as asked:
        for way in _WAYS:
            asked.allowed(holder)
            give_back = getattr(holder, way)()
            seen.update(asked.allowed(holder))
            give_back()
            time.sleep(1.1)
    assert sum(seen.values()) > len(_WAYS) // 2, seen
    assert set(seen) <= {"self 0", "self 1", "self 2"}, "what the cache answers, and nothing else"
