"""Clients of a server while its database fails over: what was acknowledged when, and how long each of them waited for what."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc
from support.rpc import Client, Refused, request_of

# More changes wait for a database that is away than the server has threads.
_WRITERS, _CHECKERS = 24, 4
# In seconds: between two calls of a client, for one call, and for a change that was begun when the clients are stopped.
_WRITE_PAUSE, _CHECK_PAUSE = 0.1, 0.02
_TIMEOUT, _LAST = 10.0, 120.0
_AGAIN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


class Person(NamedTuple):
    """Who calls, and their organization."""

    token: str
    organization_id: str


class Change(NamedTuple):
    """An acknowledged one: when, what was asked for, and what was made. Its name is its request id."""

    when: float
    name: str
    id: str


class Traffic:
    """The clients, at work for as long as this is entered; each has a connection of its own."""

    def __init__(self, address: str, people: list[Person], name: str) -> None:
        self._address = address
        self._people = people
        self._name = name.replace(" ", "-")
        self._over = threading.Event()
        self._stack = ExitStack()
        self._threads: list[threading.Thread] = []
        self.changes: list[Change] = []
        self.refusals: Counter[str] = Counter()
        # By client: when it was answered. Half of them are content with what a known revision grants.
        self.checks: list[list[float]] = [[] for _ in range(2 * _CHECKERS)]
        self.errors: list[BaseException] = []

    def __enter__(self) -> Self:
        work = [(self._write, number) for number in range(_WRITERS)]
        work += [(self._check, number) for number in range(len(self.checks))]
        for act, number in work:
            client = Client(self._channel(), self._people[number % len(self._people)].token)
            self._threads.append(threading.Thread(target=self._guarded, args=(act, client, number)))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def acknowledged_since(self, when: float) -> int:
        """How many changes were; fails when a client could not go on."""
        if self.errors:
            raise self.errors[0]
        return sum(change.when > when for change in list(self.changes))

    def longest_without_a_change(self, begin: float, end: float) -> float:
        """For how many seconds nobody's change was acknowledged."""
        return _longest([change.when for change in self.changes], begin, end)

    def longest_wait_for_a_check(self, begin: float, end: float, *, at_least: bool) -> float:
        """For how many seconds a client had no answer: the unluckiest of those who name a revision, or of the others."""
        mine = self.checks[_CHECKERS:] if at_least else self.checks[:_CHECKERS]
        return max(_longest(times, begin, end) for times in mine)

    def _channel(self) -> grpc.Channel:
        return self._stack.enter_context(grpc.insecure_channel(self._address, options=[("grpc.use_local_subchannel_pool", 1)]))

    def _guarded(self, act: Any, client: Client, number: int) -> None:
        try:
            act(client, number)
        except BaseException as error:
            self.errors.append(error)

    def _write(self, client: Client, number: int) -> None:
        """Makes organizations, each until it is acknowledged, under one request id."""
        count = 0
        while not self._over.wait(random.uniform(0, 2 * _WRITE_PAUSE)):
            count += 1
            name = f"{self._name}.{number}.{count}"
            given_up: float | None = None
            while True:
                try:
                    made = client.send(*_creation(name), timeout=_TIMEOUT)
                except Refused as refusal:
                    self._note(refusal)
                    given_up = given_up or (time.monotonic() + _LAST if self._over.is_set() else None)
                    if given_up and time.monotonic() > given_up:
                        raise
                    time.sleep(random.uniform(0, 0.2))
                else:
                    self.changes.append(Change(time.monotonic(), name, made.id))
                    break

    def _check(self, client: Client, number: int) -> None:
        fields: dict[str, Any] = {"organization_id": self._people[number % len(self._people)].organization_id}
        if number >= _CHECKERS:
            fields["at_least_revision"] = 1
        while not self._over.wait(_CHECK_PAUSE):
            try:
                allowed = client("AuthorizationService.CheckPermission", permission="member:delete", **fields).allowed
            except Refused as refusal:
                self._note(refusal)
            else:
                assert allowed
                self.checks[number].append(time.monotonic())

    def _note(self, refusal: Refused) -> None:
        if refusal.code not in _AGAIN:
            raise refusal
        self.refusals[refusal.reason or refusal.code.name] += 1


def _creation(name: str) -> Any:
    method = "OrganizationService.CreateOrganization"
    return method, request_of(method, name=name, request_id=name)


def _longest(times: list[float], begin: float, end: float) -> float:
    inside = [begin, *sorted(when for when in list(times) if begin < when < end), end]
    return max(later - earlier for earlier, later in itertools.pairwise(inside))
