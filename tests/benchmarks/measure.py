"""Rounds: every scenario of every target in turn, several times over, and what comes of it."""

from __future__ import annotations

import json
import math
import pickle
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .load import Order, Run, Window
from .running import Running

_TESTS = Path(__file__).resolve().parents[1]
# A run of the floor, in seconds: two windows.
_FLOOR = 0.6

Spent = Callable[[Window], int]


def server(window: Window) -> int:
    """Nanoseconds of the server's processes."""
    return window.server


def both(window: Window) -> int:
    """Nanoseconds of the server's processes and of PostgreSQL's."""
    return window.server + window.postgres


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
    """What the rounds of one subject measured. CPU in microseconds a call, latencies in milliseconds.

    `floors` are the runs of its floor, each just before the one of `busy` at the same place: a machine that others use is now
    fast and now slow, and only what was measured in the same second compares.
    """

    busy: list[Run] = field(default_factory=list)
    floors: list[Run] = field(default_factory=list)
    alone: list[Run] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """CPU of the server: the 20th percentile of all windows, what the call costs when nobody disturbs it."""
        costs = _costs(self.busy, server)
        return costs[len(costs) // 5]

    @property
    def spread(self) -> float:
        """How far the windows lie apart: the 80th percentile over the 20th."""
        costs = _costs(self.busy, server)
        return costs[len(costs) * 4 // 5] / costs[len(costs) // 5]

    def ratios(self, spent: Spent) -> list[float]:
        """Round by round, how many floors it cost, in ascending order."""
        pairs = zip(self.busy, self.floors, strict=True)
        return sorted(_median(_costs([run], spent)) / _median(_costs([floor], spent)) for run, floor in pairs)

    @property
    def server(self) -> float:
        """CPU of the server's processes, in floors: the median of the rounds."""
        return _median(self.ratios(server))

    @property
    def both(self) -> float:
        """CPU of the server's processes and of PostgreSQL's, in floors: the median of the rounds."""
        return _median(self.ratios(both))

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
        return [*self.busy, *self.floors, *self.alone]


@dataclass
class Subject:
    """A scenario on a target: `requests` is the file of its prebuilt requests, `path` is empty for HTTP/1.1.

    A group is an engine's name, alone for what is ours over small data, or with ", large" or ", peers" behind it.
    """

    group: str
    name: str
    target: Running
    path: str
    requests: Path
    in_flight: int
    connections: int = 8
    alone: bool = True
    floor: Subject | None = None  # what it is measured against, anew before each of its runs
    figures: Figures = field(default_factory=Figures)
    _position: int = 0

    @property
    def engine(self) -> str:
        """The name of the engine."""
        return self.group.partition(", ")[0]

    @property
    def kind(self) -> str:
        """What the group is beside an engine: "large", "peers" or nothing."""
        return self.group.partition(", ")[2]

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
    """Warms every subject up and measures it in each round, its floor just before it; says what it does."""
    for subject in subjects:
        yield f"warming up: {subject.group}, {subject.name}"
        subject.measure(generator, pace.warm_up)
    for turn in range(pace.rounds):
        for subject in subjects:
            yield f"round {turn + 1} of {pace.rounds}: {subject.group}, {subject.name}"
            if subject.floor is not None:
                subject.figures.floors.append(subject.floor.measure(generator, _FLOOR))
            subject.figures.busy.append(subject.measure(generator, pace.seconds))
            if subject.alone:
                subject.figures.alone.append(subject.measure(generator, pace.seconds / 3, in_flight=1))


def keep(folder: Path, name: str, requests: Sequence[tuple[str, bytes]]) -> Path:
    """Writes prebuilt requests where the load generator finds them."""
    path = folder / f"{name}.requests"
    path.write_bytes(pickle.dumps(list(requests)))
    return path


def _costs(runs: Iterable[Run], spent: Spent) -> list[float]:
    """Microseconds a call of all windows, in ascending order."""
    return sorted(spent(window) / window.calls / 1000 for run in runs for window in run.windows if window.calls) or [math.nan]


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.median(found) if found else math.nan
