"""Rounds: every scenario of every target in turn, several times over, and what comes of it."""

from __future__ import annotations

import json
import pickle
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .load import Order, Run, Window
from .running import Running

_TESTS = Path(__file__).resolve().parents[1]
_FIFTH = 5


class Generator:
    """The load generator's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, order: Order) -> Run:
        """Has an order carried out."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Run(**{**answer, "windows": [Window(**window) for window in answer["windows"]]})


@contextmanager
def generating() -> Iterator[Generator]:
    """Starts the load generator, and ends it."""
    command = [sys.executable, "-m", "benchmarks.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_TESTS) as process:
        yield Generator(process)


@dataclass
class Figures:
    """What the rounds of one subject measured. CPU in microseconds a call, latencies in milliseconds."""

    busy: list[Run] = field(default_factory=list)
    alone: list[Run] = field(default_factory=list)

    @property
    def windows(self) -> list[Window]:
        """Of all rounds, those that saw calls end."""
        return [window for run in self.busy for window in run.windows if window.calls]

    def _fifth(self, spent: Callable[[Window], int]) -> float:
        """The 20th percentile of the windows' CPU a call: what the call costs when nobody else disturbs it."""
        costs = sorted(spent(window) / window.calls / 1000 for window in self.windows)
        return costs[len(costs) // _FIFTH] if costs else float("nan")

    @property
    def server(self) -> float:
        """CPU of the server's processes."""
        return self._fifth(lambda window: window.server)

    @property
    def both(self) -> float:
        """CPU of the server's processes and of PostgreSQL's."""
        return self._fifth(lambda window: window.server + window.postgres)

    @property
    def spread(self) -> float:
        """How far the windows lie apart: the 80th percentile of the server's CPU a call over the 20th."""
        costs = sorted(window.server / window.calls for window in self.windows)
        return costs[len(costs) * 4 // _FIFTH] / costs[len(costs) // _FIFTH] if costs else float("nan")

    @property
    def rate(self) -> float:
        """Calls a second."""
        return _median(run.calls / run.seconds for run in self.busy)

    @property
    def p50(self) -> float:
        """Median latency under load."""
        return _median(run.p50 for run in self.busy)

    @property
    def p99(self) -> float:
        """99th percentile under load."""
        return _median(run.p99 for run in self.busy)

    @property
    def alone_p50(self) -> float:
        """Median latency with one call in flight."""
        return _median(run.p50 for run in self.alone)

    @property
    def alone_p99(self) -> float:
        """99th percentile with one call in flight."""
        return _median(run.p99 for run in self.alone)

    @property
    def resident(self) -> float:
        """Resident memory of the server's processes after the last round, in MiB."""
        return self.busy[-1].resident / 2**20 if self.busy else float("nan")

    @property
    def runs(self) -> list[Run]:
        """All of them."""
        return [*self.busy, *self.alone]


@dataclass
class Subject:
    """A scenario on a target: `requests` is the file of its prebuilt requests, `path` is empty for HTTP/1.1."""

    group: str
    name: str
    target: Running
    path: str
    requests: Path
    in_flight: int
    connections: int = 8
    alone: bool = True
    figures: Figures = field(default_factory=Figures)
    _position: int = 0

    def measure(self, generator: Generator, seconds: float, *, in_flight: int = 0, calls: int = 0) -> Run:
        """One run. Requests go on where the last run stopped, so a change is never asked for twice."""
        flying = in_flight or self.in_flight
        order = Order(
            address=self.target.address,
            path=self.path,
            requests=str(self.requests),
            seconds=seconds,
            in_flight=flying,
            connections=min(flying, self.connections),
            server=self.target.pid,
            postgres=self.target.postgres,
            start=self._position,
            calls=calls,
        )
        run = generator.run(order)
        self._position += run.next
        return run


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how often: seconds of a run under load, rounds, and seconds that warm up."""

    seconds: float
    rounds: int
    warm_up: float


def rounds(generator: Generator, subjects: Sequence[Subject], pace: Pace) -> Iterator[str]:
    """Warms every subject up and measures it in each round; says what it does."""
    for subject in subjects:
        yield f"warming up: {subject.group}, {subject.name}"
        subject.measure(generator, pace.warm_up)
    for turn in range(pace.rounds):
        for subject in subjects:
            yield f"round {turn + 1} of {pace.rounds}: {subject.group}, {subject.name}"
            subject.figures.busy.append(subject.measure(generator, pace.seconds))
            if subject.alone:
                subject.figures.alone.append(subject.measure(generator, pace.seconds / 3, in_flight=1))


def keep(folder: Path, name: str, requests: Sequence[tuple[str, bytes]]) -> Path:
    """Writes prebuilt requests where the load generator finds them."""
    path = folder / f"{name}.requests"
    path.write_bytes(pickle.dumps(list(requests)))
    return path


def _median(values: Iterator[float]) -> float:
    found = list(values)
    return statistics.median(found) if found else float("nan")
