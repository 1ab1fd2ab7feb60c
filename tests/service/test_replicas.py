"""A replica answers what it is new enough for, and everybody who only reads while the primary is away. It is a real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from support import raw
from support.cluster import Cluster
from support.deployment import Deployment, deploy
from support.gateway import eventually
from support.interleave import Background, outcome
from support.rpc import Refused, request_of
from support.world import MEMBER, OWNER, World

from tenantry_server import bootstrap
from tenantry_server.rpc.source import AT_LEAST, READ_FROM
from tenantry_server.store.replicas import open_replicated

pytestmark = pytest.mark.slow

Code = grpc.StatusCode
AWAY: tuple[grpc.StatusCode, str, dict[str, str]] = (Code.UNAVAILABLE, "DATABASE_UNAVAILABLE", {})
GET, CHECK = "OrganizationService.GetOrganization", "AuthorizationService.CheckPermission"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A primary and its replica."""
    with Cluster() as running:
        yield running


class Site:
    """A server with both, and an organization of two owners."""

    def __init__(self, cluster: Cluster, deployment: Deployment) -> None:
        self.cluster = cluster
        self.world = World(deployment)
        self.owner = self.world.person("owner")
        self.organization = self.world.organization(self.owner)
        self.here = {"organization_id": self.organization.id}
        self.member = self.world.member(self.organization, self.owner, role=OWNER)
        cluster.catch_up()

    @property
    def revision(self) -> int:
        """The organization's, at the primary."""
        return self.world.revision(self.organization.id)

    def ask(self, method: str, at_least: int = 0, **fields: Any) -> tuple[Any, bool]:
        """What a member is answered, and whether by the replica."""
        said = ((AT_LEAST, str(at_least)),) if at_least else ()
        channel, request = self.world.deployment.channel, request_of(method, **self.here, **fields)
        stub: Any = channel.unary_unary(f"/tenantry.v1.{method.replace('.', '/')}", lambda message: message.SerializeToString())
        metadata = (("authorization", f"Bearer {self.member.token}"), *said)
        raw_answer, call = stub.with_call(request, metadata=metadata, timeout=20)
        return raw_answer, (READ_FROM, "replica") in tuple(call.trailing_metadata())

    def demote(self) -> None:
        """Takes what the member may from them."""
        self.owner.rpc(
            "MemberService.UpdateMemberAccess", **self.here, user_id=self.member.id, role=MEMBER, assigned_role_ids=[]
        )


@contextmanager
def serving(cluster: Cluster, *, replicated: bool = True) -> Iterator[Site]:
    """A server on a database of its own."""
    number = cluster.primary.execute("SELECT count(*) FROM pg_database")[0][0]
    name = f"test{number}"
    cluster.primary.execute(f"CREATE DATABASE {name}")
    cluster.catch_up()
    opening = {"open_url": partial(open_replicated, replica_url=cluster.replica.url(name))} if replicated else {}
    deployment = deploy("postgresql", cluster.primary.url(name), **opening)  # type: ignore[arg-type]
    try:
        yield Site(cluster, deployment)
    finally:
        deployment.close()


@contextmanager
def held(cluster: Cluster) -> Iterator[None]:
    """While entered, the replica shows what it has."""
    cluster.hold()
    try:
        yield
    finally:
        cluster.go_on()


def allowed(answer: bytes) -> bool:
    """What a check says; its answer is the first field."""
    return answer[:2] == b"\x08\x01"


def test_who_says_how_new_the_data_must_be_is_answered_by_a_replica_that_is(cluster: Cluster) -> None:
    with serving(cluster) as site, held(cluster):
        before = site.revision
        site.demote()
        old = site.ask(CHECK, permission="member:delete", at_least_revision=before)
        assert (allowed(old[0]), old[1]) == (True, True)
        new = site.ask(CHECK, permission="member:delete", at_least_revision=site.revision)
        assert (allowed(new[0]), new[1]) == (False, False)
        assert site.ask(GET, at_least=before)[1]
        assert not site.ask(GET, at_least=site.revision)[1]


def test_who_says_nothing_is_answered_by_the_primary(cluster: Cluster) -> None:
    """What was revoked is gone with the next call, however far behind the replica is."""
    with serving(cluster) as site, held(cluster):
        site.demote()
        answer, from_replica = site.ask(CHECK, permission="member:delete")
        assert (allowed(answer), from_replica) == (False, False)


def test_what_the_replica_does_not_know_yet_the_primary_is_asked(cluster: Cluster) -> None:
    with serving(cluster) as site, held(cluster):
        late = site.world.person("late")
        site.world.join(site.organization, site.owner, late)
        found = late.rpc(CHECK, **site.here, permission="organization:read", at_least_revision=1)
        assert found.allowed


def test_reads_go_on_while_the_primary_is_away_and_say_where_they_come_from(cluster: Cluster) -> None:
    with serving(cluster) as site:
        cluster.primary.kill()
        try:
            for _ in range(20):
                answer, from_replica = site.ask(CHECK, permission="member:delete")
                assert (allowed(answer), from_replica) == (True, True)
                assert site.ask(GET)[1]
            assert site.owner.rpc("MemberService.ListMembers", **site.here).members
            update = "OrganizationService.UpdateOrganization"
            refusal = outcome(lambda: site.owner.rpc.send(update, request_of(update, **site.here, name="Apex"), timeout=3))
            assert isinstance(refusal, Refused)
            assert refusal.code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
            # Whether nobody has this token could only the primary tell; that there is none needs nobody.
            assert site.world.client("tnt_usr_nobody").refusal(GET, **site.here).seen == AWAY
            assert site.world.client().refusal(GET, **site.here).code is Code.UNAUTHENTICATED
            ahead = outcome(lambda: site.owner.rpc(CHECK, **site.here, permission="role:read", at_least_revision=10**6))
            assert isinstance(ahead, Refused)
            assert ahead.reason == "REVISION_NOT_REACHED"
        finally:
            cluster.primary.start()
        eventually(lambda: not site.ask(GET)[1], "the primary is asked again")
        site.world.deployment.database.drop_connection()  # the test's own
        site.demote()
        answer, from_replica = site.ask(CHECK, permission="member:delete")
        assert (allowed(answer), from_replica) == (False, False)
        assert site.world.breaches() == []


def test_without_a_replica_reads_would_stop(cluster: Cluster) -> None:
    with serving(cluster, replicated=False) as site:
        cluster.primary.kill()
        try:
            assert site.owner.rpc.refusal(GET, **site.here).seen == AWAY
        finally:
            cluster.primary.start()
        site.world.deployment.database.drop_connection()  # the test's own
        assert raw.count(site.world.deployment.database, "organizations", id=site.organization.id) == 1


@contextmanager
def changes_that_wait(site: Site) -> Iterator[list[Background]]:
    """More of them than the server has threads, while the primary answers nothing."""
    update, server = "OrganizationService.UpdateOrganization", site.world.deployment.server
    request = request_of(update, **site.here, name="Apex", request_id="once")
    with site.cluster.primary.frozen():
        count = 2 * bootstrap._POSTGRESQL.changes
        waiting = [Background(lambda: site.owner.rpc.send(update, request, timeout=60)) for _ in range(count)]
        eventually(lambda: server.overload.calls >= len(waiting), "they all wait")
        yield waiting
    assert len({str(each.result()) for each in waiting}) == 1


def test_changes_that_wait_for_the_primary_keep_no_check_waiting(cluster: Cluster) -> None:
    with serving(cluster) as site, changes_that_wait(site) as waiting:
        for at_least in (0, 1):
            answer, from_replica = site.ask(CHECK, permission="member:delete", at_least_revision=at_least)
            assert (allowed(answer), from_replica) == (True, True)
        assert not any(each.done for each in waiting)


def test_on_the_threads_of_changes_checks_would_wait_with_them(cluster: Cluster) -> None:
    with serving(cluster) as site:
        site.world.deployment.server.overload._apart = {}
        with changes_that_wait(site) as waiting:
            check = request_of(CHECK, **site.here, permission="member:delete", at_least_revision=1)
            refusal = outcome(lambda: site.member.rpc.send(CHECK, check, timeout=3))
            assert isinstance(refusal, Refused)
            assert refusal.code is Code.DEADLINE_EXCEEDED
            assert not any(each.done for each in waiting)


def test_a_replica_that_answers_nothing_holds_nobody_up(cluster: Cluster) -> None:
    with serving(cluster) as site:
        assert site.ask(CHECK, permission="member:delete", at_least_revision=1)[1]
        with cluster.replica.frozen():
            answer, from_replica = site.ask(CHECK, permission="member:delete", at_least_revision=1)
            assert (allowed(answer), from_replica) == (True, False)
