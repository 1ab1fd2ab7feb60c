"""The load generator: a closed loop over raw connections, in a process of its own.

    python -m benchmarks.load

reads orders from its standard input, one JSON object a line, and answers each with one. It reads the CPU of the servers
itself, at the ends of windows of 0.25 s, so that calls and CPU belong together.
"""

from __future__ import annotations

import json
import pickle
import selectors
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import meters
from .wires import Done, Http1, Http2, Prepared, Request, Wire, connect

_WINDOW = 0.25
_DRAIN = 20.0


@dataclass(frozen=True, slots=True)
class Order:
    """A run: `calls` ends it early when it is not 0; `path` is empty for HTTP/1.1. Requests `start` the run at a number."""

    address: str
    path: str
    requests: str
    seconds: float
    in_flight: int
    connections: int
    server: int
    postgres: int = 0
    start: int = 0
    calls: int = 0


@dataclass(slots=True)
class Window:
    """A stretch of a run: calls that ended in it, and nanoseconds of CPU."""

    calls: int
    server: int
    postgres: int


@dataclass(slots=True)
class Run:
    """What a run measured. Times in seconds, latencies in milliseconds, memory in bytes, `loop` in nanoseconds."""

    calls: int = 0
    seconds: float = 0.0
    errors: int = 0
    problem: str = ""
    p50: float = 0.0
    p99: float = 0.0
    next: int = 0
    resident: int = 0
    foreign: float = 0.0  # share of one core that others used
    stolen: float = 0.0
    own: float = 0.0
    loop: float = 0.0
    windows: list[Window] = field(default_factory=list)


class Watch:
    """Reads what the servers and the machine spend, window by window."""

    def __init__(self, order: Order, run: Run) -> None:
        self._order, self._run = order, run
        self._calls = 0
        self._server, self._postgres = self._read()
        self._totals = [0, 0]
        self._machine, self._own = meters.Machine.now(), time.process_time()
        self._begun = time.perf_counter()
        self.next = self._begun + _WINDOW

    def _read(self) -> tuple[dict[str, int], dict[str, int]]:
        server = meters.cpu(meters.tree(self._order.server))
        return server, meters.cpu(meters.tree(self._order.postgres)) if self._order.postgres else {}

    def window(self, calls: int) -> None:
        """Ends a window."""
        server, postgres = self._read()
        spent = Window(calls - self._calls, meters.spent(self._server, server), meters.spent(self._postgres, postgres))
        self._run.windows.append(spent)
        self._totals = [self._totals[0] + spent.server, self._totals[1] + spent.postgres]
        self._server, self._postgres, self._calls = server, postgres, calls
        self.next = time.perf_counter() + _WINDOW

    def end(self, latencies: list[float]) -> None:
        """Ends the run."""
        run, machine = self._run, meters.Machine.now()
        run.calls, run.seconds = len(latencies), time.perf_counter() - self._begun
        run.own = time.process_time() - self._own
        ours = run.own + sum(self._totals) / 1e9
        run.foreign = max(0.0, (machine.busy - self._machine.busy - ours) / run.seconds)
        run.stolen = (machine.stolen - self._machine.stolen) / run.seconds
        run.resident = meters.resident(meters.tree(self._order.server))
        if latencies:
            latencies.sort()
            run.p50, run.p99 = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))


class Loop:
    """A closed loop: every call that ends is followed by another."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._run = Run(loop=meters.calibration())
        self._latencies: list[float] = []
        self._numbers = _numbers(order)
        self._flying = 0
        self._issuing = True

    def run(self) -> Run:
        """Runs it."""
        order = self._order
        with selectors.DefaultSelector() as selector:
            wires = [_open(order) for _ in range(order.connections)]
            watch = Watch(order, self._run)
            for wire in wires:
                selector.register(wire.socket, selectors.EVENT_READ, wire)
            for turn in range(order.in_flight):
                self._send(wires[turn % len(wires)])
            for wire in wires:
                wire.flush()
            try:
                self._turn(selector, watch, time.perf_counter() + order.seconds)
            except ConnectionError as error:
                self._fail(str(error))
            watch.end(self._latencies)
            for wire in wires:
                wire.socket.close()
        return self._run

    def _turn(self, selector: selectors.BaseSelector, watch: Watch, end: float) -> None:
        while self._flying:
            ready = selector.select(0.05)
            for key, _ in ready:
                wire: Wire = key.data
                for done in wire.receive():
                    self._take(done)
                    if self._issuing:
                        self._send(wire)
                wire.flush()
            now = time.perf_counter()
            if self._issuing and now >= watch.next:
                watch.window(len(self._latencies))
            if now >= end or (self._order.calls and len(self._latencies) >= self._order.calls):
                self._issuing = False
                if now >= end + _DRAIN:
                    self._fail(f"{self._flying} calls were not answered")
                    return

    def _send(self, wire: Wire) -> None:
        wire.send(next(self._numbers))
        self._flying += 1
        self._run.next += 1

    def _take(self, done: Done) -> None:
        self._flying -= 1
        self._latencies.append(time.perf_counter() - done.start)
        if done.problem:
            self._fail(done.problem)

    def _fail(self, problem: str) -> None:
        self._run.errors += 1
        self._run.problem = self._run.problem or problem


def _numbers(order: Order) -> Iterator[int]:
    count, number = len(_requests(order.requests)), order.start
    while True:
        yield number % count
        number += 1


@lru_cache(maxsize=64)
def _requests(file: str) -> list[Request]:
    with Path(file).open("rb") as opened:
        return [Request(*pair) for pair in pickle.load(opened)]


@lru_cache(maxsize=64)
def _prepared(file: str, path: str, address: str) -> Prepared:
    return Prepared.of(path, address, _requests(file))


def _open(order: Order) -> Wire:
    if order.path:
        return Http2(connect(order.address), _prepared(order.requests, order.path, order.address))
    return Http1(connect(order.address), _requests(order.requests))


def carry_out(order: Order) -> Run:
    """Carries out one order."""
    return Loop(order).run()


def main() -> None:
    """Carries out orders until there are no more."""
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        sys.stdout.write(json.dumps(asdict(carry_out(Order(**order)))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
