"""Whoever asks sees what they wrote: answers tell the revision that they are of, and wait for one that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import google.rpc.error_details_pb2 as details_pb2
from grpc import StatusCode
from support import raw
from support.asking import CHECK, batch, refusal, verdict
from support.rpc import Client
from support.world import DEVELOPER, MEMBER, World

from tenantry_server.domain import ids

READ, WRITE = "sandbox:read", "sandbox:write"


def not_reached(revision: int, at_least: int) -> Any:
    told = {"revision": str(revision), "at_least_revision": str(at_least)}
    return refusal(StatusCode.UNAVAILABLE, "REVISION_NOT_REACHED", **told)


@contextmanager
def lagging(world: World, organization: Any) -> Iterator[int]:
    """The database is a replica that has not heard of the last change: the revision that it knows."""
    with raw.connect(world.deployment.url) as connection:
        forge = "UPDATE organizations SET revision = revision + ? WHERE id = ?"
        connection.execute(forge, (-1, organization.id))
        yield world.revision(organization.id)
        connection.execute(forge, (1, organization.id))


def test_a_demotion_is_seen_at_the_revision_that_it_returned(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    demoted = ana.rpc("MemberService.UpdateMemberAccess", organization_id=acme.id, user_id=bo.id, role=MEMBER)
    subject = {"user_id": bo.id}
    for client, more in ((bo.rpc, {}), (ana.rpc, {"subject": subject}), (world.platform(), {"subject": subject})):
        answer = verdict(client, acme.id, WRITE, at_least_revision=demoted.revision, **more)
        assert answer == (False, demoted.revision)


def test_data_that_is_older_than_asked_for_is_no_answer(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER)
    written = world.revision(acme.id)
    subject = {"user_id": bo.id}
    callers: list[tuple[Client, dict[str, Any]]] = [(bo.rpc, {})]
    callers += [(client, {"subject": subject}) for client in (ana.rpc, world.platform())]
    with lagging(world, acme) as known:
        for client, more in callers:
            asked = {"organization_id": acme.id, "permission": WRITE, **more}
            for extra in ({}, {"explain": True}, {"as_of": world.clock.now()}):
                refused = client.refusal(CHECK, at_least_revision=written, **asked, **extra)
                assert refused.seen == not_reached(known, written)
                assert any(isinstance(detail, details_pb2.RetryInfo) for detail in refused.details)
            assert batch(client, [asked | {"at_least_revision": written}, asked]) == [
                not_reached(known, written),
                (True, known),
            ]
            assert verdict(client, acme.id, WRITE, at_least_revision=known, **more) == (True, known)
    for client, more in callers:
        assert verdict(client, acme.id, WRITE, at_least_revision=written, **more) == (True, written)


def test_a_revision_that_was_asked_for_tells_strangers_nothing(world: World) -> None:
    ana, stranger = world.person(), world.person()
    acme = world.organization(ana)
    for organization_id in (acme.id, ids.new()):
        for at_least in (1, 2**62):
            assert verdict(stranger.rpc, organization_id, READ, at_least_revision=at_least) == (False, 0)
            assert batch(
                stranger.rpc, [{"organization_id": organization_id, "permission": READ, "at_least_revision": at_least}]
            ) == [(False, 0)]


def test_an_organization_that_is_not_there_yet_is_no_denial_to_operators_who_know_of_it(world: World) -> None:
    ana, service = world.person(), world.platform("authorization:check")
    unknown, subject = ids.new(), {"user_id": ana.id}
    refused = service.refusal(CHECK, organization_id=unknown, permission=READ, subject=subject, at_least_revision=1)
    assert refused.seen == not_reached(0, 1)
    assert verdict(service, unknown, READ, subject=subject) == (False, 0)


def test_a_past_answer_tells_the_revision_of_then_and_waits_for_that_of_now(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    then = world.clock.now()
    world.clock.advance(timedelta(seconds=1))
    world.member(acme, ana)
    now = world.revision(acme.id)
    assert verdict(ana.rpc, acme.id, READ, as_of=then, at_least_revision=now) == (True, now - 1)
    refused = ana.rpc.refusal(CHECK, organization_id=acme.id, permission=READ, as_of=then, at_least_revision=now + 1)
    assert refused.seen == not_reached(now, now + 1)
