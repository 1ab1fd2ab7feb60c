"""More calls than the server can take: what is beyond is refused at once and says why, and nothing looks dead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import google.rpc.error_details_pb2 as details_pb2
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.deployment import THREADS, deploy
from support.engines import Engines
from support.gateway import eventually
from support.interleave import Background, Before, outcome
from support.rpc import Refused, request_of
from support.world import World

from tenantry_server import bootstrap
from tenantry_server.rpc import overload
from tenantry_server.store.queries import access, members, organizations
from tenantry_server.store.statements import Statement

BUSY: tuple[grpc.StatusCode, str, dict[str, str]] = (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", {})


class Full:
    """A server whose threads and queue are full, for as long as this is entered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.server = world.deployment.server
        self.owner = world.person("owner")
        self.organization = world.organization(self.owner)
        self._go = threading.Event()
        self._waiting: list[Background] = []
        self._held = Before(world.deployment.database, [access.BY_DIGEST], self._wait)
        self.most = self.server.overload._workers.most

    def _wait(self) -> None:
        assert self._go.wait(60)

    def get(self) -> Any:
        return self.owner.rpc("OrganizationService.GetOrganization", organization_id=self.organization.id)

    def __enter__(self) -> Full:
        self._held.__enter__()
        self._waiting = [Background(self.get) for _ in range(self.most)]
        eventually(lambda: self.server.overload.calls == self.most, "all threads and the queue are full")
        return self

    def release(self) -> list[Any]:
        """Lets everybody go on; answers with what became of them."""
        self._go.set()
        return [each.result() for each in self._waiting]

    def __exit__(self, *error: object) -> None:
        self.release()
        self._held.__exit__(None, None, None)


def health(world: World, timeout: float = 20) -> Any:
    check = health_pb2_grpc.HealthStub(world.deployment.channel).Check  # type: ignore[attr-defined]  # missing in the stubs
    return check(health_pb2.HealthCheckRequest(), timeout=timeout).status


def test_a_call_beyond_is_refused_at_once_with_its_reason(deploy_own: Callable[..., World]) -> None:
    with Full(deploy_own()) as full:
        for _ in range(50):
            refusal = outcome(full.get)
            assert isinstance(refusal, Refused)
            assert refusal.seen == BUSY
            assert refusal.trailing["x-request-id"]
            (retry,) = [detail for detail in refusal.details if isinstance(detail, details_pb2.RetryInfo)]
            assert retry.retry_delay.seconds == 1
        assert full.server.overload.calls == full.most
        assert set(map(str, full.release())) == {str(full.organization)}
        assert full.get() == full.organization


def test_a_busy_server_does_not_look_like_a_dead_one(deploy_own: Callable[..., World]) -> None:
    with Full(deploy_own()) as full:
        assert health(full.world) == health_pb2.HealthCheckResponse.SERVING


def test_among_the_others_a_question_about_health_would_get_no_answer(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overload, "_HEALTH", "nothing")
    with Full(deploy_own()) as full, pytest.raises(grpc.RpcError) as refused:
        health(full.world)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_calls_that_were_given_up_leave_room_for_others(deploy_own: Callable[..., World]) -> None:
    full = Full(deploy_own())
    for _ in range(3):
        with full:
            pass
        full._go.clear()
        eventually(lambda: full.server.overload.calls == 0, "nobody waits any more")
    assert full.get() == full.organization


@dataclass(frozen=True)
class Slow:
    """A call, and the statement before which it waits for as long as a test says."""

    method: str
    statement: Statement[Any]
    fields: Mapping[str, str] = field(default_factory=dict)


LISTS = Slow("MemberService.ListMembers", members.LIST)
CHANGES = Slow("OrganizationService.UpdateOrganization", organizations.BUMP, {"name": "Apex"})
QUESTION = Slow("OrganizationService.GetOrganization", organizations.GET)
behind = pytest.mark.parametrize(
    ("slow", "asked"),
    [
        pytest.param(LISTS, QUESTION, id="questions-lists"),
        pytest.param(CHANGES, QUESTION, id="questions-changes"),
        pytest.param(CHANGES, LISTS, id="lists-changes"),
        pytest.param(LISTS, CHANGES, id="changes-lists"),
    ],
)


@contextmanager
def waiting(world: World, slow: Slow, count: int, asked: Slow) -> Iterator[Callable[[], Any]]:
    """So many calls are under way and come to no end; answers with what asks for something else meanwhile."""
    owner, go = world.person("owner"), threading.Event()
    here = {"organization_id": world.organization(owner).id}
    request = request_of(asked.method, **here, **asked.fields)

    def wait() -> None:
        assert go.wait(60)

    with Before(world.deployment.database, [slow.statement], wait):
        held = [Background(lambda: owner.rpc(slow.method, **here, **slow.fields)) for _ in range(count)]
        eventually(lambda: world.deployment.server.overload.calls == count, "they all wait")
        try:
            yield lambda: outcome(lambda: owner.rpc.send(asked.method, request, timeout=2))
        finally:
            go.set()
            assert not [each for each in (one.result() for one in held) if isinstance(each, Refused)]


@pytest.fixture
def alone(engine: str, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A server with as few threads as it has when no test arranges races."""
    for name, threads in THREADS.items():
        monkeypatch.setattr(bootstrap, name, threads)
    deployment = deploy(engine, engines.new(engine))
    yield World(deployment)
    deployment.close()


@behind
def test_questions_lists_and_changes_do_not_hold_up_each_other(alone: World, slow: Slow, asked: Slow) -> None:
    with waiting(alone, slow, 2 * max(max(threads) for threads in THREADS.values()), asked) as ask:
        assert not isinstance(ask(), Refused)


@behind
def test_on_the_same_threads_they_would(alone: World, slow: Slow, asked: Slow) -> None:
    alone.deployment.server.overload._apart = {}
    with waiting(alone, slow, max(threads.quick for threads in THREADS.values()), asked) as ask:
        refusal = ask()
        assert isinstance(refusal, Refused)
        assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_what_changes_lists_or_asks_for_many_is_not_quick(world: World) -> None:
    policies = world.deployment.server.policies
    quick = {path.rpartition(".")[2] for path, known in policies.items() if known.is_quick}
    assert {"AuthorizationService/CheckPermission", "OrganizationService/GetOrganization", "Health/Check"} <= quick
    slow = {"AuthorizationService/BatchCheckPermissions", "MemberService/ListMembers", "InvitationService/CreateInvitation"}
    assert slow & quick == set()
    assert not [path for path, known in policies.items() if known.is_quick and known.is_change]
