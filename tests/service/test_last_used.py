"""When tokens were last used: told to a minute or so, written beside the calls and never in them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import peewee
import pytest
from support import raw
from support.rpc import Client
from support.sql import Heard
from support.tokens import MINE, Made, mine
from support.world import MILLISECOND, World

from tenantry_server.domain import call as calls
from tenantry_server.domain.errors import DeadlineExceeded
from tenantry_server.services import last_used
from tenantry_server.services.last_used import LastUsed
from tenantry_server.store.database import Database
from tenantry_server.store.queries import api_tokens as statements
from tenantry_server.store.values import milliseconds

READ = "OrganizationService.GetCurrentOrganization"
START = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def used(world: World, token_id: str) -> int | None:
    """When a token was last used, in milliseconds, as the database keeps it."""
    with raw.connect(world.deployment.url) as connection:
        ((at,),) = connection.execute("SELECT last_used_time FROM api_tokens WHERE id = ?", (token_id,))
    return None if at is None else int(at)


@pytest.fixture
def world(deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A server that writes nothing by itself before it ends."""
    monkeypatch.setattr(last_used, "_PERIOD", 3600.0)
    return deploy_own()


@pytest.fixture
def tokens(world: World) -> list[str]:
    """Ids of a few tokens that nobody uses."""
    ana = world.person()
    return [world.services.api_tokens.provision(calls.operator("test"), user_id=ana.id).id for _ in range(7)]


@pytest.fixture
def noting(world: World) -> LastUsed:
    """One of several processes that share the database; it writes when the test says so."""
    return LastUsed(world.deployment.database)


@contextmanager
def failing(
    monkeypatch: pytest.MonkeyPatch, database: Database, name: str, error: Exception, *, after: int = 0
) -> Iterator[None]:
    """The database fails when something is asked of it, from one time on."""
    original, left = getattr(database, name), iter(range(after))

    def fail(*arguments: Any, **values: Any) -> Any:
        if next(left, None) is None:
            raise error
        return original(*arguments, **values)

    with monkeypatch.context() as patch:
        patch.setattr(database, name, fail)
        yield


def test_no_call_writes_it(world: World) -> None:
    ana = world.person()
    made = mine(world, ana.rpc)
    with Heard(world.deployment.database) as heard:
        for _ in range(3):
            assert made.rpc(READ)
            assert made.rpc.refusal("OrganizationService.GetOrganization", organization_id="0" * 26)
    assert len(heard.statements) >= 3
    assert [sql for sql in heard.statements if not sql.startswith("SELECT")] == []
    assert used(world, made.id) is None


def test_use_is_told_within_the_period(deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_used, "_PERIOD", 0.05)
    world = deploy_own()
    ana = world.person()
    made = mine(world, ana.rpc)
    assert not ana.rpc(MINE.format("Get"), api_token_id=made.id).api_token.HasField("last_used_time")
    before = world.now_ms()
    assert made.rpc(READ)
    token = _awaited(ana.rpc, made)
    assert before <= token.last_used_time.ToMilliseconds() <= world.now_ms()
    made.token.last_used_time.CopyFrom(token.last_used_time)
    assert token == made.token  # neither its revision nor its etag changed


def _awaited(client: Client, made: Made) -> Any:
    for _ in range(200):
        token = client(MINE.format("Get"), api_token_id=made.id).api_token
        if token.HasField("last_used_time"):
            return token
        time.sleep(0.05)
    raise AssertionError("it was never written")


def test_use_is_written_at_most_once_a_minute(world: World, noting: LastUsed, tokens: list[str]) -> None:
    for after, expected in ((0, 0), (1, 0), (59_999, 0), (60_000, 60_000), (100_000, 60_000), (200_000, 200_000)):
        noting.note(tokens[0], START + after * MILLISECOND)
        noting.flush()
        assert used(world, tokens[0]) == milliseconds(START) + expected
    with Heard(world.deployment.database) as heard:
        noting.note(tokens[0], START + 200_001 * MILLISECOND)
        noting.flush()
    assert heard.statements == []


def test_processes_together_write_at_most_once_a_minute(world: World, tokens: list[str]) -> None:
    one, other = (LastUsed(world.deployment.database) for _ in range(2))
    seen = []
    for seconds in range(0, 180, 7):
        process = (one, other)[seconds % 2]
        process.note(tokens[0], START + timedelta(seconds=seconds))
        process.flush()
        seen.append(used(world, tokens[0]))
    times = sorted({at for at in seen if at is not None})
    assert seen == sorted(at for at in seen if at is not None)
    assert len(times) == 3
    assert all(later - earlier >= 60_000 for earlier, later in pairwise(times))


def test_older_use_that_is_written_late_takes_nothing_back(world: World, tokens: list[str]) -> None:
    one, other = (LastUsed(world.deployment.database) for _ in range(2))
    one.note(tokens[0], START)
    other.note(tokens[0], START + 5 * MINUTE)
    other.flush()
    one.flush()
    assert used(world, tokens[0]) == milliseconds(START + 5 * MINUTE)


def test_latest_use_counts(world: World, noting: LastUsed, tokens: list[str]) -> None:
    for minutes in range(3):
        noting.note(tokens[0], START + minutes * MINUTE)
    noting.flush()
    assert used(world, tokens[0]) == milliseconds(START + 2 * MINUTE)
    assert [used(world, token_id) for token_id in tokens[1:]] == [None] * 6


@pytest.mark.parametrize(
    "error",
    [
        peewee.OperationalError("connection lost"),
        peewee.InterfaceError("connection already closed"),
        DeadlineExceeded(),
        OSError(28, "No space left on device"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("name", ["run", "begin", "commit", "writing"])
def test_what_cannot_be_written_is_written_later(
    world: World, noting: LastUsed, tokens: list[str], monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    noting.note(tokens[0], START)
    noting.note(tokens[1], START)
    with failing(monkeypatch, world.deployment.database, name, error):
        noting.flush()
    assert [used(world, token_id) for token_id in tokens[:2]] == [None, None]
    noting.note(tokens[1], START + MINUTE)
    noting.flush()
    assert [used(world, token_id) for token_id in tokens[:2]] == [milliseconds(START), milliseconds(START + MINUTE)]


def test_what_was_written_before_a_failure_is_not_written_again(
    world: World, noting: LastUsed, tokens: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_used, "_BATCH", 3)
    for token_id in tokens:
        noting.note(token_id, START)
    with failing(monkeypatch, world.deployment.database, "commit", peewee.OperationalError("gone"), after=1):
        noting.flush()
    assert sorted(used(world, token_id) is not None for token_id in tokens) == [False] * 4 + [True] * 3
    with Heard(world.deployment.database) as heard:
        for token_id in tokens:
            noting.note(token_id, START + 30_000 * MILLISECOND)
        noting.flush()
    assert len([sql for sql in heard.statements if sql.startswith("UPDATE")]) == 4
    assert None not in [used(world, token_id) for token_id in tokens]


def test_thread_outlives_a_failure(world: World, noting: LastUsed, tokens: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_used, "_PERIOD", 0.02)
    with failing(monkeypatch, world.deployment.database, "begin", peewee.InterfaceError("gone")):
        noting.start()
        noting.note(tokens[0], START)
        time.sleep(0.2)
        assert used(world, tokens[0]) is None
    for _ in range(200):
        if used(world, tokens[0]) is not None:
            break
        time.sleep(0.05)
    noting.close()
    assert used(world, tokens[0]) == milliseconds(START)


@pytest.mark.parametrize("started", [False, True])
def test_what_is_noted_is_written_in_the_end(world: World, noting: LastUsed, tokens: list[str], *, started: bool) -> None:
    if started:
        noting.start()
    noting.note(tokens[0], START)
    noting.close()
    assert used(world, tokens[0]) == milliseconds(START)


def test_server_that_stops_writes_what_is_noted(world: World) -> None:
    ana = world.person()
    made = mine(world, ana.rpc)
    assert made.rpc(READ)
    assert used(world, made.id) is None
    world.deployment.close()
    assert used(world, made.id) is not None


def test_revoked_token_is_not_written(world: World, noting: LastUsed) -> None:
    ana = world.person()
    gone, stays = mine(world, ana.rpc), mine(world, ana.rpc)
    noting.note(gone.id, START)
    noting.note(stays.id, START)
    ana.rpc(MINE.format("Revoke"), api_token_id=gone.id)
    noting.flush()
    assert raw.count(world.deployment.database, "api_tokens", id=gone.id) == 0
    assert used(world, stays.id) == milliseconds(START)


def test_refused_credential_is_no_use(world: World) -> None:
    ana = world.person()
    made = mine(world, ana.rpc, expire_time=world.clock.now() + MINUTE)
    with world.at(world.clock.now() + MINUTE):
        made.rpc.refusal(READ)
    world.deployment.close()
    assert used(world, made.id) is None


def test_memory_is_of_the_last_minute_alone(noting: LastUsed) -> None:
    for number in range(1000):
        noting.note(f"{number:026d}", START)
    noting.flush()
    noting.note("7" * 26, START + MINUTE)
    noting.flush()
    assert (noting._noted, set(noting._written)) == ({}, {"7" * 26})


def test_many_are_written_in_batches_and_in_the_order_of_their_ids(
    world: World, noting: LastUsed, tokens: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_used, "_BATCH", 3)
    written: list[Any] = []
    run, begin = world.deployment.database.run, world.deployment.database.begin

    def beginning() -> None:
        written.append("begin")
        begin()

    def watched(statement: Any, **values: Any) -> int:
        if statement is statements.USED:
            written.append(values["api_token_id"])
        return run(statement, **values)

    monkeypatch.setattr(world.deployment.database, "begin", beginning)
    monkeypatch.setattr(world.deployment.database, "run", watched)
    for token_id in reversed(tokens):
        noting.note(token_id, START)
    noting.flush()
    order = sorted(tokens)
    assert written == ["begin", *order[:3], "begin", *order[3:6], "begin", *order[6:]]


def test_no_use_is_lost_between_notes_and_writes(world: World, noting: LastUsed, tokens: list[str]) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.001):
            noting.flush()

    writer = threading.Thread(target=write)
    writer.start()
    for minute in range(200):
        for token_id in tokens:
            noting.note(token_id, START + minute * MINUTE)
    stop.set()
    writer.join()
    noting.flush()
    assert {used(world, token_id) for token_id in tokens} == {milliseconds(START + 199 * MINUTE)}
