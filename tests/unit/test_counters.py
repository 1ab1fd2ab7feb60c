"""Counting: nobody gets a number that another one got, windows end, and memory stays bounded."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from tenantry_server.services import counters
from tenantry_server.services.counters import Counter, MemoryCounter, SharedCounter


def numbers(counter: Counter, calls: int = 2000) -> list[int]:
    """The numbers that so many calls get from several threads at once, sorted."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            return sorted(pool.map(lambda _: counter.count("key", 60, 0), range(calls)))
    finally:
        sys.setswitchinterval(interval)


def test_calls_at_once_get_numbers_of_their_own() -> None:
    assert numbers(MemoryCounter()) == list(range(1, 2001))


class _Slow(list[int]):
    """A count that lets go between reading and writing until another one has read it, too."""

    def __init__(self, met: threading.Barrier) -> None:
        super().__init__([0, 60])
        self._met = met

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        if index == 0 and value == 0:
            self._met.wait(20)
        return value


@pytest.mark.parametrize(("lock", "expected"), [(nullcontext, [1, 1])])
def test_control_without_the_lock_two_get_the_same(lock: Callable[[], Any], expected: list[int]) -> None:
    counter = MemoryCounter()
    counter._lock = lock()
    counter._windows["key"] = _Slow(threading.Barrier(2))
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda _: counter.count("key", 60, 0), range(2))) == expected


def test_a_window_begins_anew_and_keys_are_apart() -> None:
    counter = MemoryCounter()
    assert [counter.count(key, end, 0) for key, end in (("a", 60), ("a", 60), ("b", 60), ("a", 120))] == [1, 2, 1, 1]


def test_windows_that_have_ended_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_MANY", 10)
    counter = MemoryCounter()
    for minute in range(100):
        for key in range(7):
            counter.count(f"{minute} {key}", (minute + 1) * 60, minute * 60)
    assert len(counter._windows) <= 30


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


def test_without_redis_a_process_counts_by_itself(silent: str) -> None:
    counter = SharedCounter(silent)
    assert [counter.count("key", 60, 0) for _ in range(3)] == [1, 2, 3]


def test_redis_is_left_alone_for_a_while_after_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = SharedCounter("redis://127.0.0.1:1")
    asked = []

    def fail(*_: Any) -> int:
        asked.append(1)
        raise ConnectionError

    counter._storage = type("Down", (), {"incr": staticmethod(fail), "base_exceptions": ConnectionError})
    assert [counter.count("key", 60, 0) for _ in range(3)] == [1, 2, 3]
    assert len(asked) == 1
    counter._alone_until = 0.0
    assert counter.count("key", 60, 0) == 4
    assert len(asked) == 2


@pytest.mark.parametrize("url", ["memory://", "redis://host:port", "http://127.0.0.1", "nonsense"])
def test_what_is_no_redis_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a URL of Redis, for instance redis:") as refusal:
        SharedCounter(url)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
