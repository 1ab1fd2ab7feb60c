"""Who lost a permission before another got it is never seen with it by who has seen the other with it: in no process, and
while all of it changes. Each answer is true of the very revision that it tells.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from support.asking import batch, verdict
from support.neighbour import neighbour
from support.rpc import Client
from support.world import DEVELOPER, MEMBER, World

from tenantry_server.domain import tokens
from tenantry_server.services import authorization, credentials
from tenantry_server.store import standings

WRITE = "sandbox:write"
# How often each reader has to see the new one with the permission, and how long that may take on a machine that is busy.
_PAIRS, _SECONDS = 25, 120.0


@dataclass
class Seen:
    """What readers were answered: about whom, whether, as of which revision; and both after one another."""

    answers: list[tuple[str, bool, int]] = field(default_factory=list)
    pairs: list[tuple[int, bool, int]] = field(default_factory=list)


class Rivals:
    """Two members of whom one at most may write, at any revision; and what was true at each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner = world.person("owner")
        self.organization = world.organization(self.owner)
        self.old = world.member(self.organization, self.owner, DEVELOPER)
        self.new = world.member(self.organization, self.owner)
        self.truth = {world.revision(self.organization.id): self.old.id}
        self.service = world.platform_token()

    def take_turns(self, is_enough: Callable[[], bool]) -> None:
        """The permission goes from the one to the other and back, never to both, until readers have seen enough."""
        deadline = time.monotonic() + _SECONDS
        while not is_enough():
            assert time.monotonic() < deadline, "the readers saw too little"
            for person, roles in ((self.old, ()), (self.new, (DEVELOPER,)), (self.new, ()), (self.old, (DEVELOPER,))):
                member = {"organization_id": self.organization.id, "user_id": person.id}
                changed = self.owner.rpc("MemberService.UpdateMemberAccess", **member, role=MEMBER, assigned_role_ids=roles)
                self.truth[changed.revision] = person.id if roles else ""

    def look(self, channel: grpc.Channel, seen: Seen, *, wait: bool = True) -> None:
        """Asks about the new one and, when they may write, about the old one, as of then; and about both at once."""
        here = self.organization.id
        allowed, revision = verdict(Client(channel, self.new.token), here, WRITE)
        seen.answers.append((self.new.id, allowed, revision))
        if allowed:
            more = {"at_least_revision": revision} if wait else {}
            then = verdict(Client(channel, self.old.token), here, WRITE, **more)
            seen.answers.append((self.old.id, *then))
            seen.pairs.append((revision, *then))
        subjects = (self.old.id, self.new.id)
        asked = [{"subject": {"user_id": user_id}, "organization_id": here, "permission": WRITE} for user_id in subjects]
        both: Any = batch(Client(channel, self.service), asked)
        seen.answers += [(user_id, *answer) for user_id, answer in zip(subjects, both, strict=True)]
        assert len({revision for _, revision in both}) == 1, both


def _read_while_it_changes(rivals: Rivals, channels: list[grpc.Channel], **how: bool) -> list[Seen]:
    seen, over = [Seen() for _ in channels], threading.Event()

    def read(channel: grpc.Channel, mine: Seen) -> None:
        while not over.is_set():
            rivals.look(channel, mine, **how)

    with ThreadPoolExecutor(len(channels)) as pool:
        reading = [pool.submit(read, channel, mine) for channel, mine in zip(channels, seen, strict=True)]
        try:
            rivals.take_turns(
                lambda: all(len(mine.pairs) >= _PAIRS for mine in seen) or any(reader.done() for reader in reading)
            )
        finally:
            over.set()
        for reader in reading:
            reader.result()
    return seen


def test_who_has_seen_the_new_one_never_sees_the_old_one_as_of_then(deploy_own: Callable[..., World]) -> None:
    rivals = Rivals(deploy_own())
    with neighbour(rivals.world.deployment.url) as other:
        seen = _read_while_it_changes(rivals, [rivals.world.deployment.channel, other])
    for mine in seen:
        assert all(then >= revision for revision, _, then in mine.pairs)
        wrong = [(who, allowed, at) for who, allowed, at in mine.answers if allowed != (rivals.truth[at] == who)]
        assert wrong == []


def test_control_with_a_cache_that_nobody_asks_the_revision_of_it_would_be_seen(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[tuple[str, str], Any] = {}

    def remembering(database: Any, catalog: Any, digest: str, organization_id: str, now: Any) -> Any:
        found = standings.authenticate(database, catalog, digest, organization_id, now)
        return known.setdefault((digest, organization_id), found) if digest in cached else found

    rivals, cached = Rivals(deploy_own()), set[str]()
    monkeypatch.setattr(credentials, "authenticate", remembering)
    monkeypatch.setattr(authorization, "ensure_reached", lambda *_: None)
    client, here = Client(rivals.world.deployment.channel, rivals.old.token), rivals.organization.id
    cached.add(str(tokens.digest(rivals.old.token)))
    assert verdict(client, here, WRITE)[0]
    (seen,) = _read_while_it_changes(rivals, [rivals.world.deployment.channel])
    assert any(allowed and then < revision for revision, allowed, then in seen.pairs)
